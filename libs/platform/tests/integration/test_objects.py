"""One promise, two stores: a folder, and a bucket.

The bucket is behind stand-ins for S3: a server of our own that does one thing at a time, as S3 does for one name, and
moto's, which speaks the protocol as somebody else has read it.
"""

import asyncio
import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from genonaut.platform import objects as module
from genonaut.platform.objects import (
    YOUNG,
    ObjectNotFoundError,
    ObjectRangeError,
    ObjectStore,
    ObjectStoreError,
)

KEY = "images/ab/cd/" + "0" * 64


class Bucket:
    """Put with If-None-Match, get with Range, head and delete, path style."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_put("/{bucket}/{key:.+}", self.put)
        app.router.add_get("/{bucket}/{key:.+}", self.get)
        app.router.add_delete("/{bucket}/{key:.+}", self.delete)
        return app

    async def put(self, request: web.Request) -> web.Response:
        key = request.path
        if request.headers.get("If-None-Match") == "*" and key in self.objects:
            return web.Response(status=412)
        self.objects[key] = await request.read()
        return web.Response(headers={"ETag": self.etag(key)})

    async def get(self, request: web.Request) -> web.Response:
        key = request.path
        if key not in self.objects:
            return web.Response(status=404)
        data = self.objects[key]
        headers = {"ETag": self.etag(key), "Last-Modified": "Fri, 20 Nov 2026 16:21:13 GMT"}
        if "Range" not in request.headers:
            return web.Response(body=data, headers=headers)
        part = request.http_range
        start, stop, _ = part.indices(len(data))
        if start >= len(data):
            return web.Response(status=416)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return web.Response(status=206, body=data[start:stop], headers=headers)

    async def delete(self, request: web.Request) -> web.Response:
        self.objects.pop(request.path, None)
        return web.Response(status=204)

    def etag(self, key: str) -> str:
        return '"' + hashlib.md5(self.objects[key], usedforsecurity=False).hexdigest() + '"'


@pytest.fixture(params=["folder", "bucket", "moto"])
async def objects(request, tmp_path: Path, monkeypatch):
    if request.param == "moto":
        yield ObjectStore.at(request.getfixturevalue("bucket"))
        return
    if request.param == "folder":
        yield ObjectStore.at(f"file://{tmp_path}/not/yet%20there")
        return
    bucket = Bucket()
    runner = web.AppRunner(bucket.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    yield ObjectStore.at("s3://pictures/gallery")
    assert all(key.startswith("/pictures/gallery/") for key in bucket.objects)
    await runner.cleanup()


async def test_what_is_put_can_be_read(objects: ObjectStore):
    assert await objects.put(KEY, b"picture") is True
    assert await objects.read(KEY) == b"picture"
    assert await objects.size(KEY) == 7
    assert await objects.exists(KEY)


async def test_the_second_put_of_the_same_name_is_harmless(objects: ObjectStore):
    await objects.put(KEY, b"picture")
    assert await objects.put(KEY, b"picture") is False
    assert await objects.read(KEY) == b"picture"


async def test_of_many_puts_at_once_one_is_new(objects: ObjectStore, request):
    if request.node.callspec.params["objects"] == "moto":
        pytest.skip("moto's server looks first and writes then, in threads")
    assert sum(await asyncio.gather(*(objects.put(KEY, b"picture" * 1000) for _ in range(8)))) == 1
    assert await objects.read(KEY) == b"picture" * 1000


async def test_what_a_power_cut_left_behind_is_replaced(objects: ObjectStore):
    await objects.put(KEY, b"pic")
    assert await objects.put(KEY, b"picture") is True
    assert await objects.read(KEY) == b"picture"


@pytest.mark.parametrize("step", ["ObjectStore.facts", "_sync"])
async def test_what_is_deleted_while_it_is_put_again_is_put_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    objects = ObjectStore.at(f"file://{tmp_path}")
    await objects.put(KEY, b"picture")
    owner = module if step == "_sync" else ObjectStore
    name = step.rpartition(".")[2]
    goes_on = getattr(owner, name)

    def deleted_first(*args: object) -> object:
        (tmp_path / KEY).unlink()
        monkeypatch.setattr(owner, name, goes_on)
        return goes_on(*args)

    monkeypatch.setattr(owner, name, deleted_first)

    assert await objects.put(KEY, b"picture") is True
    assert await objects.read(KEY) == b"picture"


async def test_several_are_put_as_each_would_be(objects: ObjectStore):
    await objects.put(KEY, b"picture")
    assert await objects.put_all({"thumbnails/ab/1": b"one", KEY: b"picture", "thumbnails/ab/2": b"two"}) == [
        True,
        False,
        True,
    ]
    assert [await objects.read(key) for key in ("thumbnails/ab/1", "thumbnails/ab/2", KEY)] == [
        b"one",
        b"two",
        b"picture",
    ]


async def test_files_and_the_folders_above_them_are_synced_once_each(tmp_path: Path, monkeypatch):
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(tmp_path)))

    monkeypatch.setattr("os.fsync", fsync)
    objects = ObjectStore.at(tmp_path.as_uri())
    await objects.put_all({"thumbnails/ab/1": b"one", "thumbnails/ab/2": b"two", "images/cd/3": b"three"})
    files, folders = synced[:3], synced[3:]
    assert sorted(files) == ["images/cd/3", "thumbnails/ab/1", "thumbnails/ab/2"]
    assert sorted(folders) == [".", "images", "images/cd", "thumbnails", "thumbnails/ab"]
    synced.clear()
    await objects.put("thumbnails/ab/1", b"one")  # whose first put may have been cut short
    assert sorted(synced) == [".", "thumbnails", "thumbnails/ab", "thumbnails/ab/1"]


async def test_a_missing_object_is_said_to_be_missing(objects: ObjectStore):
    assert not await objects.exists(KEY)
    for question in (objects.read(KEY), objects.size(KEY), objects.get(KEY, start=3)):
        with pytest.raises(ObjectNotFoundError):
            await question


async def test_ranges(objects: ObjectStore):
    data = bytes(range(256)) * 4000
    await objects.put(KEY, data)
    for start, end in ((0, 10), (10, 20), (1_000_000, None), (1_023_990, 5_000_000)):
        found = await objects.get(KEY, start=start, end=end)
        body = b"".join([chunk async for chunk in found.chunks])
        assert body == data[start:end]
        assert (found.size, found.start, found.end) == (len(data), start, start + len(body))
    with pytest.raises(ObjectRangeError) as caught:
        await objects.get(KEY, start=len(data))
    assert caught.value.size == len(data)
    with pytest.raises(ValueError, match="not a range"):
        await objects.get(KEY, start=5, end=5)


async def test_a_large_object_comes_in_chunks(objects: ObjectStore):
    await objects.put(KEY, b"x" * 3_000_000)
    found = await objects.get(KEY)
    sizes = [len(chunk) async for chunk in found.chunks]
    assert sum(sizes) == 3_000_000
    assert len(sizes) > 1


@pytest.mark.parametrize("objects", ["folder", "moto"], indirect=True)
async def test_what_is_below_a_folder(objects: ObjectStore):
    await objects.put_all({"a/b/1": b"one", "a/b/c/2": b"two", "a/bc/3": b"three", "a/b4": b"four"})
    now = datetime.now(UTC)

    found = [each async for each in objects.below("a/b")]

    assert sorted((each.key, each.size) for each in found) == [("a/b/1", 3), ("a/b/c/2", 3)]
    assert all(abs(each.stored_at - now) < timedelta(minutes=1) for each in found)
    assert [each async for each in objects.below("nothing")] == []


async def test_what_has_grown_old_is_young_after_it_was_put_again(tmp_path: Path):
    objects = ObjectStore.at(tmp_path.as_uri())
    for age, written_again in ((YOUNG, True), (timedelta(minutes=1), False)):
        await objects.put(KEY, b"picture")
        then = (datetime.now(UTC) - age).timestamp()
        os.utime(tmp_path / KEY, (then, then))

        assert await objects.put(KEY, b"picture") is False

        stored_at = (await objects.facts(KEY)).stored_at
        assert (stored_at.timestamp() > then + 1) is written_again
        assert stored_at > datetime.now(UTC) - YOUNG


async def test_delete_is_idempotent(objects: ObjectStore):
    await objects.put(KEY, b"picture")
    await objects.delete(KEY)
    await objects.delete(KEY)
    assert not await objects.exists(KEY)


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/./b", "a b", "a/", "A/b", "a\x00b", "a%2e"]
)
async def test_only_names_the_server_makes_are_names(objects: ObjectStore, key):
    for question in (objects.put(key, b""), objects.get(key), objects.size(key), objects.delete(key)):
        with pytest.raises(ValueError, match="not an object name"):
            await question


@pytest.mark.parametrize("url", ["", "pictures", "file://", "file:///", "file://host/x", "s3://", "http://host/x"])
def test_other_urls_are_refused(url):
    with pytest.raises(ValueError, match="object store URL"):
        ObjectStore.at(url)


def test_a_folder_that_cannot_be_made_is_said_without_its_path(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ObjectStoreError) as caught:
        ObjectStore.at(f"file://{tmp_path}/file/folder")
    assert str(tmp_path) not in str(caught.value)
