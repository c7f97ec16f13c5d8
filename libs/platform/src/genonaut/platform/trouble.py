"""Trouble that has a name, with no I/O behind it: who only wants to tell it apart need not load a database or a bus."""

import socket
import sys
from collections.abc import Iterator

OUTAGES = {
    "sqlalchemy.exc": ["TimeoutError"],  # of its pool
    "nats.errors": [
        "ConnectionClosedError",
        "ConnectionDrainingError",
        "ConnectionReconnectingError",
        "NoRespondersError",
        "NoServersError",
        "OutboundBufferLimitError",
        "StaleConnectionError",
        "TimeoutError",
    ],
    "nats.js.errors": ["NoStreamResponseError", "ServiceUnavailableError"],
}
"""Errors of libraries that mean an outage whatever they say. Who has not loaded a module cannot meet its errors."""

ENDED = ["clos", "another operation"]
"""In what asyncpg says of a connection that has ended, or is about to: between the server's last words and the end of
the connection it is at work on them. The others of its own errors are mistakes, such as too many parameters."""

CONFLICTS = {"40001", "40P01"}
"""Serialization failure and deadlock: the transaction was fine, its moment was not."""

TIMEOUTS = {"57014", "55P03"}
"""Of a statement and of a lock."""


class ExpectedError(Exception):
    """Of a command or of a start: its message says what is wrong and what to do, and is all that is shown."""


class ConcurrencyConflictError(Exception):
    """Somebody else appended to the same aggregate first. Decide again on the new state."""


class EventTooLargeError(ValueError):
    """No message of the bus could carry it."""


class OutageError(Exception):
    """Something that we depend on is out of reach, or refuses everything for now."""


def is_outage(error: BaseException) -> bool:
    """True when the trouble is the database or the bus, not what was asked of it: worth waiting for, never poison.

    What somebody raised because of an outage counts as what they made of it.
    """
    return any(_is_outage(one) for one in _layers(error))


def is_timeout(error: BaseException) -> bool:
    """True when something, a statement or a lock took longer than it may, which says little about what was asked."""
    return isinstance(error, TimeoutError) or sqlstate(error) in TIMEOUTS


def is_conflict(error: BaseException) -> bool:
    """True when somebody else was at the same rows at the same moment, so that another try may do."""
    return isinstance(error, ConcurrencyConflictError) or sqlstate(error) in CONFLICTS


def sqlstate(error: BaseException) -> str:
    """What Postgres said; empty when it did not say anything."""
    return next((state for one in _layers(error) if (state := getattr(one, "sqlstate", None))), "")


def _layers(error: BaseException) -> Iterator[BaseException]:
    """The error; of SQLAlchemy's also those of its dialect and of the driver, which are one and the same trouble."""
    yield error
    orig = getattr(error, "orig", None)
    if isinstance(orig, BaseException):
        yield orig
        if orig.__cause__ is not None:
            yield orig.__cause__


def _is_outage(error: BaseException) -> bool:
    state = getattr(error, "sqlstate", None) or ""
    # 08 connection, 53 out of resources, 57P shutting down or starting up
    if state[:2] in {"08", "53"} or state.startswith("57P") or getattr(error, "connection_invalidated", False):
        return True
    if isinstance(error, (OutageError, ConnectionError, socket.gaierror, *_outages_of_libraries())):
        return True
    return isinstance(error, tuple(_of_the_driver())) and any(words in str(error) for words in ENDED)


def _of_the_driver() -> Iterator[type[BaseException]]:
    if (asyncpg := sys.modules.get("asyncpg")) is not None:
        yield from (asyncpg.InterfaceError, asyncpg.InternalClientError)


def _outages_of_libraries() -> Iterator[type[BaseException]]:
    for library, names in OUTAGES.items():
        if (module := sys.modules.get(library)) is not None:
            yield from (getattr(module, name) for name in names)
