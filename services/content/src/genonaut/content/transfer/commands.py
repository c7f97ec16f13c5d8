"""Taking in a file, batch by batch. A batch and the note how far it goes commit together, so nothing comes twice.

While one batch is projected, the next one goes into the log, in a transaction of its own that commits after the first.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, BinaryIO
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.items.domain import ITEM
from genonaut.content.search import upkeep
from genonaut.content.search.folding import Folded
from genonaut.content.tag_meanings.queries import all_implications
from genonaut.content.tags.commands import ensure_words
from genonaut.content.tags.domain import BadSlugError, TagReference
from genonaut.content.transfer import queries
from genonaut.content.transfer.domain import BadLineError, Format, Line, Read, lines, message_bytes, parsed, reads
from genonaut.content.transfer.queries import Done
from genonaut.contracts import Event
from genonaut.contracts.content import ImpliedTag, ItemCreated, ItemTagsImplied
from genonaut.contracts.streams import CONTENT
from genonaut.platform.events import Addition
from genonaut.platform.service import Runtime
from genonaut.platform.trouble import ExpectedError

BATCH = 4_000
FOLD_EVERY = 8
"""Batches after which what was taken in is folded, so that it is found quickly meanwhile."""
LOOKED_AT = 1_000
"""Lines that tell how large the events of a file are."""
TURN = 20
"""Lines after which what Postgres has answered meanwhile is looked at."""

Reject = Callable[[int, str], None]
"""Called with the number of a line that is no item, and what is wrong with it. May raise to end it all."""


class TakenInElsewhereError(ExpectedError):
    """Another process takes in the same file."""

    def __init__(self) -> None:
        super().__init__("Another process is taking in this file. What it has not taken in when it ends can be later.")


class NoRoomError(ExpectedError):
    """The stream of the service is too small for the events of a file."""

    def __init__(self, needed: int, room: int) -> None:
        super().__init__(
            f"The events of this file are some {needed / 2**20:,.0f} MiB, and the stream {CONTENT.name} has room for"
            f" {max(0, room) / 2**20:,.0f}.\nA full stream loses nothing, but whatever happens in the gallery waits in"
            f" the outbox then, and other services hear nothing of it.\nRaise `max_bytes` of {CONTENT.name} in"
            " contracts/streams.py and run `genonaut provision`, or let it wait with --without-room."
        )


async def taken_in(runtime: Runtime[Any], file: BinaryIO, format_: Format) -> Done:
    """How far this file, or another one that begins like it, has been taken in. It is read from its beginning."""
    async with runtime.database.reading() as connection:
        notes = await queries.notes(connection)
    done, last = Done(), max((note.line for note in notes.values()), default=0)
    file.seek(0)
    for read in reads(file, format_):
        if read.number > last:
            break
        done = notes.get(read.digest, done)
    return done


async def take_in(
    runtime: Runtime[Any],
    file: BinaryIO,
    *,
    format_: Format,
    creator: str | None,
    reject: Reject,
    progress: Callable[[Done], None],
) -> Done:
    """Every line that is left becomes an item of its creator, or of `creator` where it names none.

    Raises TakenInElsewhereError, and what `reject` raises, when all that came before is taken in.
    """
    done = await taken_in(runtime, file, format_)
    progress(done)
    file.seek(0)
    left = (read for read in reads(file, format_) if read.number > done.line)
    import_ = _Import(runtime, creator, done)
    try:
        for number, reads_ in enumerate(_batches(left), start=1):
            batch, error = await import_.sound(reads_, reject)
            if batch:
                import_.begin(batch)
            if error:
                await import_.finish(progress)
                raise error
            await import_.finish(progress, but=1)
            if number % FOLD_EVERY == 0:
                await import_.fold()
        await import_.finish(progress)
    finally:
        await import_.abandon()
    await upkeep.fold_everything(runtime.database)
    return import_.done


async def look_for_room(runtime: Runtime[Any], file: Iterable[bytes], format_: Format, *, left: int) -> None:
    """Raises NoRoomError when the stream cannot take the events of `left` lines like the first ones of the file."""
    sizes = []
    for _, line in islice(lines(file, format_), LOOKED_AT):
        with suppress(BadLineError):
            sizes.append(message_bytes(parsed(line)))
    stream = await runtime.bus.jetstream.stream_info(CONTENT.name)
    async with runtime.database.reading() as connection:
        waiting = await queries.bytes_in_outbox(connection)
    needed = left * sum(sizes) // max(1, len(sizes))
    limit = stream.config.max_bytes or -1
    room = limit - stream.state.bytes - waiting
    if limit > 0 and needed > room:
        raise NoRoomError(needed, room)


@dataclass(frozen=True)
class _Batch:
    lines: Sequence[Line]
    """Those that can be items."""
    last: Read
    skipped: int

    @cached_property
    def words(self) -> dict[bool, set[str]]:
        """Of their tags, by whether they are of private items."""
        return {
            is_private: set[str]().union(*(line.tags for line in self.lines if line.is_private is is_private))
            for is_private in (False, True)
        }


@dataclass(frozen=True)
class _Running:
    """A batch that is under way."""

    task: "asyncio.Task[Done]"
    logged: asyncio.Event
    """Set when its events are in the log, or it has failed."""


@dataclass
class _Known:
    """What was looked up for earlier batches."""

    judged: set[str] = field(default_factory=set)
    """Words of which it is known whether they can name a tag."""
    wrong: dict[str, str] = field(default_factory=dict)
    """Those that cannot, and why."""
    tags: dict[bool, dict[str, UUID]] = field(default_factory=lambda: {False: {}, True: {}})
    """By whether it is for a private item, and by the word."""
    creators: dict[str, UUID] = field(default_factory=dict)


@dataclass
class _Import:
    """The batches of a file that are under way, in their order."""

    runtime: Runtime[Any]
    creator: str | None
    """Of lines that name none."""
    done: Done
    known: _Known = field(default_factory=_Known)
    _running: deque[_Running] = field(default_factory=deque)
    _folding: "asyncio.Task[Folded] | None" = None

    async def sound(self, batch: Sequence[Read], reject: Reject) -> tuple[_Batch | None, BadLineError | None]:
        """The lines that are items, and whose creators and tags can be, up to the first one that may not be rejected.

        And why that may not.
        """
        parsed_lines: dict[int, Line] = {}
        problems: dict[int, str] = {}
        for count, read in enumerate(batch):
            if count % TURN == 0:
                await asyncio.sleep(0)
            try:
                parsed_lines[read.number] = parsed(read.line)
            except BadLineError as error:
                problems[read.number] = str(error)
        names = {self._creator(line) for line in parsed_lines.values()} - self.known.creators.keys() - {""}
        if names:
            async with self.runtime.database.reading() as connection:
                found = await queries.creators(connection, names)
            self.known.creators |= {each: user_id for each, (user_id, is_active) in found.items() if is_active}
        self._judge(set[str]().union(*(line.tags for line in parsed_lines.values())))
        problems |= {number: problem for number, line in parsed_lines.items() if (problem := self._problem(line))}
        for number in sorted(problems):
            try:
                reject(number, problems[number])
            except BadLineError as error:
                return _batch([read for read in batch if read.number < number], parsed_lines, problems), error
        return _batch(batch, parsed_lines, problems), None

    def begin(self, batch: _Batch) -> None:
        """Takes in a batch. It commits after those that were begun before."""
        before = self._running[-1] if self._running else None
        logged = asyncio.Event()
        self._running.append(_Running(asyncio.create_task(self._take_in(batch, before, logged)), logged))

    async def finish(self, progress: Callable[[Done], None], *, but: int = 0) -> None:
        """Returns when all batches are committed, but for so many. Raises what one of them raises."""
        while len(self._running) > but:
            self.done = await self._running[0].task
            self._running.popleft()
            progress(self.done)

    async def fold(self) -> None:
        """Begins to fold what is committed, when that of the last time is done. Raises what that raised."""
        if self._folding:
            await self._folding
        self._folding = asyncio.create_task(upkeep.fold_once(self.runtime.database))

    async def abandon(self) -> None:
        """Ends what has not come to its end, without effect."""
        for each in self._running:
            each.task.cancel()
        ended = [*(each.task for each in self._running), *([self._folding] if self._folding else [])]
        await asyncio.gather(*ended, return_exceptions=True)

    def _creator(self, line: Line) -> str:
        return (line.creator or self.creator or "").lower()

    def _problem(self, line: Line) -> str | None:
        """What keeps it from being an item."""
        who = self._creator(line)
        if who not in self.known.creators:
            return f"creator: there is no active user {who[:60]}" if who else "creator: none is named"
        wrong = self.known.wrong
        return next((f"tags: {wrong[word]}" for word in line.tags if word in wrong), None) if wrong else None

    def _judge(self, words: set[str]) -> None:
        """Whether each of them can name a tag."""
        for word in words - self.known.judged:
            try:
                if TagReference.of(word).slug is None:
                    self.known.wrong[word] = "in a file, tags are named by their slugs"
            except BadSlugError as error:
                self.known.wrong[word] = str(error)
        self.known.judged |= words

    async def _take_in(self, batch: _Batch, before: _Running | None, logged: asyncio.Event) -> Done:
        try:
            return await self._transaction(batch, before, logged)
        finally:
            logged.set()

    async def _transaction(self, batch: _Batch, before: _Running | None, logged: asyncio.Event) -> Done:
        if before and any(words - self.known.tags[is_private].keys() for is_private, words in batch.words.items()):
            await before.task  # it may be making the same tags
        elif before:
            await before.logged.wait()  # so that ids and the log have the order of the file

        async def work(connection: AsyncConnection) -> tuple[Done, _Known]:
            await queries.make_room(connection)
            known = await self._learned(connection, batch)
            implications = await _implications(connection)
            additions = []
            for count, item_id in enumerate(await queries.next_ids(connection, len(batch.lines))):
                if count % TURN == 0:
                    await asyncio.sleep(0)
                line = batch.lines[count]
                additions.append(_addition(item_id, line, known, self._creator(line), implications))
            prepared = self.runtime.store.prepare(ITEM.name, additions)
            if additions:
                await self.runtime.store.log(connection, prepared)
            logged.set()
            done = await before.task if before else self.done
            if additions:
                await self.runtime.store.project(connection, prepared)
            after = Done(batch.last.number, done.items + len(batch.lines), done.skipped + batch.skipped)
            if not await queries.note(connection, batch.last.digest, after):
                raise TakenInElsewhereError
            return after, known

        after, self.known = await self.runtime.database.transact(work)  # what is rolled back was never there
        return after

    async def _learned(self, connection: AsyncConnection, batch: _Batch) -> _Known:
        """With all tags of these lines, of which those that did not exist now do.

        Those of public items come first: what only private ones have stays private.
        """
        tags = dict(self.known.tags)
        for is_private, words in batch.words.items():
            if unknown := sorted(words - tags[is_private].keys()):
                found = await ensure_words(self.runtime.store, connection, unknown, is_private=is_private)
                # Not as the driver's own UUIDs, which take their time to become JSON.
                tags[is_private] = tags[is_private] | {word: UUID(int=id_.int) for word, id_ in found.items()}
        return replace(self.known, tags=tags)


async def _implications(connection: AsyncConnection) -> dict[UUID, list[UUID]]:
    implications: dict[UUID, list[UUID]] = {}
    for tag_id, implied_id in await all_implications(connection):
        implications.setdefault(tag_id, []).append(implied_id)
    return implications


def _addition(
    item_id: int, line: Line, known: _Known, creator: str, implications: Mapping[UUID, Sequence[UUID]]
) -> Addition:
    tags = known.tags[line.is_private]
    named = [tags[word] for word in line.tags]
    tag_ids = list({tag_id.int: tag_id for tag_id in named}.values())  # each once; hashing a UUID itself runs Python
    # Not validated again: 75 tags of a thousand lines are what this takes its time for.
    created = ItemCreated.model_construct(
        item_id=item_id,
        source_type="auto" if line.source == "auto" else "items",
        title=line.title,
        content_type=line.content_type,
        content_data=line.content_data,
        prompt=line.prompt,
        creator_id=known.creators[creator],
        tag_ids=tag_ids,
        item_metadata=line.item_metadata,
        quality_score=line.quality_score + 0.0,
        is_private=line.is_private,
        image=None,
        job_id=None,
        image_index=0,
        image_count=1,
    )
    events: list[Event] = [created]
    if implied := _implied(tag_ids, implications):
        events.append(ItemTagsImplied(item_id=item_id, implied=implied))
    return Addition(str(item_id), 0, events, line.created_at)


def _implied(tag_ids: Sequence[UUID], implications: Mapping[UUID, Sequence[UUID]]) -> list[ImpliedTag]:
    if not implications:
        return []
    reached: dict[UUID, UUID] = {}
    for because_of in tag_ids:
        waiting = [because_of]
        while waiting:
            for tag_id in implications.get(waiting.pop(), ()):
                if tag_id not in reached and tag_id not in tag_ids:
                    reached[tag_id] = because_of
                    waiting.append(tag_id)
    return [ImpliedTag(tag_id=tag_id, because_of=because_of) for tag_id, because_of in reached.items()]


def _batches(left: Iterator[Read]) -> Iterator[list[Read]]:
    while batch := list(islice(left, BATCH)):
        yield batch


def _batch(batch: Sequence[Read], parsed_lines: Mapping[int, Line], problems: Mapping[int, str]) -> _Batch | None:
    """None of nothing."""
    if not batch:
        return None
    sound = [parsed_lines[read.number] for read in batch if read.number not in problems]
    return _Batch(sound, batch[-1], len(batch) - len(sound))
