"""Liveness, readiness that names what is missing, and metrics."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import httpx
from fastapi import FastAPI
from structlog.testing import capture_logs

from genonaut.platform import metrics
from genonaut.platform.http.errors import install_errors
from genonaut.platform.http.health import health_router
from genonaut.platform.http.middleware import install_middleware

Checks = dict[str, Callable[[], Coroutine[Any, Any, object]]]


def client(checks: Checks, *, timeout_seconds: float = 2) -> httpx.AsyncClient:
    app = FastAPI(redirect_slashes=False)
    app.include_router(health_router(checks, timeout_seconds=timeout_seconds))
    install_errors(app, clock=lambda: datetime(2024, 12, 1, tzinfo=UTC), statement_timeout_ms=15_000)
    install_middleware(app)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")


async def fine() -> None:
    pass


async def gone() -> None:
    raise ConnectionRefusedError("postgresql://me:pw@10.0.0.7")


async def hanging() -> None:
    await asyncio.Event().wait()


async def test_alive_whatever_is_missing() -> None:
    async with client({"database": gone}) as http:
        response = await http.get("/health")

    assert (response.status_code, response.json()) == (200, {"status": "healthy"})


async def test_ready_when_every_check_returns() -> None:
    async with client({"database": fine, "bus": fine}) as http:
        response = await http.get("/ready/")

    assert response.status_code == 200
    assert response.json() == {"status": "ready", "checks": {"database": "ready", "bus": "ready"}}


async def test_not_ready_names_what_is_missing_and_nothing_else() -> None:
    async with client({"database": gone, "bus": fine, "consumers": hanging}, timeout_seconds=0.05) as http:
        with capture_logs() as lines:
            response = await http.get("/ready")

    assert response.status_code == 503
    assert response.json()["error_code"] == "NOT_READY"
    assert response.json()["detail"] == "Not ready: database, consumers"
    assert response.json()["checks"] == {"database": "not ready", "bus": "ready", "consumers": "not ready"}
    assert response.headers["Retry-After"]
    assert "10.0.0.7" not in response.text
    assert {(line["check"], line["error"]) for line in lines} == {
        ("database", "ConnectionRefusedError"),
        ("consumers", "TimeoutError"),
    }


async def test_the_checks_run_side_by_side() -> None:
    meeting = asyncio.Barrier(3)
    async with client(dict.fromkeys(["a", "b", "c"], meeting.wait)) as http:
        response = await http.get("/ready")

    assert response.status_code == 200


async def test_checks_may_come_later() -> None:
    checks: Checks = {}
    async with client(checks) as http:
        checks["database"] = gone
        assert (await http.get("/ready")).status_code == 503
        checks["database"] = fine
        assert (await http.get("/ready")).status_code == 200


async def test_metrics_are_for_prometheus() -> None:
    metrics.EVENTS_APPENDED.labels(type="content.item.created").inc()
    async with client({}) as http:
        response = await http.get("/metrics")
        document = (await http.get("/openapi.json")).json()

    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'events_appended_total{type="content.item.created"}' in response.text
    assert "process_resident_memory_bytes" in response.text
    assert set(document["paths"]) == {"/health", "/ready"}
