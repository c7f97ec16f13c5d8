"""What the gateway states: the requests it served. Facts that nobody decides on: they live on the bus, not in a log."""

from typing import Any
from uuid import UUID

from pydantic import Field

from genonaut.contracts.event import Event

FREE_TEXT = frozenset(
    {
        *("search_term", "search", "query", "q", "prompt", "reason"),
        *("username", "email", "preference_key", "preference_value"),
    }
)
"""Query parameters that hold what somebody typed. What it was is nobody's business, and never the same twice."""
ANY_VALUE = "*"
"""Stands for such a value."""
MEASURED_PREFIX = "/api/"
"""Of the routes that are measured: those of the API, not health, documentation or metrics. A path without a route is
nobody's: a stranger can think of any number."""


class RequestServed(Event, type="gateway.request.served"):
    method: str
    route: str
    """The route template, e.g. `/api/v1/content/{id}`, so that requests group. Earlier gateways stated requests without
    one, too."""
    status_code: int
    duration_us: int
    """From the first byte read to the last byte sent."""
    user_id: UUID | None = None
    query_params: dict[str, Any] = Field(default_factory=dict)
    """Those that the route knows, as they came, with `*` for what people typed; a repeated parameter is a list."""
    request_bytes: int = 0
    response_bytes: int = 0
    error_type: str | None = None
