"""The one table of public paths: who answers them, and which other spellings they have.

What is not in it is the gateway's own or nobody's. So no internal path of a service can be reached.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from genonaut.platform.http.problems import BadRequestError

Service = Literal["content", "generation", "analytics", "notifications"]
SERVICES: tuple[Service, ...] = ("content", "generation", "analytics", "notifications")


@dataclass(frozen=True)
class Route:
    """`prefix` and everything below it. The longest prefix wins, a literal segment wins over `{…}`."""

    prefix: str
    service: Service | None
    """None: the gateway itself."""


@dataclass(frozen=True)
class Alias:
    """Another spelling that old clients use. Both have the same parameters."""

    spelling: str
    path: str


ROUTES = (
    Route("/api/v1/users", "content"),
    Route("/api/v1/content", "content"),
    Route("/api/v1/content-auto", "content"),
    Route("/api/v1/tags", "content"),
    Route("/api/v1/interactions", "content"),
    Route("/api/v1/recommendations", "content"),
    Route("/api/v1/images", "content"),
    Route("/api/v1/admin/cache", "content"),
    Route("/api/v1/generation-jobs", "generation"),
    Route("/api/v1/users/{id}/generation-jobs", "generation"),
    Route("/api/v1/comfyui", "generation"),
    Route("/webhooks/comfyui", "generation"),
    Route("/api/v1/analytics", "analytics"),
    Route("/api/v1/notifications", "notifications"),
    Route("/api/v1/generation-jobs/{id}/events", None),
)

ALIASES = (
    Alias("/api/v1/content/creator/{id}", "/api/v1/content/by-creator/{id}"),
    Alias("/api/v1/content/type/{type}", "/api/v1/content/by-type/{type}"),
    Alias("/api/v1/content/public/all", "/api/v1/content/public"),
    Alias("/api/v1/interactions/user/{id}/interactions", "/api/v1/interactions/by-user/{id}"),
    Alias("/api/v1/interactions/content/{id}/interactions", "/api/v1/interactions/by-content/{id}"),
    Alias("/api/v1/recommendations/user/{id}/recommendations", "/api/v1/users/{id}/recommendations"),
    Alias("/api/v1/generation-jobs/status/{status}", "/api/v1/generation-jobs/by-status/{status}"),
    Alias("/api/v1/generation/jobs", "/api/v1/generation-jobs"),
)

# Dot segments, and slashes that are not what they look like: two readers of such a path could disagree about it.
_AMBIGUOUS = re.compile(rb"/(?:\.|%2e){1,2}(?:/|$)|%2f|%5c|\\|//", re.IGNORECASE)


@dataclass(slots=True)
class _Node:
    literals: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    route: Route | None = None
    alias: Alias | None = None

    def child(self, segment: str) -> "_Node":
        """The child for a segment of a pattern, made when it is missing."""
        if segment.startswith("{"):
            self.parameter = self.parameter or _Node()
            return self.parameter
        return self.literals.setdefault(segment, _Node())


class Table:
    """Answers for a path in time proportional to its segments."""

    def __init__(self, routes: Iterable[Route] = ROUTES, aliases: Iterable[Alias] = ALIASES) -> None:
        self._root = _Node()
        for route in routes:
            self._at(route.prefix).route = route
        for alias in aliases:
            self._at(alias.spelling).alias = alias

    def _at(self, pattern: str) -> _Node:
        node = self._root
        for segment in pattern.split("/")[1:]:
            node = node.child(segment)
        return node

    def service_of(self, path: str) -> Service | None:
        """Who answers a path or path template; None when the gateway itself, or nobody, does."""
        route, _ = self._find(path.split("/")[1:])
        return route.service if route else None

    def prefix_of(self, path: str) -> str | None:
        """What a request for this path is called that no service has named: the part of it that is in this table."""
        route, alias = self._find(path.split("/")[1:])
        return alias.path if alias else route.prefix if route else None

    def resolve(self, path: str, raw_path: bytes) -> tuple[Service | None, bytes]:
        """Who answers the request, and the path to ask them for, encoded as it came.

        `path` is `raw_path` decoded. Raises BadRequestError for a path that could be read in two ways.
        """
        if _AMBIGUOUS.search(raw_path):
            raise BadRequestError(
                "The path has empty or dot segments, or encoded slashes, and could be read in two ways.",
                error_code="AMBIGUOUS_PATH",
            )
        route, alias = self._find(path.split("/")[1:])
        if alias is not None:
            raw_path = _respelled(alias, raw_path)
            return self.service_of(alias.path), raw_path
        return (route.service if route else None), raw_path

    def _find(self, segments: list[str]) -> tuple[Route | None, Alias | None]:
        """The longest prefix, and the alias when it is this path exactly."""
        node, route = self._root, None
        for segment in segments:
            following = node.literals.get(segment) or node.parameter
            if following is None:
                return route, None
            node = following
            route = node.route or route
        return route, node.alias


def _respelled(alias: Alias, raw_path: bytes) -> bytes:
    """The path that the alias stands for, with the parameters of this one."""
    given = dict(zip(alias.spelling.encode().split(b"/"), raw_path.split(b"/"), strict=True))
    return b"/".join(given[part] if part.startswith(b"{") else part for part in alias.path.encode().split(b"/"))


TABLE = Table()
