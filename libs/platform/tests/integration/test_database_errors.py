"""What a caller is told when Postgres refuses, is slow, or is gone."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import BigInteger, Executable, Integer, Text, TextClause, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from structlog.testing import capture_logs

from genonaut.platform.database import Database, driver_of
from genonaut.platform.http.errors import install_errors
from genonaut.platform.http.middleware import install_middleware
from genonaut.platform.trouble import ConcurrencyConflictError, is_outage
from genonaut.stack.servers import Postgres
from genonaut.testkit.processes import alive
from genonaut.testkit.servers import fresh_database
from genonaut.testkit.waiting import eventually, wait_until

NOW = datetime(2024, 12, 1, 10, 0, 0, 123456, tzinfo=UTC)


class Failing:
    """A service whose every answer comes out of one statement."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.statement: Executable = text("SELECT 1")
        self.parameters: dict[str, Any] = {}
        self.app = app = FastAPI(redirect_slashes=False)
        app.add_api_route("/api/v1/gallery", self.get_gallery_items)
        install_errors(app, clock=lambda: NOW, statement_timeout_ms=15_000)
        install_middleware(app)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://failing")

    async def get_gallery_items(self) -> int:
        async with self.database.transaction() as connection:
            await connection.execute(text("SET LOCAL statement_timeout = '200ms'"))
            await connection.execute(self.statement, self.parameters)
            return 1

    async def answer(self, statement: str | Executable, **parameters: Any) -> httpx.Response:
        self.statement = text(statement) if isinstance(statement, str) else statement
        self.parameters = parameters
        return await self.http.get("/api/v1/gallery")


@pytest_asyncio.fixture
async def failing(postgres: Postgres) -> AsyncIterator[Failing]:
    database = Database(fresh_database(postgres), name="test-errors")
    yield Failing(database)
    await database.close()


async def test_a_statement_over_the_timeout_is_the_504_of_the_documentation(failing: Failing) -> None:
    response = await failing.answer("SELECT pg_sleep(30)")

    words = "The operation took too long to complete. Please try again or refine your request."
    assert response.status_code == 504
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "urn:genonaut:problem:statement-timeout",
        "title": "Timed out",
        "status": 504,
        "detail": words,
        "instance": "/api/v1/gallery",
        "success": False,
        "error": "StatementTimeout",
        "error_code": "STATEMENT_TIMEOUT",
        "timestamp": "2024-12-01T10:00:00.123456Z",
        "request_id": response.headers["X-Request-ID"],
        "error_type": "statement_timeout",
        "message": words,
        "timeout_duration": "15s",
        "details": {
            "context": {"path": "/api/v1/gallery", "method": "GET", "endpoint": "get_gallery_items"},
        },
    }


async def test_it_says_who_asked_when_they_said_so(failing: Failing) -> None:
    ada = "018f0000-0000-7000-8000-000000000000"
    failing.statement = text("SELECT pg_sleep(30)")

    contexts = [
        (await failing.http.get("/api/v1/gallery", params=query)).json()["details"]["context"]
        for query in ({"user_id": ada}, {"user_id": "somebody"})
    ]

    assert [context.get("user_id") for context in contexts] == [ada, None]


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        (select(literal("a\0b", Text)), None),
        (select(literal({"a": "\0"}, JSONB)), None),
        (select(literal("\ud800", Text)), None),
        (select(literal(2**63, BigInteger)), None),
        (select(literal(2**31, Integer)), None),
        (text("SELECT 2147483647::int + CAST(:value AS int)"), 1),
    ],
    ids=["NUL", "NUL in JSON", "lone surrogate", "above bigint", "above integer", "sum above integer"],
)
async def test_a_value_that_no_column_holds_is_the_callers_mistake(
    failing: Failing, statement: Executable, value: int | None
) -> None:
    response = await failing.answer(statement, **({} if value is None else {"value": value}))

    assert response.status_code == 422
    assert response.json()["error_code"] == "VALIDATION_ERROR"
    assert response.json()["errors"] == [
        {
            "loc": [],
            "msg": "A value is out of range or contains characters that cannot be stored.",
            "type": "value_error",
        }
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1/0",
        "SELECT secret FROM hidden_table",
        "selec",
        text("SELECT CAST(:value AS int)").bindparams(value="x"),
    ],
)
async def test_a_bug_of_ours_is_a_500_that_tells_nothing(failing: Failing, statement: str | TextClause) -> None:
    with capture_logs() as lines:
        response = await failing.answer(statement)

    assert response.status_code == 500
    assert response.json()["error_code"] == "INTERNAL_ERROR"
    assert response.json()["detail"] == "The server failed to answer this request. It has been logged."
    assert not {"sql", "asyncpg", "select", "hidden"} & set(re.findall(r"[a-z]+", response.text.lower()))
    [crash] = [line for line in lines if line["event"] == "http.crashed"]
    assert isinstance(crash["exc_info"], DBAPIError)


