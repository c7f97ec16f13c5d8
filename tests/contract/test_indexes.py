"""The indexes that docs/database.md lists are there, and are what it says."""

import asyncio
import re
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
from alembic import command

from genonaut.platform.migrations import config

PAGE = Path(__file__).parents[2] / "docs" / "database.md"
KNOWN = [
    "ix_users_username",
    "ix_users_email",
    "ix_users_is_active",
    "ix_users_preferences_gin",
    "ix_content_items_creator_id",
    "ix_content_items_content_type",
    "ix_content_items_is_public",
    "ix_content_items_created_at",
    "ix_content_items_quality_score",
    "idx_content_items_creator_created",
    "idx_content_items_quality_created",
    "idx_content_items_type_created",
    "idx_content_items_public_created",
    "ix_content_metadata_gin",
    "idx_content_items_auto_creator_created",
    "idx_content_items_auto_quality_created",
    "idx_content_items_auto_type_created",
    "idx_content_items_auto_public_created",
    "cia_title_fts_idx",
    "idx_content_items_sort",
    "idx_content_items_auto_sort",
    "idx_items_created_id_desc",
    "idx_items_auto_created_id_desc",
    "idx_content_items_created_id_desc",
    "idx_content_items_auto_created_id_desc",
    "items_uidx_id_src",
    "auto_uidx_id_src",
    "content_items_all_uidx_id_src",
    "ix_user_interactions_user_id",
    "ix_user_interactions_content_item_id",
    "ix_user_interactions_interaction_type",
    "ix_user_interactions_created_at",
    "idx_user_interactions_user_created",
    "idx_user_interactions_content_created",
    "ix_recommendations_user_id",
    "ix_recommendations_content_item_id",
    "ix_recommendations_served_at",
    "ix_recommendations_recommendation_score",
    "idx_recommendations_user_score",
    "idx_recommendations_served_created",
    "idx_content_tags_content",
    "idx_content_tags_content_src",
    "idx_content_tags_tag_content",
    "idx_content_tags_tag_src_content",
]
"""What the documentation of the former platform names for what content has."""


class Row(NamedTuple):
    table: str
    known_as: str
    here: str
    is_: str


def listed() -> list[Row]:
    section = PAGE.read_text().partition("\n## Indexes\n")[2]
    rows = [
        Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in section.splitlines() if line[:1] == "|"
    ]
    return rows[2:]


@pytest.fixture
async def indexes(platform) -> dict[tuple[str, str], str]:
    """What is after USING, by table and name."""
    connection = await asyncpg.connect(platform.superuser_url)
    try:
        rows = await connection.fetch("SELECT tablename, indexname, indexdef FROM pg_indexes")
    finally:
        await connection.close()
    return {(row["tablename"], row["indexname"]): row["indexdef"].partition(" USING ")[2] for row in rows}


def test_every_name_that_people_know_is_listed() -> None:
    assert set(KNOWN) - set(re.findall(r"`(\w+)`", " ".join(row.known_as for row in listed()))) == set()


async def test_every_index_of_the_page_is_there_as_it_says(indexes) -> None:
    wrong = []
    for row in listed():
        if not row.here:
            assert len(row.is_) > 20, f"{row.known_as} is not here, and nothing says why"
            continue
        definition = indexes.get((row.table, row.here.strip("`")))
        said = re.match(r"`((?:btree|gin) [^`]+)`", row.is_)
        if definition is None or (said and said[1] != definition):
            wrong.append((row.here, definition, row.is_))
    assert wrong == []


async def test_the_parts_of_the_partitions_belong_to_whole_indexes(platform) -> None:
    connection = await asyncpg.connect(platform.superuser_url)
    try:
        rows = await connection.fetch(
            """
            SELECT i.indexrelid::regclass::text AS name, i.indisvalid AS valid,
                   (SELECT count(*) FROM pg_inherits WHERE inhparent = i.indexrelid) AS parts
            FROM pg_index i WHERE i.indrelid = 'content.content_items_all'::regclass
            """
        )
        loose = await connection.fetch(
            """
            SELECT indexrelid::regclass::text FROM pg_index
            WHERE indrelid IN ('content.content_items'::regclass, 'content.content_items_auto'::regclass)
                AND indexrelid NOT IN (SELECT inhrelid FROM pg_inherits)
            """
        )
    finally:
        await connection.close()
    assert {row["name"]: (row["valid"], row["parts"]) for row in rows} == {row["name"]: (True, 2) for row in rows}
    assert loose == []


async def test_the_new_indexes_go_and_come_back(platform, indexes) -> None:
    history = config("content", admin_url=platform.admin_url())
    await asyncio.to_thread(command.downgrade, history, "0011")
    await asyncio.to_thread(command.upgrade, history, "head")
    connection = await asyncpg.connect(platform.superuser_url)
    try:
        rows = await connection.fetch("SELECT tablename, indexname FROM pg_indexes")
    finally:
        await connection.close()
    assert {tuple(row) for row in rows} == set(indexes)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("WHERE NOT is_private ORDER BY created_at DESC, id DESC LIMIT 10", "idx_content_items_public_created"),
        ("WHERE content_type = 'image' ORDER BY created_at DESC, id DESC LIMIT 10", "idx_content_items_type_created"),
        ("""WHERE item_metadata @> '{"a": 1}'""", "ix_content_metadata_gin"),
    ],
)
async def test_the_new_indexes_serve_what_they_are_for(platform, query: str, index: str) -> None:
    connection = await asyncpg.connect(platform.superuser_url)
    try:
        await connection.execute(
            """
            INSERT INTO content.content_items_all
            SELECT n, 'items', 'Title', CASE n % 50 WHEN 0 THEN 'image' ELSE 'video' END, NULL, 'p', gen_random_uuid(),
                jsonb_build_object('a', n), 0.5, n % 3 > 0, NULL, NULL, NULL, NULL, '',
                now() - n * interval '1 hour', now()
            FROM generate_series(1, 20000) n
            """
        )
        await connection.execute("ANALYZE content.content_items_all")
        plan = await connection.fetch(f"EXPLAIN SELECT * FROM content.content_items_all {query}")
    finally:
        await connection.close()
    assert index in "\n".join(row[0] for row in plan)
