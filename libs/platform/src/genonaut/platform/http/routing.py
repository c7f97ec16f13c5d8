"""The router that services use: FastAPI's, reading JSON strictly."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from genonaut.platform.http.problems import InvalidError

MAX_DEPTH = 64
"""Levels of a JSON body. What it becomes has to be read again by parsers with limits of their own."""


class _StrictRequest(Request):
    async def json(self) -> Any:
        """The body. Raises JSONDecodeError for NaN, lone surrogates and all else that is not RFC 8259."""
        body = await self.body()
        value = orjson.loads(body)
        if b"\\u0000" in body and _has_nul(value):
            raise InvalidError("The body contains a NUL character.", loc=("body",))
        if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
            raise InvalidError(f"The body is nested more than {MAX_DEPTH} levels deep.", loc=("body",))
        return value


class _StrictRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly


class Router(APIRouter):
    """An APIRouter whose routes refuse what Python's JSON parser lets through: NaN, lone surrogates, NUL.

    Routes are declared without a trailing slash, the one at the prefix itself as `""`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"route_class": _StrictRoute, "redirect_slashes": False, **options})


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, dict) and any(_has_nul(key) or _has_nul(item) for key, item in value.items())


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether arrays and objects are inside each other more than `levels` deep."""
    level = [value]
    for _ in range(levels):
        level = [child for parent in level for child in _children(parent)]
    return any(isinstance(one, list | dict) for one in level)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