async def test_a_connection_that_dies_is_a_503_and_the_next_request_works(failing: Failing) -> None:
    died = await failing.answer("SELECT pg_terminate_backend(pg_backend_pid())")
    after = await failing.answer("SELECT 1")

    assert died.status_code == 503
    assert died.json()["error_code"] == "UNAVAILABLE"
    assert died.headers["Retry-After"] == "2"
    assert after.status_code == 200


@pytest.mark.parametrize("turns", range(5))
async def test_a_server_that_has_said_goodbye_is_out_of_reach(failing: Failing, turns: int) -> None:
    """However much of the goodbye was read when the connection is used."""

    async def use() -> None:
        async with failing.database.transaction() as connection:
            pid = await connection.scalar(text("SELECT pg_backend_pid()")) or 0
            raw = await driver_of(connection)
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not alive(pid))  # and read nothing meanwhile
            for _ in range(turns):
                await asyncio.sleep(0)
            await raw.copy_from_query("SELECT 1", output=os.devnull)

    with pytest.raises(Exception) as raised:  # noqa: PT011 - what it is called does not matter
        await use()
    assert is_outage(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid"])
async def test_a_database_out_of_reach_is_a_503_that_does_not_say_where(host: str) -> None:
    database = Database(f"postgresql://somebody:a-password@{host}/somewhere", name="test-errors")
    with capture_logs() as lines:
        response = await Failing(database).answer("SELECT 1")
    await database.close()

    assert response.status_code == 503
    assert "Retry-After" in response.headers
    assert host not in response.text
    assert "a-password" not in str(lines)


async def test_a_pool_that_is_used_up_is_a_503(failing: Failing) -> None:
    database = Database(str(failing.database.url), name="test-errors", pool_size=1)
    database.engine = create_async_engine(failing.database.url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    async with database.transaction():
        response = await Failing(database).answer("SELECT 1")
    await database.close()

    assert response.status_code == 503


async def test_a_conflict_that_outlived_its_retries_is_a_409(failing: Failing) -> None:
    async def conflicting() -> None:
        raise ConcurrencyConflictError("user-1 version 3")

    failing.app.add_api_route("/conflicting", conflicting)
    response = await failing.http.get("/conflicting")

    assert response.status_code == 409
    assert response.json()["error_code"] == "CONFLICT"
    assert "user-1" not in response.text


async def test_what_a_peak_left_open_is_closed_and_nobody_notices(postgres: Postgres, monkeypatch) -> None:
    monkeypatch.setattr("genonaut.platform.database.IDLE_SECONDS", 1.0)
    url = fresh_database(postgres)
    database, watcher = Database(url, name="peak", pool_size=3), Database(url, name="watcher")

    async def connections() -> int:
        async with watcher.reading() as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'peak'"
            return int((await connection.execute(text(query))).scalar_one())

    async def none_left() -> bool:
        return await connections() == 0

    async def peak() -> None:
        async with database.reading(), database.reading(), database.reading():
            pass

    await peak()
    await database.ping()
    assert await connections() == 4
    await eventually(none_left)
    await peak()
    await database.ping()
    await database.close()
    await watcher.close()
