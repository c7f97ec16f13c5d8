"""Tags, made: on purpose with parents, or in passing by whoever uses a new one."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tags import queries
from genonaut.content.tags.domain import TAG, AddParent, Create, Publish, TagReference, name_of
from genonaut.platform.events import EventStore


class UnknownTagError(Exception):
    """No tag has this id, and an id alone does not say what to create."""

    def __init__(self, tag_id: UUID) -> None:
        super().__init__(f"There is no tag {tag_id}")
        self.tag_id = tag_id


async def ensure(
    store: EventStore, connection: AsyncConnection, references: Sequence[TagReference], *, is_private: bool
) -> list[UUID]:
    """The ids of these tags in their order, each once; those that did not exist now do. Raises UnknownTagError.

    With `is_private` others see no more tags than before; without it they see all of these.
    """
    wanted: dict[UUID, TagReference] = {}
    for reference in references:
        wanted.setdefault(reference.tag_id, reference)
    known = await queries.known(connection, wanted)
    # In one order everywhere: two who create the same tags wait for each other, and never both.
    for tag_id in sorted(wanted):
        slug, name = wanted[tag_id].slug, wanted[tag_id].name
        if known.get(tag_id) is False:
            continue
        if slug is None or name is None:  # an id alone names no private tag: it would tell that there is one
            raise UnknownTagError(tag_id)
        number = await queries.next_number(connection)
        await store.execute_in(connection, TAG, tag_id, Create(slug, name, number, is_private))
    return list(wanted)


async def publish(store: EventStore, connection: AsyncConnection, tag_ids: Sequence[UUID]) -> None:
    """Everybody sees these tags from now on: a public item has them. Each gets the name that its slug gives it."""
    private = await queries.private_slugs(connection, tag_ids)
    for tag_id in sorted(private):
        await store.execute_in(connection, TAG, tag_id, Publish(name_of(private[tag_id])))


async def declare(
    store: EventStore, connection: AsyncConnection, tag: TagReference, parents: Sequence[TagReference]
) -> bool:
    """Whether the tag is new, as far as anybody can tell. It and its parents exist, and it is below them.

    Raises UnknownTagError, and TagCycleError when a parent is below it.
    """
    await queries.hold_hierarchy(connection)
    known = await queries.known(connection, [tag.tag_id])
    await ensure(store, connection, [tag, *parents], is_private=False)
    for parent in parents:
        above = await queries.ancestors(connection, parent.tag_id)
        await store.execute_in(connection, TAG, tag.tag_id, AddParent(tag.tag_id, parent.tag_id, above))
    return known.get(tag.tag_id, True)
