"""Recommendations, read, and what they add up to.

A user sees all of theirs. Others see those of public items, and no more of them than they see of anything else: an item
that is not there for who asks has neither content nor a part in the reasons.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, any_, false, literal, or_, select, text, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.interactions.queries import CONTENT, Counts, by_facet
from genonaut.content.items.queries import visible_to
from genonaut.content.items.tables import items
from genonaut.content.recommendations.domain import UNWANTED
from genonaut.content.recommendations.tables import recommendations, user_counts
from genonaut.platform.database import lock_key

SORTS: dict[str, ColumnElement[Any]] = {
    name: recommendations.c[name] for name in ("created_at", "recommendation_score", "served_at")
}

_HIDDEN = {"shown", "algorithm"}


def of_user(user_id: UUID, viewer: UUID | None) -> Select[Any]:
    """What the user is recommended: all of it for themselves, of public items for others."""
    statement = _with_content(viewer).where(recommendations.c.user_id == user_id)
    return statement if viewer == user_id else statement.where(_shown())


def unserved(user_id: UUID, viewer: UUID | None) -> Select[Any]:
    """What the user was not shown yet, wants as far as they said, and may see now."""
    wanted = or_(recommendations.c.feedback.is_(None), recommendations.c.feedback.not_in(UNWANTED))
    return of_user(user_id, viewer).where(recommendations.c.served_at.is_(None), wanted, items.c.id.is_not(None))


def of_all(viewer: UUID | None, *conditions: ColumnElement[bool]) -> list[Select[Any]]:
    """What this viewer may see, as statements for one list."""
    # The viewer's own of hidden items are a statement of their own: an OR would keep all from walking an index.
    everyone = _with_content(viewer).where(_shown(), *conditions)
    if viewer is None:
        return [everyone]
    own = _with_content(viewer).where(recommendations.c.user_id == viewer, recommendations.c.shown.is_(false()))
    return [everyone, own.where(*conditions)]


def by_algorithm(algorithm: str) -> ColumnElement[bool]:
    """Of `name@version`, or of all versions of a name."""
    name, at, _ = algorithm.partition("@")
    of_name = recommendations.c.algorithm == name
    return and_(of_name, recommendations.c.algorithm_version == algorithm) if at else of_name


async def by_id(connection: AsyncConnection, recommendation_id: int, viewer: UUID | None) -> dict[str, Any] | None:
    """The recommendation with its content, or None when there is none, or not for this viewer."""
    seen = or_(recommendations.c.user_id == viewer, recommendations.c.shown) if viewer else _shown()
    statement = _with_content(viewer).where(recommendations.c.id == recommendation_id, seen)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return dict(row) if row else None


async def by_ids(connection: AsyncConnection, ids: Sequence[int], viewer: UUID | None) -> list[dict[str, Any]]:
    """Of these, whoever they are for, in their order, with what the viewer may see of their content."""
    statement = _with_content(viewer).where(recommendations.c.id == any_(literal(list(ids), ARRAY(items.c.id.type))))
    rows = {row["id"]: dict(row) for row in (await connection.execute(statement)).mappings()}
    return [rows[each] for each in ids if each in rows]


async def visible(connection: AsyncConnection, item_ids: Iterable[int], viewer: UUID | None) -> set[int]:
    """Those of the items that are there for the viewer."""
    wanted = items.c.id == any_(literal(list(item_ids), ARRAY(items.c.id.type)))
    return set(await connection.scalars(select(items.c.id).where(wanted, visible_to(viewer))))


async def creators(connection: AsyncConnection, item_ids: Iterable[int]) -> dict[int, tuple[UUID, bool]]:
    """Who made those of the ids that are items, and whether they are private."""
    wanted = items.c.id == any_(literal(list(item_ids), ARRAY(items.c.id.type)))
    found = await connection.execute(select(items.c.id, items.c.creator_id, items.c.is_private).where(wanted))
    return {row.id: (row.creator_id, row.is_private) for row in found}


async def replaceable(connection: AsyncConnection, user_id: UUID) -> dict[int, Mapping[str, Any]]:
    """What the user was generated and has neither been shown nor judged, by its item.

    Whoever generates for the same user waits until this transaction ends.
    """
    await connection.execute(_LOCK, {"purpose": lock_key("recommendations") & _INT, "user": user_id.int & _INT})
    rows = select(recommendations).where(
        recommendations.c.user_id == user_id,
        recommendations.c.served_at.is_(None),
        recommendations.c.feedback.is_(None),
        recommendations.c.generated.is_(true()),
    )
    return {row["content_item_id"]: dict(row) for row in (await connection.execute(rows)).mappings()}


async def next_ids(connection: AsyncConnection, count: int) -> list[int]:
    return list(await connection.scalars(_NEXT_IDS, {"count": count}))


async def user_totals(connection: AsyncConnection, user_id: UUID, viewer: UUID | None) -> Counts:
    """Of the user, all for themselves and for others what everybody may see."""
    column = user_counts.c.total if viewer == user_id else user_counts.c.shown
    counts = select(user_counts.c.facet, user_counts.c.value, column.label("total"))
    return by_facet(await connection.execute(counts.where(user_counts.c.user_id == user_id, column > 0)))


async def overall(connection: AsyncConnection) -> Counts:
    """Of what everybody may see."""
    return by_facet(await connection.execute(_TOTALS))


async def total_of_all(connection: AsyncConnection, viewer: UUID | None, algorithm: str | None = None) -> int:
    """How many rows `of_all` has, of an algorithm or of all."""
    asked = {"viewer": viewer, "facet": "algorithm" if algorithm else "all"}
    rows = (await connection.execute(_SEEN, asked)).all()
    return sum(row.total for row in rows if algorithm is None or _is_of(row.value, algorithm))


def _is_of(algorithm_version: str, algorithm: str) -> bool:
    return algorithm in {algorithm_version, algorithm_version.partition("@")[0]}


def _shown() -> ColumnElement[bool]:
    return recommendations.c.shown.is_(true())


def _with_content(viewer: UUID | None) -> Select[Any]:
    """With the columns `content_…` of the item, which are NULL when there is none for this viewer."""
    item = and_(items.c.id == recommendations.c.content_item_id, visible_to(viewer))
    shown = [column for column in recommendations.c if column.name not in _HIDDEN]
    content = [items.c[name].label(f"content_{name}") for name in CONTENT]
    return select(*shown, *content).select_from(recommendations.outerjoin(items, item))


_INT = 2**31 - 1

_LOCK = text("SELECT pg_advisory_xact_lock(CAST(:purpose AS int), CAST(:user AS int))")

_NEXT_IDS = text("SELECT nextval('recommendations_id_seq') FROM generate_series(1, CAST(:count AS int))")

_TOTALS = text("""
SELECT facet, value, CAST(sum(total) AS bigint) AS total FROM recommendation_totals
GROUP BY facet, value HAVING sum(total) <> 0
""")

_SEEN = text("""
SELECT value, CAST(sum(total) AS bigint) AS total FROM (
    SELECT value, total FROM recommendation_totals WHERE facet = :facet
    UNION ALL
    SELECT value, total - shown FROM recommendation_user_counts
    WHERE user_id = CAST(:viewer AS uuid) AND facet = :facet
) seen GROUP BY value
""")
