"""Opinions into the tables `tag_ratings`, `tag_rating_totals` and `tag_favorites`."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.tag_opinions.tables import tag_favorites, tag_rating_totals, tag_ratings
from genonaut.contracts import Envelope
from genonaut.contracts.content import TagFavorited, TagRated, TagRatingRemoved, TagUnfavorited
from genonaut.platform.projections import Projection

tag_opinions_projection = Projection("tag-opinions", tag_ratings, tag_rating_totals, tag_favorites)


@tag_opinions_projection.on(TagRated)
async def _rated(connection: AsyncConnection, event: TagRated, _: Envelope) -> None:
    await connection.execute(_RATE, event.model_dump())


@tag_opinions_projection.on(TagRatingRemoved)
async def _rating_removed(connection: AsyncConnection, event: TagRatingRemoved, _: Envelope) -> None:
    await connection.execute(_UNRATE, event.model_dump())


@tag_opinions_projection.on(TagFavorited)
async def _favorited(connection: AsyncConnection, event: TagFavorited, _: Envelope) -> None:
    await connection.execute(tag_favorites.insert().values(event.model_dump()))


@tag_opinions_projection.on(TagUnfavorited)
async def _unfavorited(connection: AsyncConnection, event: TagUnfavorited, _: Envelope) -> None:
    this = (tag_favorites.c.user_id == event.user_id) & (tag_favorites.c.tag_id == event.tag_id)
    await connection.execute(tag_favorites.delete().where(this))


# What the person thought before is read and replaced in one statement: the stream of their opinion has one writer at a
# time, and the totals, which have many, only add and subtract.
_RATE = text("""
WITH before AS (
    SELECT half_stars FROM tag_ratings WHERE user_id = :user_id AND tag_id = :tag_id
), rated AS (
    INSERT INTO tag_ratings (user_id, tag_id, half_stars) VALUES (:user_id, :tag_id, :half_stars)
    ON CONFLICT (user_id, tag_id) DO UPDATE SET half_stars = EXCLUDED.half_stars
), added (rating_count, half_stars) AS (
    SELECT 1 - count(*), :half_stars - coalesce(sum(half_stars), 0) FROM before
)
INSERT INTO tag_rating_totals AS total (tag_id, rating_count, half_stars)
SELECT :tag_id, 1, :half_stars
ON CONFLICT (tag_id) DO UPDATE SET
    rating_count = total.rating_count + (SELECT rating_count FROM added),
    half_stars = total.half_stars + (SELECT half_stars FROM added)
""")

_UNRATE = text("""
WITH removed AS (
    DELETE FROM tag_ratings WHERE user_id = :user_id AND tag_id = :tag_id RETURNING half_stars
)
UPDATE tag_rating_totals total
SET rating_count = total.rating_count - 1, half_stars = total.half_stars - removed.half_stars
FROM removed WHERE total.tag_id = :tag_id
""")
