"""The index stays as its rows are, small and right: it is folded in time, compared now and then, and mended."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from genonaut.content.search import folding, upkeep
from genonaut.content.search.upkeep import fold_everything, fold_what_is_due, recount
from genonaut.contracts.content import SourceType
from genonaut.platform.metrics import REGISTRY
from genonaut.testkit.waiting import eventually


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "BLOCK_SIZE", 8)
    monkeypatch.setattr(folding, "FULL_AFTER_MERGE", 6)
    monkeypatch.setattr(folding, "KEEP", 2)
    monkeypatch.setattr(folding, "BATCH", 4)


async def made(gallery: Any, count: int, **more: Any) -> list[int]:
    """Items of one creator, a second apart, with the tag sea."""
    creator = await gallery.user()
    ids = []
    for _ in range(count):
        gallery.clock.now += timedelta(seconds=1)
        ids.append((await gallery.item(creator, tags=["sea"], **more))["id"])
    return ids


async def tail(gallery: Any) -> list[int]:
    return [row[0] for row in await gallery.rows("SELECT item_id FROM search_tail ORDER BY item_id")]


async def run(gallery: Any, *statements: str) -> None:
    async with gallery.runtime.database.driver() as connection:
        for statement in statements:
            await connection.execute(statement)


async def test_new_items_are_folded_when_there_are_enough_but_not_the_newest(still_gallery: Any, small: None) -> None:
    database = still_gallery.runtime.database
    ids = await made(still_gallery, 5)
    assert (await fold_what_is_due(database, still_gallery.clock.now)).appended == 0
    ids += await made(still_gallery, 6)

    folded = await fold_what_is_due(database, still_gallery.clock.now)

    assert folded.appended == 8
    assert await tail(still_gallery) == ids[8:]


async def test_when_nothing_comes_any_more_all_of_it_is_folded(still_gallery: Any, small: None) -> None:
    ids = await made(still_gallery, 5)

    folded = await fold_what_is_due(still_gallery.runtime.database, still_gallery.clock.now + timedelta(minutes=2))

    assert (folded.appended, await tail(still_gallery)) == (5, [])
    assert await still_gallery.ids("/content", tag="sea", page_size=100) == ids[::-1]


async def test_an_item_that_is_made_late_is_where_its_time_is(still_gallery: Any, small: None) -> None:
    database = still_gallery.runtime.database
    ids = await made(still_gallery, 20)
    await fold_everything(database)
    blocks = await still_gallery.rows("SELECT count(*) FROM search_blocks")
    now = still_gallery.clock.now
    still_gallery.clock.now -= timedelta(seconds=10, milliseconds=500)
    (late,) = await made(still_gallery, 1)
    still_gallery.clock.now = now
    position = ids.index(late - 10) if late - 10 in ids else None

    before = await still_gallery.ids("/content", tag="sea", page_size=100)
    assert (await fold_everything(database)).merged == 1

    assert await still_gallery.ids("/content", tag="sea", page_size=100) == before
    assert before.index(late) not in {0, len(before) - 1}, position
    assert await tail(still_gallery) == []
    assert not await recount(database)
    assert blocks <= await still_gallery.rows("SELECT count(*) FROM search_blocks")


async def test_two_who_fold_do_it_once(still_gallery: Any, small: None) -> None:
    database = still_gallery.runtime.database
    ids = await made(still_gallery, 12)

    await asyncio.gather(*(fold_everything(database) for _ in range(3)))

    positions = await still_gallery.rows("SELECT item_id FROM search_positions ORDER BY block, position")
    assert [row[0] for row in positions] == ids
    assert not await recount(database)


async def test_items_that_change_while_they_are_folded_are_right_afterwards(still_gallery: Any, small: None) -> None:
    """The one who changes waits for the one who folds, and then notes where the item is by now."""
    database = still_gallery.runtime.database
    ids = await made(still_gallery, 6)

    async def retag(item_id: int) -> None:
        response = await still_gallery.client.put(f"/api/v1/content/{item_id}", json={"tags": ["sky"]})
        assert response.status_code == 200, response.text

    async with database.driver() as connection:
        transaction = connection.transaction()
        await transaction.start()
        folded = await folding.fold(connection, keep=0, batch=100)
        assert folded is not None
        changes = [asyncio.create_task(retag(item_id)) for item_id in ids]
        for _ in range(500):
            waiting = await still_gallery.rows("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if waiting[0][0]:
                break
            await asyncio.sleep(0.01)
        assert waiting[0][0], "nobody waits for who folds"
        await transaction.commit()
    await asyncio.gather(*changes)

    for _ in range(2):
        assert await still_gallery.ids("/content", tag="sky", page_size=100) == ids[::-1]
        assert await still_gallery.ids("/content", tag="sea") == []
        await fold_everything(database)
    assert not await recount(database)


async def test_what_differs_is_found_and_mended(still_gallery: Any, small: None) -> None:
    database = still_gallery.runtime.database
    ids = await made(still_gallery, 12)
    await fold_everything(database)
    lost, *_ = await made(still_gallery, 2)
    listed = await still_gallery.ids("/content", tag="sea", page_size=100)
    blocks = [row[0] for row in await still_gallery.rows("SELECT block FROM search_blocks ORDER BY first_at")]
    assert not await recount(database)

    await run(
        still_gallery,
        f"UPDATE search_segments SET bits = (SELECT bits FROM search_segments WHERE block = {blocks[1]} LIMIT 1)"
        f" WHERE block = {blocks[0]} AND key = (SELECT max(key) FROM search_segments WHERE block = {blocks[0]})",
        f"DELETE FROM search_segments WHERE block = {blocks[1]} AND key = (SELECT min(key) FROM search_segments)",
        f"DELETE FROM search_tail WHERE item_id = {lost}",
        "UPDATE tag_cardinality_stats SET cardinality = cardinality + 5",
    )
    found = await recount(database, repair=False)
    assert found
    source: SourceType = "items"
    ((key,),) = await still_gallery.rows("SELECT key FROM search_keys k JOIN tags t USING (id) WHERE slug = 'sea'")
    assert (found.items, found.lost, found.counts) == (14, 1, {(key, source): -5})
    assert set(found.blocks) <= set(blocks)
    assert found.blocks
    assert await recount(database)

    assert not await recount(database)
    assert await still_gallery.ids("/content", tag="sea", page_size=100) == listed
    assert len(ids) == 12
    assert await still_gallery.rows("SELECT cardinality FROM tag_cardinality_stats") == [(14,)]


async def test_a_block_whose_order_is_wrong_is_made_anew(still_gallery: Any, small: None) -> None:
    database = still_gallery.runtime.database
    ids = await made(still_gallery, 6)
    await fold_everything(database)
    first, second = ids[:2]
    await run(
        still_gallery,
        f"UPDATE search_positions SET position = 100 WHERE item_id = {first}",
        f"UPDATE search_positions SET position = 0 WHERE item_id = {second}",
        f"UPDATE search_positions SET position = 1 WHERE item_id = {first}",
    )

    found = await recount(database)

    assert found
    assert len(found.blocks) == 1
    assert not await recount(database)
    assert await still_gallery.ids("/content", page_size=100) == ids[::-1]


async def test_what_is_counted_meanwhile_is_not_lost(still_gallery: Any) -> None:
    """A count is moved by what it was off."""
    await made(still_gallery, 2)
    await run(still_gallery, "UPDATE tag_cardinality_stats SET cardinality = 0")
    async with still_gallery.runtime.database.driver() as connection:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            found = await upkeep.drift(connection)
        await made(still_gallery, 1)
        async with connection.transaction():
            await upkeep.mend(connection, found)

    assert await still_gallery.rows("SELECT cardinality FROM tag_cardinality_stats") == [(3,)]


async def test_one_recounts_at_a_time(still_gallery: Any) -> None:
    await made(still_gallery, 1)
    async with still_gallery.runtime.database.driver() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('genonaut search recount'))")

        assert await recount(still_gallery.runtime.database) is None


Line = dict[str, Any]


@asynccontextmanager
async def running(
    gallery: Any, background: Callable[[Any], Coroutine[Any, Any, None]], **settings: Any
) -> AsyncIterator[list[Line]]:
    """What it says while it runs with these settings. Each line says what the gauge of drift was, too."""

    def with_gauge(_: Any, __: str, line: Line) -> Line:
        return {**line, "gauge": REGISTRY.get_sample_value("content_search_drift")}

    runtime = gallery.runtime
    changed = replace(runtime, settings=type(runtime.settings)(**{**dict(runtime.settings), **settings}))
    with capture_logs(processors=[with_gauge]) as lines:
        task = asyncio.create_task(background(changed))
        try:
            yield lines
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_drift_is_told_shown_and_mended_by_itself(still_gallery: Any) -> None:
    lost, *others = await made(still_gallery, 3)
    await run(
        still_gallery,
        f"DELETE FROM search_tail WHERE item_id = {lost}",
        "UPDATE tag_cardinality_stats SET cardinality = cardinality + 5",
    )
    assert await still_gallery.ids("/content") == others[::-1]

    async with running(still_gallery, upkeep.recount_now_and_then, search_recount_seconds=0.01) as lines:
        await eventually(
            lambda: [line["event"] for line in lines].count("search.recounted") >= 3, reason="nobody recounts again"
        )

    drift, *recounts = [line for line in lines if line["event"].startswith("search.")]
    assert (drift["event"], drift["log_level"]) == ("search.drift", "error")
    assert (drift["lost"], drift["tags"], list(drift["some"].values())) == (1, 1, [-5])
    assert {(line["event"], line["items"]) for line in recounts} == {("search.recounted", 3)}
    assert [line["gauge"] for line in recounts] == [2, *([0] * (len(recounts) - 1))]
    assert await still_gallery.ids("/content") == [*others[::-1], lost]
    assert await still_gallery.rows("SELECT cardinality FROM tag_cardinality_stats") == [(3,)]


async def test_a_recount_that_fails_is_told_and_made_again(still_gallery: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    once, compare = iter([OSError("no disk")]), upkeep.drift

    async def drift(*arguments: Any, **more: Any) -> Any:
        for error in once:
            raise error
        return await compare(*arguments, **more)

    monkeypatch.setattr(upkeep, "drift", drift)
    async with running(still_gallery, upkeep.recount_now_and_then, search_recount_seconds=0.01) as lines:
        await eventually(lambda: len(lines) >= 2, reason="it is not tried again")

    failed, again = lines[:2]
    assert (failed["event"], failed["error"]) == ("search.recount_failed", "OSError: no disk")
    assert again["event"] == "search.recounted"


async def test_a_process_with_knobs_of_the_older_planner_says_so_once(
    still_gallery: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.01)
    await made(still_gallery, 1)
    still_gallery.clock.now += timedelta(minutes=2)
    older = {"query_planner_tag_prejoin_for_content_queries": {"small_k_threshold": 3, "stats": {"source": "table"}}}

    async with running(still_gallery, upkeep.keep_folded, performance=older) as lines:
        await eventually(lambda: any(line["event"] == "search.folded" for line in lines), reason="nothing is folded")

    told = [line["knobs"] for line in lines if line["event"] == "search.knobs_retired"]
    assert told == [["small_k_threshold", "stats.source"]]
