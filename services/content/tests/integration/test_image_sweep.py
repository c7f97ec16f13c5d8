"""What becomes of images that no item shows: kept for a while, then retired, then gone; and what goes on meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from genonaut.content import commands
from genonaut.content.images import sweep as sweeping
from genonaut.content.images.sweep import Swept, sweep
from genonaut.content.items.consumers import publish
from genonaut.content.service import service
from genonaut.contracts.generation import JobCompleted
from genonaut.platform.images import clean_key, derived_prefix, image_key, rendition_key, store_image
from genonaut.platform.objects import ObjectStore, ObjectStoreError
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.platforms import FakeClock
from genonaut.testkit.waiting import eventually

DAY = timedelta(days=1)


@pytest.fixture
def clock(gallery):
    """Of the store, whose files are as old as they are."""
    gallery.clock.now = datetime.now(UTC)
    return gallery.clock


async def events(gallery, sha256: str) -> list[str]:
    found = await gallery.rows("SELECT type FROM events WHERE stream = 'image-' || :sha ORDER BY version", sha=sha256)
    return [kind.rpartition(".")[2] for (kind,) in found]


async def stored(gallery, sha256: str) -> list[str]:
    objects: ObjectStore = gallery.runtime.objects
    kept = [each.key async for each in objects.below(derived_prefix(sha256).rstrip("/"))]
    return kept + [image_key(sha256)] * await objects.exists(image_key(sha256))


async def is_whole(gallery, sha256: str) -> bool:
    keys = (image_key(sha256), clean_key(sha256), rendition_key(sha256, 300, "webp"))
    return all([await gallery.runtime.objects.exists(key) for key in keys])


async def use(gallery, sha256: str) -> list[tuple[Any, ...]]:
    return await gallery.rows("SELECT shown_by, retired_at IS NOT NULL FROM images WHERE sha256 = :sha", sha=sha256)


async def test_an_upload_that_nobody_uses_goes_after_a_day(gallery, picture, clock) -> None:
    sha256 = (await gallery.image(picture(1)))["sha256"]
    await gallery.client.get(f"/api/v1/images/{sha256}?size=64")

    clock.now += DAY
    assert await sweep(gallery.runtime) == Swept(retired=0, removed=0)
    assert await is_whole(gallery, sha256)

    clock.now += timedelta(seconds=1)
    assert await sweep(gallery.runtime) == Swept(retired=1, removed=1)
    assert await stored(gallery, sha256) == []
    assert await gallery.problem("GET", f"/images/{sha256}") == (404, "NOT_FOUND")
    assert await events(gallery, sha256) == ["uploaded", "retired", "removed"]
    assert await gallery.rows("SELECT * FROM images") == []
    assert await gallery.rows("SELECT * FROM image_uploads") == []
    assert await sweep(gallery.runtime) == Swept(retired=0, removed=0)


async def test_an_image_stays_until_its_last_item_is_gone_for_a_day(gallery, picture, clock) -> None:
    ada = await gallery.user()
    sha256 = (await gallery.image(picture(1), user_id=ada))["sha256"]
    items = [await gallery.item(ada, image=sha256, is_private=private) for private in (False, True, False)]

    for item, left in zip(items, (2, 1, 0), strict=True):
        clock.now += 2 * DAY
        assert await sweep(gallery.runtime) == Swept(0, 0)
        await gallery.delete(item)
        assert await use(gallery, sha256) == [(left, False)]

    clock.now += DAY
    assert await sweep(gallery.runtime) == Swept(0, 0)
    clock.now += timedelta(seconds=1)
    assert await sweep(gallery.runtime) == Swept(1, 1)
    assert await stored(gallery, sha256) == []


async def test_an_image_that_an_item_shows_stays_whatever_the_count_says(gallery, picture, clock) -> None:
    image = await gallery.image(picture(1))
    await gallery.item(await gallery.user(), image=image["sha256"])
    async with gallery.runtime.database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE images SET shown_by = 0")
    clock.now += 2 * DAY

    assert await sweep(gallery.runtime) == Swept(0, 0)


async def test_who_brings_it_again_in_time_keeps_it(gallery, picture, clock) -> None:
    sha256 = (await gallery.image(picture(1)))["sha256"]
    clock.now += DAY - timedelta(minutes=1)
    await gallery.image(picture(1))
    clock.now += timedelta(minutes=2)

    assert await sweep(gallery.runtime) == Swept(0, 0)
    assert await events(gallery, sha256) == ["uploaded", "uploaded"]


async def test_who_brings_it_again_afterwards_has_a_new_one(gallery, picture, clock) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    sha256 = (await gallery.image(picture(1), user_id=ada))["sha256"]
    clock.now += 2 * DAY
    await sweep(gallery.runtime)

    await gallery.image(picture(1), user_id=bob)

    assert await is_whole(gallery, sha256)
    assert await gallery.rows("SELECT user_id::text FROM image_uploads") == [(bob,)]
    await gallery.item(bob, image=sha256)


async def test_after_a_private_item_its_image_is_there_for_nobody_who_only_knows_its_hash(gallery, picture) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    image = await gallery.image(picture(1))
    await gallery.delete(await gallery.item(ada, image=image["sha256"], is_private=True))

    for viewer in ("", f"?user_id={bob}", f"?user_id={ada}"):
        assert await gallery.problem("GET", f"/images/{image['sha256']}{viewer}") == (404, "NOT_FOUND")


async def half_swept(gallery, monkeypatch) -> None:
    """Retired, and the process ends before its bytes are gone."""

    async def crash(*_: Any) -> bool:
        raise ObjectStoreError("the process is gone")

    with monkeypatch.context() as patch:
        patch.setattr(sweeping, "_deleted", crash)
        with pytest.raises(ObjectStoreError):
            await sweep(gallery.runtime)


async def test_a_retired_image_is_there_for_nobody(gallery, picture, clock, monkeypatch) -> None:
    ada = await gallery.user()
    sha256 = (await gallery.image(picture(1), user_id=ada))["sha256"]
    clock.now += 2 * DAY
    await half_swept(gallery, monkeypatch)

    assert await use(gallery, sha256) == [(0, True)]
    assert await gallery.problem("GET", f"/images/{sha256}?user_id={ada}") == (404, "NOT_FOUND")
    item = {"title": "t", "content_type": "image", "prompt": "p", "creator_id": ada, "image": sha256}
    assert await gallery.problem("POST", "/content", json=item) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize("deleted", range(9))
async def test_a_sweep_that_ended_anywhere_is_gone_on_with(gallery, picture, clock, monkeypatch, deleted) -> None:
    sha256 = (await gallery.image(picture(1)))["sha256"]
    clock.now += 2 * DAY
    delete, done = ObjectStore.delete, []

    async def crash(self, key: str) -> None:
        if len(done) == deleted:
            raise ObjectStoreError("the process is gone")
        done.append(key)
        await delete(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "delete", crash)
        if deleted < 8:
            with pytest.raises(ObjectStoreError):
                await sweep(gallery.runtime)
            assert await use(gallery, sha256) == [(0, True)]
            assert len(await stored(gallery, sha256)) == 8 - deleted
        else:
            await sweep(gallery.runtime)

    assert await sweep(gallery.runtime) == Swept(retired=0, removed=int(deleted < 8))
    assert await stored(gallery, sha256) == []
    assert await events(gallery, sha256) == ["uploaded", "retired", "removed"]


@pytest.mark.parametrize("deleted", [0, 3, 7])
async def test_who_brings_it_again_after_a_crash_has_a_whole_one(gallery, picture, clock, monkeypatch, deleted) -> None:
    ada = await gallery.user()
    sha256 = (await gallery.image(picture(1), user_id=ada))["sha256"]
    clock.now += 2 * DAY
    await half_swept(gallery, monkeypatch)
    for key in (await stored(gallery, sha256))[:deleted]:
        await gallery.runtime.objects.delete(key)

    await gallery.image(picture(1), user_id=ada)

    assert await use(gallery, sha256) == [(0, False)]
    assert await is_whole(gallery, sha256)
    assert await sweep(gallery.runtime) == Swept(0, 0)
    await gallery.item(ada, image=sha256)


async def test_an_image_that_is_brought_again_while_its_bytes_go_is_whole(gallery, picture, clock, monkeypatch) -> None:
    """The upload finds the bytes stored, then the sweep deletes them, then the upload says that they are there."""
    sha256 = (await gallery.image(picture(1)))["sha256"]
    clock.now += 2 * DAY
    from genonaut.content.images import commands as uploads

    async def store_then_swept(*words: Any) -> Any:
        image = await store_image(*words)
        monkeypatch.setattr(uploads, "store_image", store_image)
        assert await sweep(gallery.runtime) == Swept(1, 1)
        return image

    monkeypatch.setattr(uploads, "store_image", store_then_swept)
    await gallery.image(picture(1))

    assert await is_whole(gallery, sha256)
    assert (await gallery.client.get(f"/api/v1/images/{sha256}")).content == picture(1)


async def test_at_the_same_moment_either_the_image_stays_or_the_item_is_refused(gallery, picture, clock) -> None:
    ada = await gallery.user()
    hashes = [(await gallery.image(picture(seed), user_id=ada))["sha256"] for seed in range(1, 9)]
    clock.now += 2 * DAY

    async def show(sha256: str) -> int:
        body = {"title": "t", "content_type": "image", "prompt": "p", "creator_id": ada, "image": sha256}
        return (await gallery.client.post("/api/v1/content", json=body)).status_code

    statuses, *_ = await asyncio.gather(
        asyncio.gather(*(show(sha256) for sha256 in hashes)), sweep(gallery.runtime), sweep(gallery.runtime)
    )

    assert set(statuses) <= {201, 422}
    for sha256, status in zip(hashes, statuses, strict=True):
        assert await is_whole(gallery, sha256) is (status == 201)
        assert (await use(gallery, sha256) == [(1, False)]) is (status == 201)


async def test_at_the_same_moment_an_upload_ends_with_a_whole_image(gallery, picture, clock) -> None:
    hashes = [(await gallery.image(picture(seed)))["sha256"] for seed in range(1, 9)]
    clock.now += 2 * DAY

    await asyncio.gather(
        *(gallery.image(picture(seed)) for seed in range(1, 9)), sweep(gallery.runtime), sweep(gallery.runtime)
    )

    for sha256 in hashes:
        assert await is_whole(gallery, sha256)
        assert await use(gallery, sha256) == [(0, False)]


def completed(user_id: str, image: Any) -> JobCompleted:
    return JobCompleted(
        job_id=1,
        user_id=user_id,
        attempt=1,
        images=[image],
        generation_ms=1,
        title="t",
        prompt="p",
        checkpoint_model="m",
    )


async def test_bytes_that_the_driver_has_just_stored_stay_for_an_item_that_is_still_to_come(
    gallery, picture, clock
) -> None:
    """The same bytes as those of an image that is on its way out."""
    ada = await gallery.user()
    await gallery.image(picture(1))
    image = await store_image(gallery.runtime.objects, gallery.runtime.pictures, picture(1))
    async with gallery.runtime.database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE images SET last_used_at = last_used_at - interval '2 days'")
    assert await sweep(gallery.runtime) == Swept(retired=1, removed=0)
    assert await is_whole(gallery, image.sha256)

    event = completed(ada, image)
    async with gallery.runtime.database.transaction() as connection:
        await publish(gallery.runtime.store, connection, event, enveloped(event))
    assert await use(gallery, image.sha256) == [(1, False)]
    clock.now += 9 * DAY
    assert await sweep(gallery.runtime) == Swept(0, 0)
    assert await is_whole(gallery, image.sha256)


class TestCheck:
    async def check(self, gallery, *, repair: bool = False) -> sweeping.Check:
        return await sweeping.check(
            gallery.runtime.database,
            gallery.runtime.objects,
            stored_before=gallery.clock.now - 7 * DAY,
            repair=repair,
            progress=lambda *_: None,
        )

    async def test_all_is_well(self, gallery, picture, clock) -> None:
        for seed in range(1, 4):
            await gallery.image(picture(seed))
        assert await self.check(gallery) == sweeping.Check(images=3)

    async def test_images_without_bytes_are_named(self, gallery, picture, clock) -> None:
        images = [await gallery.image(picture(seed)) for seed in range(1, 4)]
        lost = images[1]["sha256"]
        await gallery.runtime.objects.delete(image_key(lost))

        found = await self.check(gallery, repair=True)

        assert (found.images, found.lost, found.stray) == (3, [lost], [])

    async def test_bytes_without_an_image_are_named_and_deleted_when_they_are_old(
        self, gallery, picture, clock
    ) -> None:
        kept = (await gallery.image(picture(1)))["sha256"]
        runtime = gallery.runtime
        stray = (await store_image(runtime.objects, runtime.pictures, picture(2))).sha256
        remains = "ff" * 32
        await runtime.objects.put(rendition_key(remains, 64, "png"), b"12345")
        assert (await self.check(gallery, repair=True)).stray == []

        clock.now += 8 * DAY
        found = await self.check(gallery)
        assert (found.stray, found.repaired) == (sorted([stray, remains]), 0)
        assert found.stray_bytes > len(picture(2)) + 5
        assert await is_whole(gallery, stray)

        found = await self.check(gallery, repair=True)
        assert (found.stray, found.repaired) == (sorted([stray, remains]), 2)
        assert await stored(gallery, stray) == await stored(gallery, remains) == []
        assert await is_whole(gallery, kept)
        assert await self.check(gallery) == sweeping.Check(images=1)

    async def test_what_is_brought_before_it_is_deleted_stays(self, gallery, picture, clock) -> None:
        runtime = gallery.runtime
        stray = (await store_image(runtime.objects, runtime.pictures, picture(2))).sha256
        clock.now += 8 * DAY
        await gallery.image(picture(2))

        assert not await sweeping._repaired(runtime.database, runtime.objects, stray, clock.now)
        assert await is_whole(gallery, stray)

    async def test_the_command(self, gallery, picture, clock, monkeypatch) -> None:
        settings = gallery.runtime.settings
        for name in ("database_url", "nats_url", "api_secret_key"):
            monkeypatch.setenv(name.upper(), getattr(settings, name).get_secret_value())
        monkeypatch.setenv("OBJECT_STORE_URL", str(settings.object_store_url))
        sha256 = (await gallery.image(picture(1)))["sha256"]

        well = await asyncio.to_thread(CliRunner().invoke, commands.app, ["images", "check"])
        assert (well.exit_code, "1 images, 0 of them without bytes" in well.output) == (0, True), well.output
        await gallery.runtime.objects.delete(image_key(sha256))
        ill = await asyncio.to_thread(CliRunner().invoke, commands.app, ["images", "check", "--repair"])
        assert (ill.exit_code, f"without bytes: {sha256}" in ill.output) == (1, True), ill.output


async def test_the_service_sweeps_by_itself_and_after_a_failure_again(
    platform, picture, gallery_of, monkeypatch
) -> None:
    failed = []

    async def fails_at_first(runtime: Any) -> Swept:
        if not failed:
            failed.append(True)
            raise ObjectStoreError("no")
        return await sweep(runtime)

    monkeypatch.setattr(sweeping, "sweep", fails_at_first)
    async with platform.running(service, image_grace_seconds=0, image_sweep_seconds=0.05) as running:
        gallery = gallery_of(running.client, running.runtime, platform, FakeClock())
        sha256 = (await gallery.image(picture(1)))["sha256"]

        async def retired() -> bool:
            return await use(gallery, sha256) == [(0, True)]

        await eventually(retired, reason="nobody sweeps")
    assert failed
    assert await is_whole(gallery, sha256), "its bytes are young"


async def test_in_a_bucket_it_is_all_the_same(platform, bucket, picture, gallery_of) -> None:
    """Behind moto's server, which stands in for S3."""
    clock = FakeClock(datetime.now(UTC))
    async with platform.running(service, clock=clock, object_store_url=bucket) as running:
        gallery = gallery_of(running.client, running.runtime, platform, clock)
        image = await gallery.image(picture(1))
        url = f"{image['url']}?size=512&format=avif"
        whole = await gallery.client.get(url)
        assert whole.headers["content-type"] == "image/avif"
        part = await gallery.client.get(url, headers={"Range": "bytes=4-11"})
        assert (part.status_code, part.content) == (206, b"ftypavif")
        assert (await gallery.client.get(image["url"])).content == picture(1)

        clock.now += 2 * DAY
        assert await sweep(gallery.runtime) == Swept(1, 1)
        assert await stored(gallery, image["sha256"]) == []
