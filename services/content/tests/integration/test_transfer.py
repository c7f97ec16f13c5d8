"""A file of items becomes items, each line once, whatever happens meanwhile; and items become a file that does."""

import asyncio
import json
import os
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from genonaut.content.search.upkeep import recount
from genonaut.content.service import service
from genonaut.content.transfer import commands, queries
from genonaut.content.transfer.domain import COLUMNS, BadLineError, table_line, written
from genonaut.platform.replay import Rebuild
from genonaut.testkit.waiting import eventually

SHOWN = ("title", "prompt", "source_type", "content_type", "tags", "quality_score", "is_private", "created_at")


def made(count: int, *, seed: int = 1) -> list[dict[str, Any]]:
    choose = random.Random(seed)
    tags = [f"tag-{number}" for number in range(30)]
    start = datetime(2020, 1, 1, tzinfo=UTC)
    return [
        {
            "title": f"Item {number}",
            "prompt": choose.choice(["a dark forest", 'a "quoted"\ttab\nand a line', "Ünïcode 🙂"]),
            "creator": choose.choice(["ada", "BOB"]),
            "source": choose.choice(["regular", "auto"]),
            "tags": choose.sample(tags, choose.randrange(8)),
            "quality_score": choose.choice([0.0, 0.25, 1.0]),
            "is_private": choose.random() < 0.2,
            "created_at": (start + timedelta(seconds=choose.randrange(10**6))).isoformat(),
            "item_metadata": {"number": 2**64 - 1 - number, "nested": {"a": [1e300, None, "x"]}},
        }
        for number in range(count)
    ]


def ndjson(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def take_in(gallery: Any, file: Path, **more: Any) -> queries.Done:
    """Raises BadLineError for a line that is no item, unless `rejected` takes it."""

    def reject(line: int, problem: str) -> None:
        raise BadLineError(f"line {line}: {problem}")

    options = {"creator": None, "reject": reject, "progress": lambda _: None, "format_": "ndjson", **more}
    with file.open("rb") as opened:
        return await commands.take_in(gallery.runtime, opened, **options)


async def shown(gallery: Any, viewer: str) -> list[dict[str, Any]]:
    """All items that the viewer sees, without what is the gallery's."""
    found, cursor = [], {}
    while True:
        body = await gallery.get("/content/unified", user_id=viewer, page_size=100, sort_order="asc", **cursor)
        found += [{name: item[name] for name in SHOWN if name in item} for item in body["items"]]
        if not body["pagination"]["next_cursor"]:
            return found
        cursor = {"cursor": body["pagination"]["next_cursor"]}


@pytest.fixture
def batches_of_seven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "BATCH", 7)
    monkeypatch.setattr(commands, "FOLD_EVERY", 2)


async def test_each_line_is_an_item_as_old_as_it_says(
    still_gallery: Any, tmp_path: Path, batches_of_seven: None
) -> None:
    ada, bob = await still_gallery.user("ada"), await still_gallery.user("bob")
    rows = made(40)
    file = tmp_path / "items.ndjson"
    file.write_bytes(ndjson(rows))
    progress: list[int] = []

    done = await take_in(still_gallery, file, progress=lambda done: progress.append(done.line))

    assert (done.line, done.items, done.skipped) == (40, 40, 0)
    assert progress == [0, 7, 14, 21, 28, 35, 40]
    ids = {"ada": ada, "BOB": bob}
    for viewer in (ada, bob):
        expected = [row for row in rows if not row["is_private"] or ids[row["creator"]] == viewer]
        found = await shown(still_gallery, viewer)
        assert sorted(row["title"] for row in found) == sorted(row["title"] for row in expected)
        assert [row["created_at"] for row in found] == sorted(row["created_at"] for row in found)
        by_title = {row["title"]: row for row in found}
        for row in expected:
            item = by_title[row["title"]]
            assert item["tags"] == row["tags"]
            assert item["source_type"] == row["source"]
            assert datetime.fromisoformat(item["created_at"]) == datetime.fromisoformat(row["created_at"])
    found = await still_gallery.ids("/content/unified", tag="tag-3", page_size=100)
    assert len(found) == sum("tag-3" in row["tags"] and not row["is_private"] for row in rows)
    assert not await recount(still_gallery.runtime.database)
    assert await still_gallery.rows("SELECT count(*) FROM search_tail") == [(0,)]


