"""Opinions, read."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_opinions.domain import Opinion
from genonaut.content.tag_opinions.tables import tag_favorites, tag_ratings
from genonaut.content.tags.tables import tags


async def ratings(connection: AsyncConnection, user_id: UUID, tag_ids: Sequence[UUID]) -> dict[UUID, int]:
    """In half stars, for those of the tags that the user has rated."""
    these = tag_ratings.c.tag_id == any_(literal(list(tag_ids), ARRAY(Uuid)))
    rows = await connection.execute(
        select(tag_ratings.c.tag_id, tag_ratings.c.half_stars).where(tag_ratings.c.user_id == user_id, these)
    )
    return {row.tag_id: row.half_stars for row in rows}


async def opinion(connection: AsyncConnection, user_id: UUID, tag_id: UUID) -> Opinion:
    rated = select(tag_ratings.c.half_stars).where(tag_ratings.c.user_id == user_id, tag_ratings.c.tag_id == tag_id)
    favored = select(tag_favorites.c.tag_id).where(tag_favorites.c.user_id == user_id, tag_favorites.c.tag_id == tag_id)
    half_stars, is_favorite = (await connection.execute(select(rated.scalar_subquery(), favored.exists()))).one()
    return Opinion(half_stars, is_favorite)


async def favorites(connection: AsyncConnection, user_id: UUID) -> list[dict[str, Any]]:
    """The columns of the user's favorite tags, by name."""
    rows = await connection.execute(
        select(tags)
        .join(tag_favorites, tag_favorites.c.tag_id == tags.c.id)
        .where(tag_favorites.c.user_id == user_id, ~tags.c.is_private)
        .order_by(tags.c.name, tags.c.id)
    )
    return [dict(row) for row in rows.mappings()]
