"""Taking in a file, batch by batch. A batch and the note how far it goes commit together, so nothing comes twice."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.items.domain import ITEM
from genonaut.content.search import upkeep
from genonaut.content.tag_meanings.queries import all_implications
from genonaut.content.tags.commands import ensure_words
from genonaut.content.tags.domain import BadSlugError, TagReference
from genonaut.content.transfer import queries
from genonaut.content.transfer.domain import BadLineError, Format, Line, lines, parsed
from genonaut.content.transfer.queries import Done
from genonaut.contracts import Event
from genonaut.contracts.content import ImpliedTag, ItemCreated, ItemTagsImplied
from genonaut.platform.events import Addition
from genonaut.platform.service import Runtime

BATCH = 1_000
FOLD_EVERY = 16
"""Batches after which what was taken in is folded, so that it is found quickly meanwhile."""

Reject = Callable[[int, str], None]
"""Called with the number of a line that is no item, and what is wrong with it. May raise to end it all."""


@dataclass
class _Known:
    """What was looked up for earlier batches."""

    tags: dict[bool, dict[str, UUID]] = field(default_factory=lambda: {False: {}, True: {}})
    """By whether it is for a private item, and by the word."""
    creators: dict[str, UUID] = field(default_factory=dict)
    implications: dict[UUID, list[UUID]] = field(default_factory=dict)


def name_of(path: Path) -> str:
    """What a file is known by, so that it goes on where it stopped: its size and its first megabyte."""
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(2**20)).hexdigest()[:16]
    return f"{path.stat().st_size}-{digest}"


async def take_in(
    runtime: Runtime[Any],
    file: Iterable[bytes],
    *,
    name: str,
    format_: Format,
    creator: str | None,
    reject: Reject,
    progress: Callable[[Done], None],
) -> Done:
    """Every line that is left becomes an item of its creator, or of `creator` where it names none."""
    async with runtime.database.reading() as connection:
        done = await queries.done(connection, name)
    left = ((number, line) for number, line in lines(file, format_) if number > done.line)
    known = _Known()
    progress(done)
    for number, batch in enumerate(_batches(left), start=1):
        read: list[tuple[int, Line]] = []
        for place, line in batch:
            try:
                read.append((place, parsed(line)))
            except BadLineError as error:
                reject(place, str(error))
        all_skipped = Done(batch[-1][0], done.items, done.skipped + len(batch))
        done = await _take_in(runtime, read, known, all_skipped, name=name, creator=creator, reject=reject)
        progress(done)
        if number % FOLD_EVERY == 0:
            await upkeep.fold_everything(runtime.database)
    await upkeep.fold_everything(runtime.database)
    return done


async def _take_in(
    runtime: Runtime[Any],
    read: Sequence[tuple[int, Line]],
    known: _Known,
    done: Done,
    *,
    name: str,
    creator: str | None,
    reject: Reject,
) -> Done:
    """One transaction. `done` counts all of the batch as skipped."""

    async def work(connection: AsyncConnection) -> Done:
        now = await queries.done(connection, name)
        if now.line >= done.line:  # another process takes in the same file
            return now
        sound = await _sound(connection, read, known, creator, reject)
        batch = await _learned(runtime, connection, [line for _, line in sound], known)
        additions = [
            _addition(item_id, line, batch, creator)
            for item_id, (_, line) in zip(await queries.next_ids(connection, len(sound)), sound, strict=True)
        ]
        if additions:
            await runtime.store.append_all(connection, ITEM.name, additions)
        after = Done(done.line, done.items + len(sound), done.skipped - len(sound))
        await queries.note(connection, name, after)
        learned.append(batch)
        return after

    learned: list[_Known] = []
    after = await runtime.database.transact(work)
    known.tags = learned[-1].tags if learned else known.tags  # not before: what is rolled back was never there
    return after


async def _sound(
    connection: AsyncConnection, read: Sequence[tuple[int, Line]], known: _Known, creator: str | None, reject: Reject
) -> list[tuple[int, Line]]:
    """The lines whose creators and tags can be."""
    names = {(line.creator or creator or "").lower() for _, line in read} - known.creators.keys() - {""}
    found = await queries.creators(connection, names) if names else {}
    known.creators.update({each: user_id for each, (user_id, is_active) in found.items() if is_active})
    sound = []
    for place, line in read:
        if problem := _problem(line, known, creator):
            reject(place, problem)
        else:
            sound.append((place, line))
    return sound


def _problem(line: Line, known: _Known, creator: str | None) -> str | None:
    """What keeps it from being an item."""
    who = (line.creator or creator or "").lower()
    if who not in known.creators:
        return f"creator: there is no active user {who[:60]}" if who else "creator: none is named"
    try:
        unknown = [TagReference.of(word) for word in line.tags if word not in known.tags[line.is_private]]
    except BadSlugError as error:
        return f"tags: {error}"
    return "tags: in a file, tags are named by their slugs" if any(each.slug is None for each in unknown) else None


async def _learned(runtime: Runtime[Any], connection: AsyncConnection, read: Sequence[Line], known: _Known) -> _Known:
    """With all tags of these lines, of which those that did not exist now do.

    Those of public items come first: what only private ones have stays private.
    """
    tags = {is_private: dict(words) for is_private, words in known.tags.items()}
    for is_private in (False, True):
        words = set[str]().union(*(line.tags for line in read if line.is_private is is_private))
        if unknown := sorted(words - tags[is_private].keys()):
            tags[is_private] |= await ensure_words(runtime.store, connection, unknown, is_private=is_private)
    implications: dict[UUID, list[UUID]] = {}
    for tag_id, implied_id in await all_implications(connection):
        implications.setdefault(tag_id, []).append(implied_id)
    return _Known(tags, known.creators, implications)


def _addition(item_id: int, line: Line, known: _Known, creator: str | None) -> Addition:
    tags = known.tags[line.is_private]
    tag_ids = list(dict.fromkeys([tags[word] for word in line.tags]))
    # Not validated again: 75 tags of a thousand lines are what this takes its time for.
    created = ItemCreated.model_construct(
        item_id=item_id,
        source_type="auto" if line.source == "auto" else "items",
        title=line.title,
        content_type=line.content_type,
        content_data=line.content_data,
        prompt=line.prompt,
        creator_id=known.creators[(line.creator or creator or "").lower()],
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
    if implied := _implied(tag_ids, known):
        events.append(ItemTagsImplied(item_id=item_id, implied=implied))
    return Addition(str(item_id), 0, events, line.created_at)


def _implied(tag_ids: Sequence[UUID], known: _Known) -> list[ImpliedTag]:
    if not known.implications:
        return []
    reached: dict[UUID, UUID] = {}
    for because_of in tag_ids:
        waiting = [because_of]
        while waiting:
            for tag_id in known.implications.get(waiting.pop(), ()):
                if tag_id not in reached and tag_id not in tag_ids:
                    reached[tag_id] = because_of
                    waiting.append(tag_id)
    return [ImpliedTag(tag_id=tag_id, because_of=because_of) for tag_id, because_of in reached.items()]


def _batches(left: Iterator[tuple[int, Any]]) -> Iterator[list[tuple[int, Any]]]:
    while batch := list(islice(left, BATCH)):
        yield batch