async def test_what_was_taken_in_is_rebuilt_from_the_log(still_gallery: Any, tmp_path: Path) -> None:
    await still_gallery.user("ada")
    await still_gallery.user("bob")
    file = tmp_path / "items.ndjson"
    file.write_bytes(ndjson(made(50)))
    await take_in(still_gallery, file)

    async with still_gallery.platform.database("content", as_owner=True) as owner:
        for projection in service.projections:
            if projection.source is None:
                rebuild = Rebuild(projection, service="content", database=owner, bus=None)
                report = await rebuild.run(swap=False, progress=lambda *_: None)
                assert report.equal, report


async def test_a_file_that_was_interrupted_goes_on_and_one_that_is_done_changes_nothing(
    still_gallery: Any, tmp_path: Path, batches_of_seven: None
) -> None:
    await still_gallery.user("ada")
    await still_gallery.user("bob")
    file = tmp_path / "items.ndjson"
    file.write_bytes(ndjson(made(30)))

    def interrupt(done: queries.Done) -> None:
        if done.line == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await take_in(still_gallery, file, progress=interrupt)
    assert await still_gallery.rows("SELECT count(*) FROM content_items_all") == [(14,)]

    assert (await take_in(still_gallery, file)).items == 30
    assert (await take_in(still_gallery, file)).items == 30
    titles = await still_gallery.rows("SELECT title FROM content_items_all ORDER BY id")
    assert [title for (title,) in titles] == [f"Item {number}" for number in range(30)]


async def test_a_line_is_mended_and_the_file_goes_on_behind_what_came_before_it(
    still_gallery: Any, tmp_path: Path, batches_of_seven: None
) -> None:
    await still_gallery.user("ada")
    await still_gallery.user("bob")
    rows = made(30)
    file = tmp_path / "items.ndjson"
    whole_file = ndjson(rows).splitlines(keepends=True)
    file.write_bytes(b"".join([*whole_file[:17], b"{}\n", *whole_file[18:]]))

    with pytest.raises(BadLineError, match="line 18"):
        await take_in(still_gallery, file)
    assert await still_gallery.rows("SELECT count(*) FROM content_items_all") == [(17,)]

    file.write_bytes(b"".join(whole_file))
    assert (await take_in(still_gallery, file)).items == 30
    await whole(still_gallery, rows)


async def test_a_file_that_has_grown_goes_on_and_another_one_is_another_one(
    still_gallery: Any, tmp_path: Path, batches_of_seven: None
) -> None:
    await still_gallery.user("ada")
    await still_gallery.user("bob")
    rows = made(40)
    file, other = tmp_path / "items.ndjson", tmp_path / "other.ndjson"
    file.write_bytes(ndjson(rows[:10]))
    await take_in(still_gallery, file)

    file.write_bytes(ndjson(rows[:30]))
    assert (await take_in(still_gallery, file)).items == 30
    other.write_bytes(ndjson([rows[30], *rows[1:10]]))  # as long, and with the same lines but for the first one
    assert (await take_in(still_gallery, other)).items == 10

    assert await still_gallery.rows("SELECT count(*) FROM content_items_all") == [(40,)]


async def whole(gallery: Any, rows: list[dict[str, Any]]) -> None:
    """Each of the rows is an item once, in events as in tables, and all that is made of them is right."""
    expected = [(row["title"],) for row in rows]
    assert await gallery.rows("SELECT title FROM content_items_all ORDER BY id") == expected
    logged = "FROM events WHERE type = 'content.item.created'"
    assert await gallery.rows(f"SELECT data->>'title' {logged} ORDER BY position") == expected
    assert await gallery.rows(f"SELECT count(DISTINCT stream), max(version) {logged}") == [(len(rows), 1)]
    async with gallery.platform.database("content", as_owner=True) as owner:
        for projection in service.projections:
            if projection.source is None:
                rebuild = Rebuild(projection, service="content", database=owner, bus=None)
                assert (await rebuild.run(swap=False, progress=lambda *_: None)).equal
    assert not await recount(gallery.runtime.database)
    assert await gallery.rows("SELECT count(*) FROM search_tail") == [(0,)]


@pytest.mark.parametrize("seed", range(3))
async def test_one_that_ends_at_any_moment_goes_on_with_nothing_twice_and_nothing_missing(
    still_gallery: Any, tmp_path: Path, batches_of_seven: None, seed: int
) -> None:
    await still_gallery.user("ada")
    await still_gallery.user("bob")
    rows = made(80, seed=seed)
    file = tmp_path / "items.ndjson"
    file.write_bytes(ndjson(rows))
    choose = random.Random(seed)

    for _ in range(6):
        task = asyncio.create_task(take_in(still_gallery, file))
        await asyncio.wait([task], timeout=choose.uniform(0.01, 0.3))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert (await take_in(still_gallery, file)).items == 80
    await whole(still_gallery, rows)


