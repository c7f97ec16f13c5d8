"""Served requests, grouped by pattern and counted by hour. Pure.

A pattern is a method, a route template and normalised parameters: requests that a cache could answer alike.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, Self
from uuid import UUID, uuid5

import orjson

from genonaut.analytics.rollups.histogram import bucket_of
from genonaut.analytics.rollups.hours import hour_of
from genonaut.contracts import Envelope
from genonaut.contracts.gateway import ANY_VALUE, FREE_TEXT, MEASURED_PREFIX, RequestServed

PAGING = frozenset({"page", "offset", "limit", "skip", "cursor"})
"""They say which part of an answer, not which answer."""
LONGEST_VALUE = 64

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_PATTERNS = UUID("4f1d6e0c-6a53-5e0b-9f43-6f2f0a5a3a11")
_REFUSALS = frozenset({400, 422})
_FIRST_CLIENT_ERROR, _FIRST_SERVER_ERROR = 400, 500


class Pattern(NamedTuple):
    method: str
    route: str
    params: str
    """The normalised parameters as canonical JSON."""


class Cell(NamedTuple):
    """What one row of the rollup counts."""

    hour: datetime
    pattern: Pattern


@lru_cache(maxsize=4096)
def pattern_id(pattern: Pattern) -> UUID:
    """The same for the same pattern, for ever."""
    return uuid5(_PATTERNS, _json(tuple(pattern)))


def normalised(query_params: Mapping[str, Any], *, refused: bool = False) -> dict[str, str | list[str]]:
    """Without paging, sorted, and with `*` for values that would make every request a pattern of its own.

    So do all values of a request that was refused because of them: a stranger can think of any number.
    """
    names = sorted(name for name in query_params if name not in PAGING)
    return {name: ANY_VALUE if refused else _normalised_value(name, query_params[name]) for name in names}


def _normalised_value(name: str, value: Any) -> str | list[str]:
    if name in FREE_TEXT or name.endswith(("_id", "_ids")):
        return ANY_VALUE
    values = [
        each if isinstance(each, str) else _json(each) for each in (value if isinstance(value, list) else [value])
    ]
    if any(len(each) > LONGEST_VALUE or _UUID.fullmatch(each) for each in values):
        return ANY_VALUE
    return sorted(values) if isinstance(value, list) else values[0]


@dataclass(frozen=True, slots=True)
class Request:
    """A served request with what it is counted by."""

    event_id: UUID
    time: datetime
    cell: Cell
    served: RequestServed

    @classmethod
    def of(cls, served: RequestServed, envelope: Envelope) -> Self:
        refused = served.status_code in _REFUSALS
        params = _json(normalised(served.query_params, refused=refused)) if served.query_params else "{}"
        pattern = Pattern(served.method, served.route, params)
        return cls(envelope.id, envelope.time, Cell(hour_of(envelope.time), pattern), served)


def is_measured(served: RequestServed) -> bool:
    """Of what earlier gateways stated, too: today's state nothing else."""
    return served.route.startswith(MEASURED_PREFIX)


@dataclass(slots=True)
class Tally:
    """Integers only: adding requests in any order, in any batches, gives the same."""

    total_requests: int = 0
    successful_requests: int = 0
    client_errors: int = 0
    server_errors: int = 0
    duration_us_sum: int = 0
    request_bytes_sum: int = 0
    response_bytes_sum: int = 0

    def add(self, served: RequestServed) -> None:
        self.total_requests += 1
        if 0 < served.status_code < _FIRST_CLIENT_ERROR:
            self.successful_requests += 1
        elif _FIRST_CLIENT_ERROR <= served.status_code < _FIRST_SERVER_ERROR:
            self.client_errors += 1
        else:  # 0: it never got an answer
            self.server_errors += 1
        self.duration_us_sum += served.duration_us
        self.request_bytes_sum += served.request_bytes
        self.response_bytes_sum += served.response_bytes


@dataclass(frozen=True, slots=True)
class Rollup:
    tallies: dict[Cell, Tally] = field(default_factory=lambda: defaultdict(Tally))
    durations: Counter[tuple[Cell, int]] = field(default_factory=Counter)
    """Requests by cell and bucket of their duration in microseconds."""
    users: set[tuple[Cell, UUID]] = field(default_factory=set)
    """Who asked; nobody for requests without a user."""


def roll_up(requests: Iterable[Request]) -> Rollup:
    """`requests` holds each one once."""
    rollup = Rollup()
    for request in requests:
        rollup.tallies[request.cell].add(request.served)
        rollup.durations[request.cell, bucket_of(request.served.duration_us)] += 1
        if request.served.user_id:
            rollup.users.add((request.cell, request.served.user_id))
    return rollup


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
