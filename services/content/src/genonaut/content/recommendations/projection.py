"""Recommendation events into the rows and every counter, and item events into what counting needs to know of items.

In batches, as interactions are: what a batch does is added up first. All who write take their rows in the same order
(items, recommendations, users, totals; each by key), so that nobody waits in a circle.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.interactions.counting import stripe_of_user
from genonaut.content.interactions.projection import add, appeared
from genonaut.content.recommendations.counting import ALL, USERS, Counted, Moved
from genonaut.content.recommendations.tables import item_facts, recommendations, totals, user_counts
from genonaut.contracts.content import (
    ItemCreated,
    ItemMadePrivate,
    ItemMadePublic,
    RecommendationChanged,
    RecommendationDeleted,
    RecommendationJudged,
    RecommendationMade,
    RecommendationServed,
)
from genonaut.platform.database import driver_of
from genonaut.platform.projections import Projection, Recorded

Row = dict[str, Any]
"""Of the table of recommendations, by column."""

Said = RecommendationMade | RecommendationChanged | RecommendationServed | RecommendationJudged | RecommendationDeleted

recommendations_projection = Projection(
    "recommendations",
    recommendations,
    item_facts,
    user_counts,
    totals,
    reads=(
        RecommendationMade,
        RecommendationChanged,
        RecommendationServed,
        RecommendationJudged,
        RecommendationDeleted,
        ItemCreated,
        ItemMadePrivate,
        ItemMadePublic,
    ),
)


@recommendations_projection.in_batches
async def _apply(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    for is_privacy, run in groupby(recorded, lambda each: isinstance(each.event, ItemMadePrivate | ItemMadePublic)):
        if is_privacy:
            for each in run:
                await _privacy_changed(connection, each.event)  # type: ignore[arg-type]  # the run is of these
        else:
            await _without_changes_of_privacy(connection, list(run))


async def _without_changes_of_privacy(connection: AsyncConnection, run: Sequence[Recorded]) -> None:
    created = [each.event for each in run if isinstance(each.event, ItemCreated)]
    said = [each for each in run if not isinstance(each.event, ItemCreated)]
    if created:
        facts = [(event.item_id, event.is_private) for event in created]
        driver = await driver_of(connection)
        await driver.copy_records_to_table(item_facts.name, records=facts, columns=["item_id", "is_private"])
    if said:
        await _recommendations(connection, said)


async def _recommendations(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    private = await _held(connection, {_event(each).content_item_id for each in recorded})
    made = {each.event.recommendation_id for each in recorded if isinstance(each.event, RecommendationMade)}
    before = await _present(connection, {_event(each).recommendation_id for each in recorded} - made)
    after: dict[int, Row | None] = dict(before)
    for each in recorded:
        recommendation_id = _event(each).recommendation_id
        after[recommendation_id] = _after(each, after.get(recommendation_id), private)
    moved = Moved()
    for recommendation_id, row in after.items():
        moved.change(_counted(before.get(recommendation_id)), _counted(row))
    await _write(connection, after)
    await _count(connection, moved)


def _event(recorded: Recorded) -> Said:
    return recorded.event  # type: ignore[return-value]  # what it reads, less the events of items


def _after(recorded: Recorded, row: Row | None, private: Mapping[int, bool]) -> Row | None:
    """What has become of the row."""
    event, time = _event(recorded), recorded.envelope.time
    if isinstance(event, RecommendationMade):
        return {
            "id": event.recommendation_id,
            "user_id": event.user_id,
            "content_item_id": event.content_item_id,
            "reasons": [reason.model_dump(mode="json") for reason in event.reasons],
            "generated": event.generated,
            "shown": not private[event.content_item_id],
            "feedback": None,
            "comment": None,
            "served_at": None,
            "created_at": time,
            "updated_at": time,
            **_facts(event),
        }
    if row is None or isinstance(event, RecommendationDeleted):
        return None
    if isinstance(event, RecommendationChanged):
        return {**row, **_facts(event), "updated_at": time}
    if isinstance(event, RecommendationServed):
        return {**row, "served_at": time, "updated_at": time}
    return {**row, "feedback": event.feedback, "comment": event.comment, "updated_at": time}


def _facts(event: RecommendationMade | RecommendationChanged) -> Row:
    return {
        "recommendation_score": event.score,
        "algorithm": event.algorithm_version.partition("@")[0],
        "algorithm_version": event.algorithm_version,
        "metadata": event.metadata,
    }


def _counted(row: Mapping[str, Any] | None) -> Counted | None:
    if row is None:
        return None
    return Counted(
        user_id=row["user_id"],
        algorithm_version=row["algorithm_version"],
        score=row["recommendation_score"],
        served=row["served_at"] is not None,
        feedback=row["feedback"],
        shown=row["shown"],
    )


async def _held(connection: AsyncConnection, item_ids: Iterable[int]) -> dict[int, bool]:
    """Whether the items are private, which does not change before this transaction ends."""
    held = (
        select(item_facts)
        .where(item_facts.c.item_id == any_(literal(list(item_ids), ARRAY(item_facts.c.item_id.type))))
        .order_by(item_facts.c.item_id)
        .with_for_update(read=True)
    )
    return {row.item_id: row.is_private for row in await connection.execute(held)}


async def _present(connection: AsyncConnection, ids: Iterable[int]) -> dict[int, Row]:
    """The rows as they are, by their ids."""
    wanted = list(ids)
    if not wanted:
        return {}
    present = select(recommendations).where(recommendations.c.id == any_(_ids(wanted)))
    return {row["id"]: dict(row) for row in (await connection.execute(present)).mappings()}


async def _write(connection: AsyncConnection, after: Mapping[int, Row | None]) -> None:
    there = [row for _, row in sorted(after.items()) if row]
    gone = [recommendation_id for recommendation_id, row in after.items() if row is None]
    if there:
        put = insert(recommendations)
        moving = {"recommendation_score", "algorithm", "algorithm_version", "metadata", "feedback", "comment"}
        changes = {name: put.excluded[name] for name in sorted(moving | {"served_at", "updated_at"})}
        await connection.execute(put.on_conflict_do_update(index_elements=["id"], set_=changes), there)
    if gone:
        await connection.execute(recommendations.delete().where(recommendations.c.id == any_(_ids(gone))))


async def _privacy_changed(connection: AsyncConnection, event: ItemMadePrivate | ItemMadePublic) -> None:
    """Hides or shows every recommendation of the item, which takes time in proportion to their number."""
    of_item = item_facts.c.item_id == event.item_id
    # Those who write recommendations of it hold its row: they have committed when this goes on, or wait for it.
    was_private = (await connection.execute(select(item_facts).where(of_item).with_for_update())).one().is_private
    is_private = isinstance(event, ItemMadePrivate)
    if is_private == was_private:
        return
    moved = Moved()
    counted = ("user_id", "algorithm_version", "recommendation_score", "served_at", "feedback", "shown")
    rows = select(*(recommendations.c[name] for name in counted))
    async with connection.stream(rows.where(recommendations.c.content_item_id == event.item_id)) as found:
        async for mapping in found.mappings():
            row = dict(mapping)
            moved.change(_counted(row), _counted({**row, "shown": not is_private}))
    await connection.execute(item_facts.update().where(of_item).values(is_private=is_private))
    await connection.execute(
        recommendations.update().where(recommendations.c.content_item_id == event.item_id).values(shown=not is_private)
    )
    await _count(connection, moved)


async def _count(connection: AsyncConnection, moved: Moved) -> None:
    for (user_id, *facet), (shown, _) in (await add(connection, user_counts, moved.users)).items():
        if tuple(facet) == ALL:
            change = appeared(shown, moved.users[user_id, *ALL][0])
            moved.of_total(USERS, stripe_of_user(user_id), change)
    await add(connection, totals, moved.totals)


def _ids(ids: Sequence[int]) -> Any:
    return literal(list(ids), ARRAY(recommendations.c.id.type))
