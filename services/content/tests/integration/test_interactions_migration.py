"""Items that were there before interactions take part in them."""

import asyncio
from importlib import import_module
from pathlib import Path

from alembic import command

from genonaut.content import migrations
from genonaut.content.interactions.projection import interactions_projection
from genonaut.platform.migrations import config, migrate
from genonaut.platform.replay import Rebuild

(FILE,) = Path(migrations.__path__[0]).glob("*_interactions.py")


async def test_what_the_migration_makes_of_old_items_is_what_their_events_make(gallery) -> None:
    ada = await gallery.user()
    for path, private in (("/content", False), ("/content-auto", True), ("/content", True)):
        await gallery.item(ada, path, is_private=private)
    before = import_module(f"{migrations.__name__}.{FILE.stem}").down_revision
    url = gallery.platform.admin_url()

    await asyncio.to_thread(command.downgrade, config("content", admin_url=url), before)
    left = await gallery.rows(
        "SELECT relname FROM pg_class WHERE relname LIKE '%interaction%' OR relname LIKE '%popular%'"
    )
    await migrate("content", admin_url=url)

    assert left == []
    async with gallery.platform.database("content", as_owner=True) as owner:
        rebuild = Rebuild(interactions_projection, service="content", database=owner, bus=None)
        report = await rebuild.run(swap=False, progress=lambda *_: None)
    assert report.equal, report
    assert {table.table: table.live_rows for table in report.tables if table.live_rows} == {
        "interaction_items": 3,
        "item_popularity": 3,
    }