async def test_a_process_that_is_killed_is_followed_by_one_that_goes_on(still_gallery: Any, tmp_path: Path) -> None:
    await still_gallery.user("ada")
    await still_gallery.user("bob")
    rows = made(9_000)
    file = tmp_path / "items.ndjson"
    file.write_bytes(ndjson(rows))
    settings = still_gallery.runtime.settings
    environment = os.environ | {
        "APP_ENV": "test",
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "NATS_URL": settings.nats_url.get_secret_value(),
        "OBJECT_STORE_URL": str(settings.object_store_url),
        "API_SECRET_KEY": settings.api_secret_key.get_secret_value(),
    }
    command = (Path(sys.executable).with_name("genonaut"), "content", "import", file)
    killed = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL)

    async def has_begun() -> bool:
        return await still_gallery.rows("SELECT max(line) FROM imports") == [(commands.BATCH,)]

    await eventually(has_begun, within=60, reason="no batch is committed")
    killed.kill()  # with a batch in the log, and one that is read
    await killed.wait()

    again = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL)
    assert await again.wait() == 0
    await whole(still_gallery, rows)


async def test_a_batch_that_fails_takes_those_after_it_along_and_none_before_it(
    still_gallery: Any, tmp_path: Path, batches_of_seven: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await still_gallery.user("ada")
    await still_gallery.user("bob")
    rows = made(40)
    file = tmp_path / "items.ndjson"
    file.write_bytes(ndjson(rows))
    store, projected = still_gallery.runtime.store, 0
    project = store.project

    async def fail_once(connection: Any, prepared: Any) -> None:
        nonlocal projected
        projected += prepared.name == "item"
        if prepared.name == "item" and projected == 3:
            raise RuntimeError("the third batch fails")
        await project(connection, prepared)

    monkeypatch.setattr(store, "project", fail_once)
    with pytest.raises(RuntimeError, match="the third batch"):
        await take_in(still_gallery, file)
    assert await still_gallery.rows("SELECT line, items FROM imports ORDER BY line") == [(7, 7), (14, 14)]
    assert await still_gallery.rows("SELECT count(*) FROM events WHERE type = 'content.item.created'") == [(14,)]

    assert (await take_in(still_gallery, file)).items == 40
    await whole(still_gallery, rows)


async def test_two_that_take_in_the_same_file_take_in_no_line_twice(
    still_gallery: Any, tmp_path: Path, batches_of_seven: None
) -> None:
    await still_gallery.user("ada")
    await still_gallery.user("bob")
    rows = made(40)
    file = tmp_path / "items.ndjson"
    file.write_bytes(ndjson(rows))

    both = await asyncio.gather(*(take_in(still_gallery, file) for _ in range(2)), return_exceptions=True)

    assert any(isinstance(each, commands.TakenInElsewhereError) for each in both)
    assert (await take_in(still_gallery, file)).items == 40
    titles = await still_gallery.rows("SELECT title FROM content_items_all ORDER BY id")
    assert sorted(titles) == sorted((row["title"],) for row in rows)


async def test_a_file_whose_events_the_stream_has_no_room_for_is_refused(still_gallery: Any, tmp_path: Path) -> None:
    file = tmp_path / "items.ndjson"
    file.write_bytes(ndjson(made(20)))

    async def look(left: int) -> None:
        with file.open("rb") as opened:
            await commands.look_for_room(still_gallery.runtime, opened, "ndjson", left=left)

    await look(20)
    await look(100_000)
    with pytest.raises(commands.NoRoomError, match=r"has room for 16,38[34]\."):
        await look(100_000_000)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "this is no JSON"),
        (b"[]", "valid dictionary"),
        (b'{"title": "x"}', "prompt: Field required"),
        (b'{"title": " ", "prompt": "p"}', "title: String should have at least 1 character"),
        (b'{"title": "x", "prompt": "p", "colour": "red"}', "colour: Extra inputs"),
        (b'{"title": "x", "prompt": "p", "tags": ["?"]}', "tags: a tag is made of"),
        (b'{"title": "x", "prompt": "p", "tags": ["7d0c1c6e-1f7a-4c55-9b0e-2f4f5c1f8a01"]}', "named by their slugs"),
        (b'{"title": "x", "prompt": "p", "creator": "nobody"}', "there is no active user nobody"),
        (b'{"title": "x", "prompt": "p", "quality_score": 2}', "quality_score: Input should be less"),
        (b'{"title": "x", "prompt": "p", "created_at": "2026-01-01T00:00:00"}', "created_at"),
        (b'{"title": "x\\u0000", "prompt": "p"}', "NUL"),
        (b'{"title": "\xff", "prompt": "p"}', "this is no JSON"),
        (b'{"title": "x", "prompt": "p", "item_metadata": {"a": 18446744073709551617}}', "more than 64 bits"),
        (b'{"title": "x", "prompt": "p", "item_metadata": {"a": NaN}}', "NaN is no number"),
        (b'{"title": "x", "prompt": "p", "item_metadata": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", "deep"),
        (b'{"title": "x", "prompt": "p", "content_data": "' + b"x" * 900_000 + b'"}', "more than 800000 characters"),
    ],
)
async def test_a_line_that_is_no_item_is_named_and_loses_nothing(
    still_gallery: Any, tmp_path: Path, batches_of_seven: None, line: bytes, problem: str
) -> None:
    await still_gallery.user("ada")
    good = ndjson([{"title": f"Item {number}", "prompt": "p"} for number in range(10)])
    file = tmp_path / "items.ndjson"
    file.write_bytes(good + line + b"\n" + good)

    with pytest.raises(BadLineError, match="line 11: ") as refused:
        await take_in(still_gallery, file, creator="ada")
    assert problem in str(refused.value)
    assert await still_gallery.rows("SELECT count(*) FROM content_items_all") == [(10,)]

    rejected: list[tuple[int, str]] = []
    done = await take_in(still_gallery, file, creator="ada", reject=lambda *each: rejected.append(each))
    assert (done.items, done.skipped) == (20, 1)
    assert [number for number, _ in rejected] == [11]


