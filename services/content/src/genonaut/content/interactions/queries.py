"""Interactions, read, and what they add up to.

What others do with an item that is private to somebody is there for its creator; what a user did is there for the user,
whatever has become of the item. To everybody else there is none of it: not in rows, not in counts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Select, and_, any_, literal, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.interactions.counting import EVERYONE
from genonaut.content.interactions.tables import interactions, item_facts, pairs, user_counts, user_creators
from genonaut.content.items.queries import visible_to
from genonaut.content.items.tables import items
from genonaut.content.users.tables import users

SORTS: dict[str, ColumnElement[Any]] = {name: interactions.c[name] for name in ("created_at", "rating", "duration")}

RATED = interactions.c.rating > 0
"""In the words of the index of those that are, which no other list shall be tempted by."""

TOP = 10
"""How many of a user's items and creators are named."""

Counts = Mapping[str, Mapping[str, int]]
"""By facet and value, as `counting` names them."""


@dataclass(frozen=True)
class DayCount:
    day: date
    count: int


@dataclass(frozen=True)
class Behavior:
    """What is known of what a user does; the tops as rows by column, with those of the content."""

    user_id: UUID
    counts: Counts
    first_at: datetime | None
    last_at: datetime | None
    active_days: int
    top_items: Sequence[Mapping[str, Any]]
    top_creators: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ContentNumbers:
    """What is known of what is done with an item. `days` are those on which something was, the latest last."""

    item_id: int
    counts: Counts
    days: Sequence[DayCount]
    content: Mapping[str, Any]
    """The columns `content_…`; none for an item that is deleted."""


def of_user(user_id: UUID, viewer: UUID | None) -> Select[Any]:
    """What the user did: all of it for the user, and for others what everybody may see."""
    statement = _with_content(viewer).where(interactions.c.user_id == user_id)
    return statement if viewer == user_id else statement.where(interactions.c.audience == EVERYONE)


def of_item(item_id: int, viewer: UUID | None) -> Select[Any]:
    return _with_content(viewer).where(
        interactions.c.content_item_id == item_id, interactions.c.audience.in_(_audiences(viewer))
    )


def of_all(viewer: UUID | None, *conditions: ColumnElement[bool]) -> list[Select[Any]]:
    """What this viewer may see, as statements for one list."""
    # One for each audience: the private rows of others, however many, are never passed by.
    statement = _with_content(viewer).where(*conditions)
    return [statement.where(interactions.c.audience == each) for each in _audiences(viewer)]


async def by_id(connection: AsyncConnection, interaction_id: int, viewer: UUID | None) -> dict[str, Any] | None:
    """The interaction with its content, or None when there is none, or not for this viewer."""
    seen = or_(interactions.c.user_id == viewer, interactions.c.audience.in_(_audiences(viewer)))
    statement = _with_content(viewer).where(interactions.c.id == interaction_id, seen)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return dict(row) if row else None


def _audiences(viewer: UUID | None) -> list[UUID]:
    return [EVERYONE, viewer] if viewer not in {None, EVERYONE} else [EVERYONE]


CONTENT = ("id", "title", "source_type", "path_thumb", "creator_id", "is_private", "image_sha256")


def _with_content(viewer: UUID | None) -> Select[Any]:
    """With the columns `content_…` of the item, which are NULL when there is none for this viewer."""
    item = and_(items.c.id == interactions.c.content_item_id, visible_to(viewer))
    shown = [column for column in interactions.c if column is not interactions.c.audience]
    return select(*shown, *_content_columns()).select_from(interactions.outerjoin(items, item))


def _content_columns() -> list[ColumnElement[Any]]:
    return [items.c[name].label(f"content_{name}") for name in CONTENT]


async def content(connection: AsyncConnection, item_id: int, viewer: UUID | None) -> dict[str, Any]:
    """The columns `content_…` of one item; nothing when there is none for this viewer."""
    statement = select(*_content_columns()).where(items.c.id == item_id, visible_to(viewer))
    row = (await connection.execute(statement)).mappings().one_or_none()
    return dict(row) if row else {}


async def is_there(connection: AsyncConnection, item_id: int, viewer: UUID | None) -> bool:
    """Whether the item is, or was before it was deleted, one that this viewer may see."""
    audience = await connection.scalar(select(item_facts.c.audience).where(item_facts.c.item_id == item_id))
    return audience in _audiences(viewer)


async def activity(connection: AsyncConnection, user_ids: Iterable[UUID]) -> dict[UUID, bool]:
    """Those of the ids that are users, and whether each is active."""
    wanted = users.c.id == any_(literal(list(user_ids), ARRAY(users.c.id.type)))
    return {
        row.id: row.is_active for row in await connection.execute(select(users.c.id, users.c.is_active).where(wanted))
    }


