"""The unified list and its counts."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.interactions.tables import popularity as item_popularity
from genonaut.content.items.tables import items
from genonaut.content.search import queries as search
from genonaut.content.search.domain import Scope, Wanted
from genonaut.content.search.planner import Knobs
from genonaut.content.search.tables import search_rows
from genonaut.content.users.tables import users
from genonaut.platform.http.lists import ListQuery, Page

_COUNTED = {
    "user_regular_count": Scope("items", "user"),
    "user_auto_count": Scope("auto", "user"),
    "community_regular_count": Scope("items", "community"),
    "community_auto_count": Scope("auto", "community"),
}


_SHOWN = [
    *(items.c[name] for name in ("id", "title", "content_type", "source_type", "creator_id", "quality_score")),
    *(items.c[name] for name in ("created_at", "updated_at", "path_thumb", "prompt", "is_private", "image_sha256")),
]


UNIFIED: Select[Any] = select(*_SHOWN, users.c.username.label("creator_username"), search_rows.c["keys"]).select_from(
    items.outerjoin(users, users.c.id == items.c.creator_id)
    .outerjoin(search_rows, search_rows.c.item_id == items.c.id)
    .outerjoin(item_popularity, item_popularity.c.item_id == items.c.id)
)
"""All items with what the list shows of them, as `schemas.UnifiedItem` takes it after `with_tags`."""


async def counts(connection: AsyncConnection, viewer: UUID | None) -> dict[str, int]:
    """How many items the viewer may see, by source and by whose they are; all of the others' without a viewer."""
    return dict(zip(_COUNTED, await search.counts(connection, _counted(viewer)), strict=True))


async def page_and_counts(
    connection: AsyncConnection, wanted: Wanted, query: ListQuery, *, knobs: Knobs
) -> tuple[Page, dict[str, int]]:
    """One page of what is wanted, as `UNIFIED` selects it, and `counts` for who looks."""
    counted = _counted(wanted.viewer)
    page, found = await search.page_and_counts(connection, wanted, query, UNIFIED, knobs=knobs, counted=counted)
    return page, dict(zip(_COUNTED, found, strict=True))


def _counted(viewer: UUID | None) -> list[Wanted]:
    return [Wanted(viewer=viewer, scopes=[scope]) for scope in _COUNTED.values()]