async def test_inactive_people_create_nothing(still_gallery: Any, tmp_path: Path) -> None:
    ada = await still_gallery.user("ada")
    await still_gallery.put(f"/users/{ada}/status", {"is_active": False})
    file = tmp_path / "items.ndjson"
    file.write_bytes(ndjson([{"title": "x", "prompt": "p", "creator": "ada"}]))

    with pytest.raises(BadLineError, match="no active user ada"):
        await take_in(still_gallery, file)


@pytest.mark.parametrize("format_", ["ndjson", "tsv"])
async def test_what_is_written_out_is_read_back(still_gallery: Any, tmp_path: Path, format_: Any) -> None:
    for name in ("ada", "bob"):
        await still_gallery.user(name)
    file = tmp_path / "items.ndjson"
    file.write_bytes(ndjson(made(25)))
    await take_in(still_gallery, file)

    async def export() -> bytes:
        async with still_gallery.runtime.database.driver() as connection, connection.transaction():
            rows = [row async for row in queries.exported(connection, public_only=False)]
            return b"".join(written(row, format_) for row in rows[-25:])

    first = await export()
    again = tmp_path / f"again.{format_}"
    again.write_bytes((table_line(COLUMNS) if format_ == "tsv" else b"") + first)
    assert (await take_in(still_gallery, again, format_=format_)).items == 25

    assert await export() == first


async def test_a_column_that_there_is_not_is_refused(still_gallery: Any, tmp_path: Path) -> None:
    file = tmp_path / "items.tsv"
    file.write_bytes(b"title\tprompt\tcolour\nx\tp\tred\n")

    with pytest.raises(BadLineError, match="no column colour"):
        await take_in(still_gallery, file, format_="tsv")


async def test_lines_of_a_table_may_leave_columns_empty_and_out(still_gallery: Any, tmp_path: Path) -> None:
    await still_gallery.user("ada")
    file = tmp_path / "items.tsv"
    file.write_bytes(b"prompt\ttitle\ttags\tis_private\np\tOne\tsea| Night Sky\t\np\tTwo\n\np\tThree\t\ttrue\n")

    done = await take_in(still_gallery, file, format_="tsv", creator="ada")

    assert (done.items, done.skipped) == (3, 0)
    body = await still_gallery.get("/content", sort_field="title")
    assert [(item["title"], item["tags"]) for item in body["items"]] == [("Two", []), ("One", ["sea", "night-sky"])]


async def test_what_tags_mean_holds_for_a_file_too(still_gallery: Any, tmp_path: Path) -> None:
    await still_gallery.user("ada")
    tag = await still_gallery.post("/tags", {"slug": "cat"})
    await still_gallery.post(f"/tags/{tag['id']}/aliases", {"alias": "kitty"})
    await still_gallery.post(f"/tags/{tag['id']}/implications", {"implied": "animal"})
    file = tmp_path / "items.ndjson"
    file.write_bytes(ndjson([{"title": "x", "prompt": "p", "creator": "ada", "tags": ["kitty", "cat", "sea"]}]))

    await take_in(still_gallery, file)

    (item,) = (await still_gallery.get("/content", tag="animal"))["items"]
    assert item["tags"] == ["cat", "sea", "animal"]