async def private_to(connection: AsyncConnection, item_ids: Iterable[int]) -> dict[int, UUID | None]:
    """Those of the ids that are items, and to whom each is private; None for one that is not."""
    wanted = items.c.id == any_(literal(list(item_ids), ARRAY(items.c.id.type)))
    found = await connection.execute(select(items.c.id, items.c.creator_id, items.c.is_private).where(wanted))
    return {row.id: row.creator_id if row.is_private else None for row in found}


async def named(connection: AsyncConnection, names: Collection[tuple[UUID, str]]) -> dict[tuple[UUID, str], int]:
    """Of the pairs of a user and a client id, those that stand for an interaction, and which."""
    if not names:
        return {}
    asked = {"users": [user_id for user_id, _ in names], "names": [name for _, name in names]}
    rows = await connection.execute(_NAMED, asked)
    return {(row.user_id, row.client_id): row.interaction_id for row in rows}


async def next_ids(connection: AsyncConnection, count: int) -> list[int]:
    return list(await connection.scalars(_NEXT_IDS, {"count": count}))


async def total_of_user(connection: AsyncConnection, user_id: UUID, viewer: UUID | None) -> int:
    """How many rows `of_user` has."""
    return _one(await user_totals(connection, user_id, viewer, ["all"]), "all")


async def total_of_item(connection: AsyncConnection, item_id: int) -> int:
    """How many rows `of_item` has for those who may see the item."""
    return _one(await item_totals(connection, item_id, ["all"]), "all")


async def total_of_all(connection: AsyncConnection, viewer: UUID | None, facet: str, value: str | None = None) -> int:
    """How many rows `of_all` has that have this value of the facet, or any."""
    counts = await _totals(connection, _audiences(viewer), [facet])
    return sum(count for each, count in counts.get(facet, {}).items() if value in {None, each})


async def totals_of_user(connection: AsyncConnection, user_id: UUID, *, viewer: UUID | None = None) -> dict[str, int]:
    """`interactions` and `ratings`: how often the user did something, and how often it had a rating.

    All for the user themselves, for others what everybody may see.
    """
    counts = await user_totals(connection, user_id, viewer, ["all", "rating"])
    return {"interactions": _one(counts, "all"), "ratings": sum(counts.get("rating", {}).values())}


async def user_totals(connection: AsyncConnection, user_id: UUID, viewer: UUID | None, facets: Sequence[str]) -> Counts:
    column = _seen(user_counts, own=viewer == user_id)
    chosen = user_counts.c.facet == any_(literal(list(facets), ARRAY(user_counts.c.facet.type)))
    counts = select(user_counts.c.facet, user_counts.c.value, column.label("total"))
    return by_facet(await connection.execute(counts.where(user_counts.c.user_id == user_id, chosen, column > 0)))


async def behavior(connection: AsyncConnection, user_id: UUID, viewer: UUID | None) -> Behavior:
    """Of the user, all for themselves and for others what everybody may see."""
    facets = ["all", "type", "kind", "hour", "weekday", "rating", "duration"]
    first_at, last_at = await _first_and_last(connection, user_id, viewer)
    return Behavior(
        user_id,
        await user_totals(connection, user_id, viewer, facets),
        first_at,
        last_at,
        await _active_days(connection, user_id, viewer),
        await _top_items(connection, user_id, viewer),
        await _top_creators(connection, user_id, viewer),
    )


async def content_numbers(
    connection: AsyncConnection, item_id: int, viewer: UUID | None, *, since: date
) -> ContentNumbers | None:
    """Of an item of either source, with its days from `since` on. None when there is none for this viewer.

    `schemas.ContentAnalytics.of` shows them.
    """
    if not await is_there(connection, item_id, viewer):
        return None
    counts = await item_totals(connection, item_id, ["all", "type", "users", "rating", "duration"])
    days = await _item_days(connection, item_id, since=since)
    return ContentNumbers(item_id, counts, days, await content(connection, item_id, viewer))


async def _active_days(connection: AsyncConnection, user_id: UUID, viewer: UUID | None) -> int:
    """On how many days the user did something."""
    own = {"user_id": user_id, "own": viewer == user_id}
    days: int = await connection.scalar(_ACTIVE_DAYS, own)
    return days


async def _first_and_last(
    connection: AsyncConnection, user_id: UUID, viewer: UUID | None
) -> tuple[datetime | None, datetime | None]:
    """When the user did something for the first time and for the last."""
    times = select(interactions.c.created_at).where(interactions.c.user_id == user_id).limit(1)
    if viewer != user_id:
        times = times.where(interactions.c.audience == EVERYONE)
    order = interactions.c.created_at, interactions.c.id
    first = await connection.scalar(times.order_by(*order))
    last = await connection.scalar(times.order_by(*(column.desc() for column in order)))
    return first, last


