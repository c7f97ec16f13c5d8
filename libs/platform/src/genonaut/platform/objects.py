"""The object store: bytes under names the server makes, in a local folder or an S3 bucket, chosen by URL.

Objects are content-addressed: a name is written once and never changes. What `put` has accepted is complete
and durable, and nobody ever reads half an object. It is also young, even if it was there before: who takes old things
away, and leaves what is younger than YOUNG, takes nothing from somebody who has just relied on it.

Exceptions:

* ObjectStoreError - the store refused or failed
  * ObjectNotFoundError - nothing is stored under this name
  * ObjectRangeError - the object ends before the asked range starts
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

CHUNK_BYTES = 256 * 1024

YOUNG = timedelta(hours=2)
_REFRESHED = YOUNG / 2
"""How old an object may become before `put` writes it once more. The rest is for clocks that differ."""
_TRIES = 5
"""Of storing what somebody else deletes at the same time, because it was old."""

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*")


class ObjectStoreError(Exception):
    """The store refused or failed. The message names no path, bucket or host."""


class ObjectNotFoundError(ObjectStoreError):
    """Nothing is stored under this name."""


class ObjectRangeError(ObjectStoreError):
    """The object ends before the asked range starts."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the object has {size} bytes")
        self.size = size


@dataclass(frozen=True)
class StoredObject:
    """Bytes `start` to `end` (exclusive) of an object of `size` bytes, read as they are asked for."""

    size: int
    start: int
    end: int
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True)
class ObjectFacts:
    key: str
    size: int
    stored_at: datetime


class ObjectStore:
    """Make one with `at`; it is safe to share between tasks."""

    def __init__(self, store: LocalStore | S3Store) -> None:
        self._store = store

    @classmethod
    def at(cls, url: str) -> Self:
        """The store at `file:///absolute/folder` (made when missing) or `s3://bucket/prefix`.

        S3 credentials, region and endpoint come from the usual environment: `AWS_ACCESS_KEY_ID` and so on.
        Raises ValueError for any other URL and ObjectStoreError for a folder that cannot be made.
        """
        parts = urlsplit(url)
        if parts.scheme == "file" and parts.netloc in ("", "localhost") and len(parts.path) > 1:
            with _failures("open"):
                return cls(LocalStore(Path(unquote(parts.path)), mkdir=True))
        if parts.scheme == "s3" and parts.netloc:
            with _failures("open"):
                # Not every server that speaks S3 knows how to delete in bulk.
                return cls(S3Store.from_url(url, config={"disable_bulk_delete": True}))
        raise ValueError("an object store URL is file:///absolute/folder or s3://bucket/prefix")

    async def put(self, key: str, data: bytes) -> bool:
        """Store `data` under `key` unless it is there already, and say whether it was new.

        An object of another size is what a power cut left behind: it is replaced.
        """
        (new,) = await self.put_all({key: data})
        return new

    async def put_all(self, objects: Mapping[str, bytes]) -> Sequence[bool]:
        """The same for several, in any order: all of them are durable when this returns."""
        for _ in range(_TRIES - 1):
            with suppress(ObjectNotFoundError):
                return await self._put_all(objects)
        return await self._put_all(objects)

    async def _put_all(self, objects: Mapping[str, bytes]) -> Sequence[bool]:
        """Raises ObjectNotFoundError when somebody deletes what was found to be there."""
        names = [_checked(key) for key in objects]
        with _failures("put"):
            new = await asyncio.gather(*(self._put(name, objects[name]) for name in names))
            if isinstance(self._store, LocalStore):
                # A name can survive a power cut that its bytes do not.
                await asyncio.to_thread(_sync, Path(str(self._store.prefix)), names)
        return new

    async def _put(self, name: str, data: bytes) -> bool:
        try:
            await obstore.put_async(self._store, name, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            there = await self.facts(name)
            whole = there.size == len(data)
            if not whole or there.stored_at < datetime.now(UTC) - _REFRESHED:
                await obstore.put_async(self._store, name, data, mode="overwrite", use_multipart=False)
            return not whole
        return True

    async def get(self, key: str, *, start: int = 0, end: int | None = None) -> StoredObject:
        """The object's bytes from `start` to `end` (exclusive, or the object's end when that comes first)."""
        name = _checked(key)
        whole = start == 0 and end is None
        if start < 0 or (end is not None and end <= start):
            raise ValueError(f"not a range: {start} to {end}")
        with _failures("get"):
            try:
                result = await obstore.get_async(
                    self._store,
                    name,
                    options=None if whole else {"range": {"offset": start} if end is None else (start, end)},
                )
            except BaseError:
                if not whole and start >= (size := await self.size(key)):
                    raise ObjectRangeError(size) from None
                raise
        first, last = result.range
        return StoredObject(size=result.meta["size"], start=first, end=last, chunks=_chunks(result))

    async def read(self, key: str) -> bytes:
        """The whole object in memory."""
        return b"".join([chunk async for chunk in (await self.get(key)).chunks])

    async def size(self, key: str) -> int:
        """The object's bytes, counted."""
        return (await self.facts(key)).size

    async def facts(self, key: str) -> ObjectFacts:
        with _failures("head"):
            return _facts(await obstore.head_async(self._store, _checked(key)))

    async def exists(self, key: str) -> bool:
        try:
            await self.size(key)
        except ObjectNotFoundError:
            return False
        return True

    async def below(self, folder: str) -> AsyncIterator[ObjectFacts]:
        """All that is stored under names that begin with `folder` and a slash, in no order."""
        with _failures("list"):
            async for found in obstore.list(self._store, _checked(folder)):
                for each in found:
                    yield _facts(each)

    async def delete(self, key: str) -> None:
        """Afterwards nothing is stored under `key`, whether or not something was."""
        with _failures("delete"):
            try:
                await obstore.delete_async(self._store, _checked(key))
            except FileNotFoundError:
                return


async def _chunks(result: "obstore.GetResult") -> AsyncIterator[bytes]:
    with _failures("read"):
        async for chunk in result.stream(CHUNK_BYTES):
            yield bytes(chunk)


def _facts(meta: "obstore.ObjectMeta") -> ObjectFacts:
    return ObjectFacts(key=meta["path"], size=meta["size"], stored_at=meta["last_modified"])


def _checked(key: str) -> str:
    """Names are made by the server, so anything else is a mistake in our code, not a bad request."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not an object name: {key!r}")
    return key


def _sync(root: Path, names: Iterable[str]) -> None:
    """Make the files and every folder between them and the root durable, each once."""
    files = [root / name for name in names]
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(root)}
    for entry in (*files, *folders):
        descriptor = os.open(entry, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _failures(verb: str) -> Iterator[None]:
    try:
        yield
    except ObjectStoreError:
        raise
    except FileNotFoundError as error:
        raise ObjectNotFoundError("no such object") from error
    except (BaseError, OSError) as error:
        raise ObjectStoreError(f"object store: {verb} failed ({type(error).__name__})") from error
