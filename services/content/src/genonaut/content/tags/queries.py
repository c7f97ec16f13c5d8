"""Tags, read. Private ones are for nobody here, except in what resolves the words of items and of filters."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Double, Select, Uuid, any_, cast, desc, func, literal, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from genonaut.content.search.tables import tag_cardinality_stats
from genonaut.content.tag_meanings.tables import tag_aliases
from genonaut.content.tag_opinions.tables import tag_rating_totals
from genonaut.content.tags.domain import BadSlugError, FilterWord, id_of, slug_of
from genonaut.content.tags.tables import tag_closure, tags
from genonaut.contracts.content import ImpliedTag, SourceType


@dataclass(frozen=True)
class Meaning:
    """What an id stands for: the tag it is an alias of, otherwise itself."""

    tag_id: UUID
    is_private: bool | None
    """None when there is no such tag."""


@dataclass(frozen=True)
class FoundTag:
    key: int | None
    """None while search is rebuilt and has not come to it."""
    cardinality: int
    """How many public items have it."""


async def meanings(connection: AsyncConnection, tag_ids: Iterable[UUID]) -> dict[UUID, Meaning]:
    """What each of the ids stands for."""
    wanted = list(tag_ids)
    if not wanted:
        return {}
    rows = await connection.execute(text(_MEANINGS), {"tag_ids": wanted})
    return {row.id: Meaning(row.tag_id, row.is_private) for row in rows}


async def known(connection: AsyncConnection, tag_ids: Iterable[UUID]) -> dict[UUID, bool]:
    """Those of the ids that stand for a tag, and whether that is private."""
    found = await meanings(connection, tag_ids)
    return {tag_id: meaning.is_private for tag_id, meaning in found.items() if meaning.is_private is not None}


async def meant(connection: AsyncConnection, words: Sequence[str]) -> list[dict[UUID, FoundTag]]:
    """For each word of a filter, the tags that satisfy it by their ids; none for a word that means nothing.

    A word is an id, a slug or an alias. A tag and those that aliases make the same with it satisfy each other's words;
    `~descendants` behind a word adds everything below. Private tags are among them: items decide who sees them.
    """
    read = [FilterWord.of(word) for word in words]
    asked = [(number, word) for number, word in enumerate(read) if word]
    found: list[dict[UUID, FoundTag]] = [{} for _ in words]
    if asked:
        columns = {
            "numbers": [number for number, _ in asked],
            "tag_ids": [word.tag_id for _, word in asked],
            "below": [word.descendants for _, word in asked],
        }
        for row in await connection.execute(_MEANT, columns):
            found[row.number][row.tag_id] = FoundTag(row.key, row.cardinality)
    return found


async def implied(connection: AsyncConnection, tag_ids: Sequence[UUID]) -> list[ImpliedTag]:
    """The tags that these bring with them over any steps, and that are not among them, by their ids.

    Each once, because of the one of `tag_ids`, in their order, that is the first to imply it.
    """
    if not tag_ids:
        return []
    rows = await connection.execute(text(_IMPLIED), {"tag_ids": list(tag_ids)})
    return [ImpliedTag(tag_id=row.tag_id, because_of=row.because_of) for row in rows]


async def private_slugs(connection: AsyncConnection, tag_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The slugs of those of the tags that only private items have."""
    rows = await connection.execute(select(tags.c.id, tags.c.slug).where(_with_id(list(tag_ids)), tags.c.is_private))
    return {row.id: row.slug for row in rows}