async def _top_items(connection: AsyncConnection, user_id: UUID, viewer: UUID | None) -> list[dict[str, Any]]:
    """The items with which the user did something most often: `content_item_id`, `total`, and those of the content."""
    column = _seen(pairs, own=viewer == user_id)
    top = (
        select(pairs.c.item_id, column.label("total"))
        .where(pairs.c.user_id == user_id, column > 0)
        .order_by(column.desc(), pairs.c.item_id.desc())
        .limit(TOP)
        .subquery()
    )
    rows = (
        select(top.c.item_id.label("content_item_id"), top.c.total, *_content_columns())
        .select_from(top.outerjoin(items, and_(items.c.id == top.c.item_id, visible_to(viewer))))
        .order_by(top.c.total.desc(), top.c.item_id.desc())
    )
    return [dict(row) for row in (await connection.execute(rows)).mappings()]


async def _top_creators(connection: AsyncConnection, user_id: UUID, viewer: UUID | None) -> list[dict[str, Any]]:
    """The creators with whose items the user did something most often: `creator_id`, `creator_username`, `total`."""
    column = _seen(user_creators, own=viewer == user_id)
    rows = (
        select(user_creators.c.creator_id, users.c.username.label("creator_username"), column.label("total"))
        .select_from(user_creators.outerjoin(users, users.c.id == user_creators.c.creator_id))
        .where(user_creators.c.user_id == user_id, column > 0)
        .order_by(column.desc(), user_creators.c.creator_id.desc())
        .limit(TOP)
    )
    return [dict(row) for row in (await connection.execute(rows)).mappings()]


def _seen(table: FromClause, *, own: bool) -> ColumnElement[int]:
    return table.c.total if own else table.c.shown


async def item_totals(connection: AsyncConnection, item_id: int, facets: Sequence[str]) -> Counts:
    """Whoever asks may see the item: see `is_there`."""
    return by_facet(await connection.execute(_ITEM_TOTALS, {"item_id": item_id, "facets": list(facets)}))


async def _item_days(connection: AsyncConnection, item_id: int, *, since: date) -> list[DayCount]:
    """Days on which something was done with the item, the latest last."""
    rows = await connection.execute(_ITEM_DAYS, {"item_id": item_id, "since": since.isoformat()})
    return [DayCount(date.fromisoformat(row.value), row.total) for row in rows]


async def overall(connection: AsyncConnection) -> Counts:
    """Of what everybody may see: by `type` and `rating`, and how many `users` and `items` there are behind it."""
    return await _totals(connection, [EVERYONE], ["type", "rating", "users", "items"])


async def overall_days(connection: AsyncConnection, *, since: date) -> list[DayCount]:
    rows = await connection.execute(_OVERALL_DAYS, {"audience": EVERYONE, "since": since.isoformat()})
    return [DayCount(date.fromisoformat(row.value), row.total) for row in rows]


async def _totals(connection: AsyncConnection, audiences: Sequence[UUID], facets: Sequence[str]) -> Counts:
    return by_facet(await connection.execute(_TOTALS, {"audiences": list(audiences), "facets": list(facets)}))


def by_facet(rows: Iterable[Any]) -> Counts:
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        counts.setdefault(row.facet, {})[row.value] = row.total
    return counts


def _one(counts: Counts, facet: str) -> int:
    return counts.get(facet, {}).get("", 0)


_NAMED = text("""
SELECT user_id, client_id, interaction_id
FROM unnest(CAST(:users AS uuid[]), CAST(:names AS text[])) AS asked (user_id, client_id)
JOIN interaction_client_ids USING (user_id, client_id)
""")

_NEXT_IDS = text("SELECT nextval('user_interactions_id_seq') FROM generate_series(1, CAST(:count AS int))")

_ACTIVE_DAYS = text("""
SELECT count(*) FROM interaction_user_counts
WHERE user_id = :user_id AND facet = 'day' AND CASE WHEN :own THEN total ELSE shown END > 0
""")

_ITEM_TOTALS = text("""
SELECT facet, value, total FROM interaction_item_counts
WHERE item_id = :item_id AND facet = ANY(CAST(:facets AS text[]))
""")

_ITEM_DAYS = text("""
SELECT value, total FROM interaction_item_counts
WHERE item_id = :item_id AND facet = 'day' AND value >= :since ORDER BY value
""")

_TOTALS = text("""
SELECT facet, value, CAST(sum(total) AS bigint) AS total FROM interaction_totals
WHERE audience = ANY(CAST(:audiences AS uuid[])) AND facet = ANY(CAST(:facets AS text[]))
GROUP BY facet, value HAVING sum(total) > 0
""")

_OVERALL_DAYS = text("""
SELECT value, CAST(sum(total) AS bigint) AS total FROM interaction_totals
WHERE audience = :audience AND facet = 'day' AND value >= :since GROUP BY value HAVING sum(total) > 0 ORDER BY value
""")
