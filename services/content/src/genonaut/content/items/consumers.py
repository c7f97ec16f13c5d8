"""A completed generation job becomes one item for each of its images, all at once and once only."""

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.items import commands, queries
from genonaut.content.items.domain import MAX_TAGS, MAX_TITLE, Draft, JobImage
from genonaut.content.tags.domain import BadSlugError, TagReference
from genonaut.content.tags.queries import known as known_tags
from genonaut.contracts import Envelope
from genonaut.contracts.generation import JobCompleted
from genonaut.platform.events import EventStore

log = structlog.get_logger()


async def publish(store: EventStore, connection: AsyncConnection, event: JobCompleted, _: Envelope) -> None:
    """Images that are items already stay as they are, whichever event says again that they are done."""
    published = await queries.of_job(connection, event.job_id)
    tags = await _usable(connection, event)
    for index, image in enumerate(event.images):
        if index not in published:
            draft = Draft(
                creator_id=event.user_id,
                title=(event.title.strip() or event.prompt.strip() or "Untitled")[:MAX_TITLE],
                prompt=event.prompt,
                content_type="image",
                item_metadata=event.item_metadata,
                is_private=event.is_private,
                image=image,
                job=JobImage(event.job_id, index, len(event.images)),
            )
            await commands.create(store, connection, draft, tags)


async def _usable(connection: AsyncConnection, event: JobCompleted) -> list[TagReference]:
    """The job's tags that can be used: a picture that took minutes to make is not lost to a word."""
    references = []
    for word in event.tags:
        try:
            references.append(TagReference.of(word))
        except BadSlugError:
            continue  # counted below
    known = await known_tags(connection, {each.tag_id for each in references if not each.slug})
    usable = [each for each in references if each.slug or known.get(each.tag_id) is False][:MAX_TAGS]
    if len(usable) < len(event.tags):
        log.warning("items.tags_left_out", job_id=event.job_id, given=len(event.tags), used=len(usable))
    return usable
