"""A gallery that was there before a migration is afterwards as if the migration had been there from the beginning."""

import asyncio
from pathlib import Path

from alembic import command

import genonaut.content.migrations as history
from genonaut.platform.migrations import config, migrate

(MIGRATION,) = Path(history.__file__).parent.glob("*_tags.py")
TABLES = ["tag_closure", "tag_word_revisions"]


async def test_the_tables_of_tags_are_filled_from_what_there_is(gallery) -> None:
    user = await gallery.user()
    await gallery.post("/tags", {"slug": "night-sky", "parents": ["sky", "night"]})
    await gallery.post("/tags", {"slug": "sky", "parents": ["nature", "night"]}, status=200)
    await gallery.item(user, tags=["secret", "told"], is_private=True)
    await gallery.item(user, tags=["told"])
    before = [await gallery.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES]
    assert all(before)
    admin_url = gallery.platform.admin_url()

    undone = config("content", admin_url=admin_url)
    await asyncio.to_thread(command.downgrade, undone, f"{int(MIGRATION.name[:4]) - 1:04}")
    assert await gallery.rows("SELECT to_regclass('tag_closure'), to_regclass('tag_ratings')") == [(None, None)]
    await migrate("content", admin_url=admin_url)

    assert [await gallery.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES] == before
