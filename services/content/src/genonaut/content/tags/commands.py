"""Tags, made: on purpose with parents, or in passing by whoever uses a new one."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tags import queries
from genonaut.content.tags.domain import TAG, AddParent, Create, Publish, RemoveParent, TagReference, name_of
from genonaut.platform.events import Addition, EventStore


class UnknownTagError(Exception):
    """No tag has this id, and an id alone does not say what to create."""

    def __init__(self, tag_id: UUID) -> None:
        super().__init__(f"There is no tag {tag_id}")
        self.tag_id = tag_id


@dataclass(frozen=True)
class Declared:
    tag_id: UUID
    is_new: bool
    """As far as anybody can tell."""


async def ensure(
    store: EventStore, connection: AsyncConnection, references: Sequence[TagReference], *, is_private: bool
) -> list[UUID]:
    """The ids of these tags in their order, each once; those that did not exist now do. Raises UnknownTagError.

    An alias is the tag that it means. With `is_private` others see no more tags than before; without it they see all
    of these.
    """
    meanings = await queries.meanings(connection, dict.fromkeys(each.tag_id for each in references))
    wanted: dict[UUID, TagReference] = {}
    is_known: dict[UUID, bool | None] = {}
    for reference in references:
        meaning = meanings[reference.tag_id]
        is_alias = meaning.tag_id != reference.tag_id
        wanted.setdefault(meaning.tag_id, TagReference(meaning.tag_id) if is_alias else reference)
        is_known[meaning.tag_id] = meaning.is_private
    # In one order everywhere: two who create the same tags wait for each other, and never both.
    for tag_id in sorted(wanted):
        slug, name = wanted[tag_id].slug, wanted[tag_id].name
        if is_known[tag_id] is False:
            continue
        if slug is None or name is None:  # an id alone names no private tag: it would tell that there is one
            raise UnknownTagError(tag_id)
        number = await queries.next_number(connection)
        await store.execute_in(connection, TAG, tag_id, Create(slug, name, number, is_private))
    return list(wanted)


async def ensure_words(
    store: EventStore, connection: AsyncConnection, words: Sequence[str], *, is_private: bool
) -> dict[str, UUID]:
    """The tag of each of these slugs or aliases; those that did not exist now do, all at once.

    Raises BadSlugError, and UnknownTagError for an id.
    """
    references = {word: TagReference.of(word) for word in words}
    meanings = await queries.meanings(connection, dict.fromkeys(each.tag_id for each in references.values()))
    missing: dict[UUID, TagReference] = {}
    for reference in references.values():
        if meanings[reference.tag_id].is_private is None:
            missing[reference.tag_id] = reference
    numbers = await queries.next_numbers(connection, len(missing))
    additions = []
    for tag_id, number in zip(sorted(missing), numbers, strict=True):
        slug, name = missing[tag_id].slug, missing[tag_id].name
        if slug is None or name is None:
            raise UnknownTagError(tag_id)
        additions.append(Addition(str(tag_id), 0, TAG.decide(Create(slug, name, number, is_private), TAG.initial)))
    if additions:
        await store.append_all(connection, TAG.name, additions)
    if not is_private:
        await publish(store, connection, [meaning.tag_id for meaning in meanings.values() if meaning.is_private])
    return {word: meanings[reference.tag_id].tag_id for word, reference in references.items()}


async def publish(store: EventStore, connection: AsyncConnection, tag_ids: Sequence[UUID]) -> None:
    """Everybody sees these tags from now on: a public item has them. Each gets the name that its slug gives it."""
    private = await queries.private_slugs(connection, tag_ids)
    for tag_id in sorted(private):
        await store.execute_in(connection, TAG, tag_id, Publish(name_of(private[tag_id])))


async def declare(
    store: EventStore, connection: AsyncConnection, tag: TagReference, parents: Sequence[TagReference]
) -> Declared:
    """The tag and its parents exist, and it is below them.

    Raises UnknownTagError, and TagCycleError when a parent is below it.
    """
    await queries.hold_relations(connection)
    known = await queries.known(connection, [tag.tag_id])
    # All at once, for the one order in which tags are created.
    tag_id = (await ensure(store, connection, [tag, *parents], is_private=False))[0]
    await add_parents(store, connection, tag_id, parents)
    return Declared(tag_id, known.get(tag.tag_id, True))


async def add_parents(
    store: EventStore, connection: AsyncConnection, tag_id: UUID, parents: Sequence[TagReference]
) -> None:
    """The tag, which everybody sees, is below the parents, which exist from now on.

    Raises UnknownTagError for a parent, and TagCycleError when one is below the tag.
    """
    await queries.hold_relations(connection)
    for parent_id in await ensure(store, connection, parents, is_private=False):
        above = await queries.ancestors(connection, parent_id)
        await store.execute_in(connection, TAG, tag_id, AddParent(tag_id, parent_id, above))


async def remove_parent(store: EventStore, connection: AsyncConnection, tag_id: UUID, parent_id: UUID) -> bool:
    """Whether the tag was below this parent until now."""
    await queries.hold_relations(connection)
    outcome = await store.execute_in(connection, TAG, tag_id, RemoveParent(tag_id, parent_id))
    return bool(outcome.appended)