async def slugs_by_id(connection: AsyncConnection, tag_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The slugs of the tags with these ids."""
    rows = await connection.execute(select(tags.c.id, tags.c.slug).where(_with_id(list(tag_ids))))
    return {row.id: row.slug for row in rows}


async def slugs(connection: AsyncConnection, keys: Collection[int]) -> Mapping[int, str]:
    """The slugs of tags by their keys, among others."""
    known = _slugs.setdefault(connection.engine, {})
    if missing := set(keys).difference(known):
        if len(known) > KEPT_SLUGS:
            known, missing = {}, set(keys)  # a new one: whoever has the old one goes on with it
            _slugs[connection.engine] = known
        known.update((row.key, row.slug) for row in await connection.execute(_SLUGS, {"keys": list(missing)}))
    return known


_slugs: WeakKeyDictionary[AsyncEngine, dict[int, str]] = WeakKeyDictionary()
"""A tag keeps its slug and its key for ever, so both may be remembered."""
KEPT_SLUGS = 200_000


def _with_id(wanted: list[UUID]) -> ColumnElement[bool]:
    # One array, not IN with a parameter for each: that would be another statement to prepare for each number of them.
    return tags.c.id == any_(literal(wanted, ARRAY(Uuid)))


_regular = tag_cardinality_stats.alias("regular")
_auto = tag_cardinality_stats.alias("auto")

CARDINALITY: ColumnElement[int] = func.coalesce(_regular.c.cardinality, 0) + func.coalesce(_auto.c.cardinality, 0)
"""How many public items of both sources have the tag, in what is made of `whole`."""

SORTS: dict[str, ColumnElement[Any]] = {
    "name": tags.c.name,
    "created_at": tags.c.created_at,
    "updated_at": tags.c.updated_at,
    "rating": cast(tag_rating_totals.c.half_stars, Double) / func.nullif(tag_rating_totals.c.rating_count, 0),
    "popularity": CARDINALITY,
}
"""What a list of tags can be sorted by. Those without a rating have none to compare."""


def whole() -> Select[Any]:
    """All tags that everybody may see, with everything there is to show of each, as `schemas.Tag` takes it."""
    return (
        select(
            tags,
            func.coalesce(tag_rating_totals.c.rating_count, 0).label("rating_count"),
            func.coalesce(tag_rating_totals.c.half_stars, 0).label("half_stars"),
            CARDINALITY.label("cardinality"),
        )
        .select_from(
            tags.outerjoin(tag_rating_totals, tag_rating_totals.c.tag_id == tags.c.id)
            .outerjoin(_regular, (_regular.c.tag_id == tags.c.id) & (_regular.c.content_source == "items"))
            .outerjoin(_auto, (_auto.c.tag_id == tags.c.id) & (_auto.c.content_source == "auto"))
        )
        .where(~tags.c.is_private)
    )


def listed(search: str | None, *, min_ratings: int | None, min_count: int | None, max_count: int | None) -> Select[Any]:
    """Of `whole`, those with `search` in their slug, name or an alias, so many ratings and so many items."""
    statement = whole()
    if search:
        part = search.lower()
        alias = (
            select(tag_aliases.c.alias_id)
            .where(tag_aliases.c.tag_id == tags.c.id, tag_aliases.c.alias.contains(part, autoescape=True))
            .exists()
        )
        found = (func.lower(column).contains(part, autoescape=True) for column in (tags.c.slug, tags.c.name))
        statement = statement.where(or_(*found, alias))
    if min_ratings:
        statement = statement.where(tag_rating_totals.c.rating_count >= min_ratings)
    if min_count:
        statement = statement.where(min_count <= CARDINALITY)
    if max_count is not None:
        statement = statement.where(max_count >= CARDINALITY)
    return statement


async def by_id(connection: AsyncConnection, tag_id: UUID) -> dict[str, Any] | None:
    """The columns of `whole` by name; None when everybody sees no such tag."""
    row = (await connection.execute(whole().where(tags.c.id == tag_id))).mappings().one_or_none()
    return dict(row) if row else None


async def is_shown(connection: AsyncConnection, tag_id: UUID) -> bool:
    """Whether everybody sees this tag."""
    found = await connection.scalar(select(tags.c.id).where(tags.c.id == tag_id, ~tags.c.is_private))
    return found is not None


async def named(connection: AsyncConnection, word: str) -> UUID | None:
    """The tag that everybody sees with this slug or alias; otherwise the oldest one with this name, in any case."""
    try:
        slug_id = id_of(slug_of(word))
    except BadSlugError:
        slug_id = None
    tag_id: UUID | None = await connection.scalar(text(_NAMED), {"slug_id": slug_id, "name": word})
    return tag_id


async def popular(
    connection: AsyncConnection, *, limit: int, source: SourceType | None, at_least: int
) -> list[dict[str, Any]]:
    """The tags with the most public items, of one source or of both, most first, with their `cardinality`."""
    stats = tag_cardinality_stats.c
    counted = (
        select(stats.tag_id, stats.cardinality).where(stats.content_source == source)
        if source
        else select(stats.tag_id, func.sum(stats.cardinality).label("cardinality")).group_by(stats.tag_id)
    ).subquery()
    rows = await connection.execute(
        select(tags.c.id, tags.c.slug, tags.c.name, counted.c.cardinality)
        .join(counted, counted.c.tag_id == tags.c.id)
        .where(~tags.c.is_private, counted.c.cardinality >= at_least)
        .order_by(desc(counted.c.cardinality), tags.c.name, tags.c.id)
        .limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


async def ancestors(connection: AsyncConnection, tag_id: UUID) -> set[UUID]:
    """Every tag above this one."""
    above = select(tag_closure.c.ancestor_id).where(tag_closure.c.descendant_id == tag_id)
    return set(await connection.scalars(above))


async def next_numbers(connection: AsyncConnection, count: int) -> list[int]:
    drawn = text("SELECT nextval('tags_number_seq') FROM generate_series(1, :count)")
    return list(await connection.scalars(drawn, {"count": count}))


async def next_number(connection: AsyncConnection) -> int:
    number: int = await connection.scalar(text("SELECT nextval('tags_number_seq')"))
    return number


async def hold_relations(connection: AsyncConnection) -> None:
    """Nobody else who calls this goes on before this transaction ends: no other parents, aliases or implications.

    It comes before all that a transaction writes: who waits for it holds nothing that others may be waiting for.
    """
    await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('genonaut tag hierarchy'))"))


_SLUGS = text("""
SELECT k.key, t.slug FROM search_keys k JOIN tags t ON t.id = k.id WHERE k.key = ANY(CAST(:keys AS int[]))
""")

_MEANINGS = """
SELECT asked.id, coalesce(a.tag_id, asked.id) AS tag_id, t.is_private
FROM unnest(CAST(:tag_ids AS uuid[])) AS asked (id)
LEFT JOIN tag_aliases a ON a.alias_id = asked.id
LEFT JOIN tags t ON t.id = coalesce(a.tag_id, asked.id)
"""

# An entry is a tag whose whole subtree is meant, where that is asked for. Below one there may be tags that an alias
# makes the same with others, which are elsewhere in the hierarchy: those are entries, too. The id of an alias that is
# no tag is on the way between two that are. How many entries there will be is a guess of thousands to the planner, who
# would read all tags and the whole closure for one: the last two subqueries are such that it goes by index.
# How many tags there will be is guessed far too high, so keys are looked up one by one: joined, all would be read.
_MEANT = text("""
WITH RECURSIVE entry (number, below, tag_id) AS (
    SELECT * FROM unnest(CAST(:numbers AS int[]), CAST(:below AS bool[]), CAST(:tag_ids AS uuid[]))
    UNION
    SELECT entry.number, entry.below, same.tag_id
    FROM entry
    CROSS JOIN LATERAL (
        SELECT entry.tag_id
        UNION ALL
        SELECT descendant_id FROM tag_closure WHERE entry.below AND ancestor_id = entry.tag_id
    ) reached
    CROSS JOIN LATERAL (
        SELECT a.alias_id AS tag_id FROM tag_aliases a WHERE a.tag_id = reached.tag_id
        UNION ALL
        SELECT a.tag_id FROM tag_aliases a WHERE a.alias_id = reached.tag_id
    ) same
)
SELECT m.number, m.tag_id,
       (SELECT k.key FROM search_keys k WHERE k.id = m.tag_id) AS key,
       (SELECT coalesce(sum(s.cardinality), 0)::bigint
        FROM tag_cardinality_stats s WHERE s.tag_id = m.tag_id) AS cardinality
FROM (
    SELECT number, tag_id FROM entry WHERE (SELECT true FROM tags WHERE id = entry.tag_id)
    UNION
    SELECT entry.number, under.descendant_id
    FROM entry
    CROSS JOIN LATERAL (
        SELECT descendant_id FROM tag_closure WHERE entry.below AND ancestor_id = entry.tag_id OFFSET 0
    ) under
) m
""")

_IMPLIED = """
WITH RECURSIVE direct (tag_id, place) AS (
    SELECT * FROM unnest(CAST(:tag_ids AS uuid[])) WITH ORDINALITY
), reached (because_of, place, tag_id) AS (
    SELECT tag_id, place, tag_id FROM direct
    UNION
    SELECT reached.because_of, reached.place, coalesce(a.tag_id, i.implied_id)
    FROM reached
    JOIN tag_implications i ON i.tag_id = reached.tag_id
    LEFT JOIN tag_aliases a ON a.alias_id = i.implied_id
)
SELECT DISTINCT ON (tag_id) tag_id, because_of
FROM reached WHERE tag_id NOT IN (SELECT tag_id FROM direct)
ORDER BY tag_id, place
"""

_NAMED = """
SELECT id FROM (
    SELECT id, created_at, true AS by_slug FROM tags
    WHERE NOT is_private
      AND id = coalesce((SELECT tag_id FROM tag_aliases WHERE alias_id = :slug_id), CAST(:slug_id AS uuid))
    UNION ALL
    SELECT id, created_at, false FROM tags WHERE NOT is_private AND lower(name) = lower(:name)
) found
ORDER BY by_slug DESC, created_at, id LIMIT 1
"""
