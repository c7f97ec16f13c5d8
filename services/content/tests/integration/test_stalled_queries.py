"""A query that does not get done is ended, and who asked is told so in the documented words, whatever they asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest_asyncio

from genonaut.content.service import service
from genonaut.testkit.reads import Read, reads

MILLISECONDS = 150
WORDS = "The operation took too long to complete. Please try again or refine your request."
NOBODY = str(UUID(int=7))
KNOWN = {
    "/api/v1/users/*:id": (NOBODY,),
    **dict.fromkeys(("id", "content_id"), (1,)),
    **dict.fromkeys(("user_id", "creator_id", "tag_id", "tag_ids", "tag_ids[]"), (NOBODY,)),
    **dict.fromkeys(("tag_name", "algorithm", "q"), ("sea",)),
    "sha256": ("0" * 64,),
}
WITHOUT_DATABASE = {"/health", "/ready"}
"""The second asks whether there is an answer at all, on a connection of its own."""


@pytest_asyncio.fixture
async def hurried(platform: Any, valkey: str, gallery_of: Any) -> AsyncIterator[Any]:
    """A gallery that does not wait for long."""
    alone = replace(service, background=(), consumers=(), relays=False)
    async with platform.running(alone, redis_url=valkey, statement_timeout_ms=MILLISECONDS) as running:
        yield gallery_of(running.client, running.runtime, platform, None)


@asynccontextmanager
async def stalled(gallery: Any) -> AsyncIterator[None]:
    """Somebody has every table of the service for themselves."""
    connection = await asyncpg.connect(gallery.platform.admin_url())
    try:
        async with connection.transaction():
            tables = await connection.fetch(
                "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = 'content'"
            )
            await connection.execute(f"LOCK TABLE {', '.join(row['name'] for row in tables)} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def all_reads(gallery: Any) -> list[tuple[str, Read]]:
    document = (await gallery.client.get("/openapi.json")).json()
    found = [("GET", each) for each in reads(document, KNOWN, always={"user_id": NOBODY}, varied=False)]
    searches = [path for path, methods in document["paths"].items() if path.endswith("/search") and "post" in methods]
    return [
        *(pair for pair in found if pair[1].route not in WITHOUT_DATABASE),
        *(("POST", Read(p, p)) for p in searches),
    ]


async def test_whatever_is_asked_is_ended_and_told_so(hurried) -> None:
    asked = await all_reads(hurried)
    assert len(asked) > 60

    async with stalled(hurried):
        body = {"POST": {"json": {}}}
        answers = await asyncio.gather(
            *(
                hurried.client.request(method, each.path, params=each.query, **body.get(method, {}))
                for method, each in asked
            )
        )

    wrong = {}
    for (method, each), answer in zip(asked, answers, strict=True):
        told = answer.json()
        context = told.get("details", {}).get("context", {})
        endpoint = context.pop("endpoint", None)
        seen = answer.status_code, told.get("error_type"), told.get("message"), told.get("timeout_duration"), context
        who = {name: value for name, value in each.query if name == "user_id"}
        due_context = {"path": each.path, "method": method, **who}
        due = 504, "statement_timeout", WORDS, f"{MILLISECONDS / 1000:g}s", due_context
        if seen != due or not endpoint:
            wrong[method, each.path] = answer.status_code, told
    assert wrong == {}
    # What took the connections gives them back.
    assert [(await hurried.client.get("/api/v1/content")).status_code for _ in range(20)] == [200] * 20


async def test_a_page_that_is_kept_is_shown_all_the_same(hurried) -> None:
    ada = await hurried.user("ada")
    await hurried.item(ada)
    shown = await hurried.client.get("/api/v1/content/unified")

    async with stalled(hurried):
        again = await hurried.client.get("/api/v1/content/unified")
        other = await hurried.client.get("/api/v1/content/unified", params={"cache_bypass": True})

    assert (again.status_code, again.headers["x-cache"], again.content) == (200, "hit", shown.content)
    assert other.status_code == 504
