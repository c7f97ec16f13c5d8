"""What item events do to the keys that items are found by, to the counts of tags, and to what is noted for folding."""

from uuid import UUID

import pytest_asyncio

from genonaut.content.search.keys import class_key, creator_key, quality_keys, tag_key, type_key
from genonaut.content.search.projection import search_projection
from genonaut.content.search.tables import search_keys, search_rows, search_tail, tag_cardinality_stats
from genonaut.contracts.content import (
    ImpliedTag,
    ItemCreated,
    ItemDeleted,
    ItemMadePrivate,
    ItemMadePublic,
    ItemQualityChanged,
    ItemRetagged,
    ItemTagsImplied,
    TagCreated,
    UserRegistered,
)
from genonaut.testkit.projections import at, minute

ADA = UUID(int=1)
SKY, SEA, NATURE = UUID(int=11), UUID(int=12), UUID(int=13)
KNOWN = [
    at(1, UserRegistered(user_id=ADA, number=7, username="ada", email="ada@example.org")),
    *(
        at(2, TagCreated(tag_id=tag_id, number=tag_id.int, slug=f"tag-{tag_id.int}", name="Tag"))
        for tag_id in (SKY, SEA, NATURE)
    ),
]


@pytest_asyncio.fixture
async def tables(tables_of):
    async with tables_of("content") as tables:
        await tables.given(search_projection, *KNOWN)
        yield tables


def item(item_id=1, **more) -> ItemCreated:
    return ItemCreated(
        item_id=item_id, **{"title": "t", "content_type": "image", "prompt": "p", "creator_id": ADA} | more
    )


def keys(*tags: UUID, source="items", private=False, quality=0.5) -> list[int]:
    return [
        *(tag_key(tag_id.int) for tag_id in tags),
        creator_key(7),
        class_key(source, is_private=private),
        type_key("image"),
        *quality_keys(quality),
    ]


async def counted(tables) -> dict[tuple[int, str], int]:
    rows = await tables.rows(tag_cardinality_stats)
    return {(row["tag_id"].int, row["content_source"]): row["cardinality"] for row in rows}


async def test_tags_and_people_have_the_keys_of_their_numbers(tables) -> None:
    assert await tables.rows(search_keys) == [
        {"id": ADA, "key": creator_key(7)},
        *({"id": tag_id, "key": tag_key(tag_id.int)} for tag_id in (SKY, SEA, NATURE)),
    ]


async def test_an_item_has_its_tags_in_their_order_and_then_what_else_it_is_found_by(tables) -> None:
    await tables.given(
        search_projection,
        at(5, item(1, tag_ids=[SEA, SKY], quality_score=0.75)),
        at(6, item(2, tag_ids=[SKY], source_type="auto", is_private=True)),
    )

    assert await tables.rows(search_rows) == [
        {"item_id": 1, "created_at": minute(5), "keys": keys(SEA, SKY, quality=0.75)},
        {"item_id": 2, "created_at": minute(6), "keys": keys(SKY, source="auto", private=True)},
    ]


async def test_tags_of_public_items_are_counted_by_source_when_they_come_and_when_they_go(tables) -> None:
    await tables.given(
        search_projection,
        at(5, item(1, tag_ids=[SEA, SKY])),
        at(6, item(2, tag_ids=[SKY], source_type="auto")),
        at(7, item(3, tag_ids=[SKY], is_private=True)),
    )
    assert await counted(tables) == {(11, "items"): 1, (11, "auto"): 1, (12, "items"): 1}

    await tables.given(search_projection, at(8, ItemMadePublic(item_id=3)))
    assert await counted(tables) == {(11, "items"): 2, (11, "auto"): 1, (12, "items"): 1}

    await tables.given(search_projection, at(9, ItemRetagged(item_id=1, tag_ids=[SEA, NATURE])))
    assert await counted(tables) == {(11, "items"): 1, (11, "auto"): 1, (12, "items"): 1, (13, "items"): 1}

    await tables.given(search_projection, at(10, ItemMadePrivate(item_id=2)))
    await tables.given(search_projection, at(11, ItemDeleted(item_id=1, creator_id=ADA)))
    assert await counted(tables) == {(11, "items"): 1, (11, "auto"): 0, (12, "items"): 0, (13, "items"): 0}
    rows = await tables.rows(tag_cardinality_stats)
    assert {row["updated_at"] for row in rows} == {minute(9), minute(10), minute(11)}


async def test_what_is_counted_is_as_old_as_its_latest_event_whichever_came_last(tables) -> None:
    await tables.given(search_projection, at(9, item(1, tag_ids=[SKY])), at(5, item(2, tag_ids=[SKY])))

    (row,) = await tables.rows(tag_cardinality_stats)
    assert (row["cardinality"], row["updated_at"]) == (2, minute(9))


async def test_each_tag_is_as_old_as_its_own_latest_item_however_many_come_at_once(tables) -> None:
    await tables.given(
        search_projection,
        at(7, item(1, tag_ids=[SKY])),
        at(6, item(2, tag_ids=[SKY, SEA])),
        at(9, item(3, tag_ids=[NATURE])),
        at(8, item(4, tag_ids=[SEA], is_private=True)),
    )

    rows = await tables.rows(tag_cardinality_stats)
    assert {row["tag_id"]: row["updated_at"] for row in rows} == {SKY: minute(7), SEA: minute(6), NATURE: minute(9)}


async def test_implied_tags_come_behind_those_that_were_given_and_go_when_it_is_retagged(tables) -> None:
    implied = [ImpliedTag(tag_id=NATURE, because_of=SEA)]
    await tables.given(
        search_projection, at(5, item(1, tag_ids=[SEA])), at(6, ItemTagsImplied(item_id=1, implied=implied))
    )
    assert [row["keys"] for row in await tables.rows(search_rows)] == [keys(SEA, NATURE)]
    assert await counted(tables) == {(12, "items"): 1, (13, "items"): 1}

    await tables.given(search_projection, at(7, ItemRetagged(item_id=1, tag_ids=[SKY])))
    assert [row["keys"] for row in await tables.rows(search_rows)] == [keys(SKY)]
    assert await counted(tables) == {(11, "items"): 1, (12, "items"): 0, (13, "items"): 0}


async def test_quality_and_privacy_take_the_place_of_what_they_were(tables) -> None:
    await tables.given(
        search_projection,
        at(5, item(1)),
        at(6, ItemQualityChanged(item_id=1, quality_score=1)),
        at(7, ItemMadePrivate(item_id=1)),
    )
    (row,) = await tables.rows(search_rows)
    assert sorted(row["keys"]) == sorted(keys(quality=1, private=True))


async def test_a_deleted_item_is_not_found_by_anything(tables) -> None:
    await tables.given(search_projection, at(5, item(1, tag_ids=[SEA])))
    await tables.given(search_projection, at(6, ItemDeleted(item_id=1, creator_id=ADA)))

    assert await tables.rows(search_rows) == []


async def test_every_change_of_a_row_is_noted_whoever_makes_it(tables) -> None:
    await tables.given(search_projection, at(5, item(1)), at(6, item(2)))
    await tables.connection.execute(search_rows.update().values(keys=[1, 2]))
    await tables.connection.execute(search_rows.delete().where(search_rows.c.item_id == 2))

    nowhere = {"block": None, "position": None, "folded_keys": None}
    assert await tables.rows(search_tail) == [
        {"item_id": 1, "created_at": minute(5), "keys": [1, 2], "facets": [1, 2], **nowhere},
        {"item_id": 2, "created_at": minute(6), "keys": None, "facets": None, **nowhere},
    ]
