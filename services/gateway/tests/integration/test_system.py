"""The platform as one thing, before services that are real servers."""

import asyncio
import re
from typing import Any

import pytest

from genonaut.testkit.waiting import eventually


def ready(**checks: str) -> dict[str, Any]:
    return {"status": "ready", "checks": {"database": "ready", "bus": "ready", **checks}}


async def test_what_this_is(front) -> None:
    async with front.get("/") as response:
        body = await response.json()
    assert (body["name"], body["environment"], body["docs"]) == ("Genonaut API", "test", "/docs")


async def test_all_is_well(front_of, upstream, reply, nats, valkey) -> None:
    upstream.answers["/ready"] = reply(ready())
    upstream.answers["/internal/workers"] = reply({"fit": 1})
    async with front_of({"": upstream.url}, nats_url=nats, redis_url=valkey) as front:
        await eventually(lambda: front.runtime.bus)
        async with front.get("/api/v1/health/") as response:
            assert response.status == 200
            body = await response.json()
    part = {"status": "healthy"}
    assert body.pop("timestamp")
    assert body == {
        "status": "healthy",
        "database": part,
        "bus": part,
        "cache": part,
        "workers": part,
        "services": {
            name: {**part, "checks": {"database": "healthy", "bus": "healthy"}}
            for name in ("content", "generation", "analytics", "notifications")
        },
    }


@pytest.mark.parametrize("said", [{"fit": 0}, {"fit": "many"}, []])
async def test_a_platform_that_runs_no_jobs_is_not_well(front_of, upstream, reply, nats, valkey, said) -> None:
    upstream.answers["/ready"] = reply(ready())
    upstream.answers["/internal/workers"] = reply(said)
    async with front_of({"": upstream.url}, nats_url=nats, redis_url=valkey) as front:
        await eventually(lambda: front.runtime.bus)
        async with front.get("/api/v1/health") as response:
            body = await response.json()
    assert (response.status, body["workers"], body["bus"]) == (503, {"status": "unhealthy"}, {"status": "healthy"})


async def test_what_is_not_well_is_named_and_nothing_else(front_of, upstream, reply, closed_port) -> None:
    upstream.answers["/ready"] = reply(
        {"status": 503, "checks": {"database": "not ready", "bus": "ready", "at 10.0.0.1": "ready"}},
        status=503,
        headers={"content-type": "application/problem+json"},
    )
    gone = f"http://127.0.0.1:{closed_port}"
    redis_url = f"redis://user:secret@127.0.0.1:{closed_port}/0"
    async with (
        front_of({"": upstream.url, "analytics": gone}, redis_url=redis_url) as front,
        front.get("/api/v1/health") as response,
    ):
        assert response.status == 503
        assert response.headers["Content-Type"] == "application/json"
        text = await response.text()
        body = await response.json()
    assert (
        body["status"] == body["database"]["status"] == body["bus"]["status"] == body["cache"]["status"] == "unhealthy"
    )
    assert body["services"]["content"] == {
        "status": "unhealthy",
        "checks": {"database": "unhealthy", "bus": "healthy"},
    }
    assert body["services"]["analytics"] == {"status": "unhealthy", "checks": {}}
    assert not {"127.0.0.1", "10.0.0.1", "secret", str(closed_port)} & set(text.replace('"', " ").split())
    assert "127.0.0.1" not in text


async def test_many_who_ask_are_one_question(front_of, upstream, reply) -> None:
    upstream.answers["/ready"] = reply(ready())
    async with front_of({"": upstream.url}) as front:
        for response in await asyncio.gather(*(front.get("/api/v1/health") for _ in range(20))):
            assert response.status == 503  # no bus
            response.release()
    assert len(upstream.seen) == 5


async def test_the_process_s_own_probes(front) -> None:
    for path in ("/health", "/ready", "/metrics"):
        async with front.get(path) as response:
            assert response.status == 200
            text = await response.text()
    assert "gateway_requests_dropped_total" in text
    assert "gateway_live_clients" in text


def document(*paths: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    operation = {"operationId": "op", "responses": {"200": {"$ref": "#/components/schemas/Item"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "a service", "version": "0"},
        "paths": {path: {"get": operation} for path in paths},
        "components": {"schemas": {"Item": schema or {"type": "object"}}},
    }


async def test_one_document_of_all_public_paths(front_of, upstream, reply) -> None:
    upstream.answers["/openapi.json"] = reply(
        document(
            "/api/v1/content/{id}", "/api/v1/users/{id}/generation-jobs", "/ready", "/internal/v1/credentials/verify"
        )
    )
    async with front_of({"": upstream.url}) as front:
        async with front.get("/openapi.json") as response:
            body = await response.json()
        for path in ("/docs", "/redoc"):
            async with front.get(path) as response:
                assert response.status == 200
                page = await response.text()
            assert "/openapi.json" in page
            for script in re.findall(r'(?:src|href)="(/[^"]+)"', page):
                async with front.get(script) as response:
                    assert response.status == 200
    assert set(body["paths"]) == {
        "/",
        "/api/v1/health",
        "/api/v1/generation-jobs/{id}/events",
        "/api/v1/content/{id}",
        "/api/v1/users/{id}/generation-jobs",
    }
    assert body["info"]["title"] == "Genonaut API"
    assert body["x-genonaut-missing"] == []
    assert "Problem" in body["components"]["schemas"]


async def test_a_service_that_is_down_is_named_in_the_document(
    front_of, upstream, reply, closed_port, monkeypatch
) -> None:
    from genonaut.gateway.system import documents

    upstream.answers["/openapi.json"] = reply(document("/api/v1/content"))
    gone = f"http://127.0.0.1:{closed_port}"
    async with front_of({"": upstream.url, "analytics": gone}) as front:
        async with front.get("/openapi.json") as response:
            body = await response.json()
        assert body["x-genonaut-missing"] == ["analytics"]
        assert "analytics" in body["info"]["description"]

        # Known ones stay described while they are away; a changed one is seen when the document is asked for again.
        monkeypatch.setattr(documents, "RETRY_SECONDS", 0.0)
        front.runtime.documents._stale_at = 0.0
        upstream.answers["/openapi.json"] = reply(document("/api/v1/content", "/api/v1/tags"))
        async with front.get("/openapi.json") as response:
            assert "/api/v1/tags" in (await response.json())["paths"]
        upstream.answers["/openapi.json"] = reply(raw=b"{nonsense", status=500)
        async with front.get("/openapi.json") as response:
            assert "/api/v1/tags" in (await response.json())["paths"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_methods_that_are_not_taken(front, method: str) -> None:
    async with front.client.request(method, f"{front.url}/api/v1/health") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET"
        assert (await response.json(content_type=None))["error_code"] == "METHOD_NOT_ALLOWED"
