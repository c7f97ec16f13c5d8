"""The unified list and its counts."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, false, or_, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.items.queries import tagged, visible_to, with_phrases
from genonaut.content.items.tables import items
from genonaut.content.unified.domain import Scope
from genonaut.content.users.tables import users

_EVERYTHING = {Scope("items", "all"), Scope("auto", "all")}


def unified(
    scopes: Collection[Scope],
    *,
    viewer: UUID | None,
    tag_ids: Sequence[UUID],
    every_tag: bool,
    phrases: Sequence[str],
) -> Select[Any]:
    """The viewer's items of these scopes with all the phrases and, where tags are given, any or every one of them."""
    statement = (
        select(
            *(items.c[name] for name in ("id", "title", "content_type", "source_type", "creator_id", "quality_score")),
            *(items.c[name] for name in ("tag_ids", "created_at", "updated_at", "path_thumb", "prompt", "is_private")),
            users.c.username.label("creator_username"),
        )
        .select_from(items.outerjoin(users, users.c.id == items.c.creator_id))
        .where(visible_to(viewer), _within(scopes, viewer), *with_phrases(phrases))
    )
    return statement.where(tagged(tag_ids, every=every_tag)) if tag_ids else statement


async def counts(connection: AsyncConnection, viewer: UUID | None) -> dict[str, int]:
    """How many items the viewer may see, by source and by whose they are; all of the others' without a viewer."""
    return dict((await connection.execute(text(_COUNTS), {"viewer": viewer})).mappings().one())


def _within(scopes: Collection[Scope], viewer: UUID | None) -> ColumnElement[bool]:
    """Items of any of the scopes."""
    if set(scopes) >= _EVERYTHING:
        return true()
    own = items.c.creator_id == viewer
    whose = {"user": own, "community": ~own, "all": true()}
    return or_(false(), *(and_(items.c.source_type == scope.source_type, whose[scope.owner]) for scope in scopes))


_COUNTS = """
SELECT count(*) FILTER (WHERE source_type = 'items' AND own) AS user_regular_count,
       count(*) FILTER (WHERE source_type = 'auto' AND own) AS user_auto_count,
       count(*) FILTER (WHERE source_type = 'items' AND NOT own) AS community_regular_count,
       count(*) FILTER (WHERE source_type = 'auto' AND NOT own) AS community_auto_count
FROM (SELECT source_type, is_private, creator_id IS NOT DISTINCT FROM CAST(:viewer AS uuid) AS own
      FROM content_items_all) items
WHERE own OR NOT is_private
"""
