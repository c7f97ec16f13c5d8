"""What is waited out, what is tried again, and what is poison: the same for every consumer, command and request."""

import socket
from importlib import import_module

import asyncpg
import nats.errors
import nats.js.errors
import pytest
from sqlalchemy.exc import DBAPIError

from genonaut.platform.bus import PublishError
from genonaut.platform.database import DatabaseUnavailableError
from genonaut.platform.trouble import OUTAGES, ConcurrencyConflictError, is_conflict, is_outage, is_timeout


def of_sqlalchemy(error: Exception, *, invalidated: bool = False) -> DBAPIError:
    """As its asyncpg dialect wraps it, which the statement must not make look like something else."""
    translated = Exception(str(error))
    translated.__cause__ = error
    if state := getattr(error, "sqlstate", None):
        translated.sqlstate = state  # type: ignore[attr-defined]
    return DBAPIError("SELECT closed FROM shops", {}, translated, connection_invalidated=invalidated)


@pytest.mark.parametrize(("library", "name"), [(library, name) for library in OUTAGES for name in OUTAGES[library]])
def test_an_outage_of_a_library_is_one(library: str, name: str) -> None:
    kind = getattr(import_module(library), name)

    assert is_outage(kind.__new__(kind))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        socket.gaierror(),
        DatabaseUnavailableError(),
        PublishError(),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.InterfaceError("connection is closed"),
        of_sqlalchemy(asyncpg.InterfaceError("connection is closed")),
        asyncpg.InternalClientError("cannot switch to state 21; another operation (2) is in progress"),
        of_sqlalchemy(asyncpg.InterfaceError("cannot perform operation: another operation is in progress")),
        of_sqlalchemy(asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")),
        of_sqlalchemy(ValueError("whatever"), invalidated=True),
    ],
    ids=repr,
)
def test_an_outage_is_waited_out(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("closed"),
        FileNotFoundError(),
        of_sqlalchemy(asyncpg.DataError("value out of int64 range")),
        of_sqlalchemy(asyncpg.InterfaceError("the number of query arguments cannot exceed 32767")),
        of_sqlalchemy(asyncpg.InterfaceError("the server expects 1 argument for this query, 0 were passed")),
        of_sqlalchemy(asyncpg.UndefinedTableError("no such table")),
        asyncpg.InternalClientError("got result for unknown protocol state 7"),
        asyncpg.UniqueViolationError("twice"),
        nats.js.errors.BadRequestError(),
        nats.errors.MaxPayloadError(),
        TimeoutError(),
    ],
    ids=repr,
)
def test_what_was_asked_for_is_no_outage(error: Exception) -> None:
    assert not is_outage(error)


def test_what_somebody_made_of_an_outage_counts_as_that() -> None:
    error = ValueError("a job that cannot be done")
    error.__cause__ = ConnectionResetError()

    assert not is_outage(error)


def test_timeouts_and_conflicts_say_little_about_what_was_asked() -> None:
    timeouts = [TimeoutError(), asyncpg.QueryCanceledError(), of_sqlalchemy(asyncpg.LockNotAvailableError("locked"))]
    deadlock = of_sqlalchemy(asyncpg.DeadlockDetectedError("deadlock"))
    conflicts = [ConcurrencyConflictError(), asyncpg.SerializationError(), deadlock]

    assert [is_timeout(each) for each in [*timeouts, *conflicts]] == [True] * 3 + [False] * 3
    assert [is_conflict(each) for each in [*timeouts, *conflicts]] == [False] * 3 + [True] * 3
