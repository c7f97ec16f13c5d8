"""The migration gives images that were there before what a rebuild would give them."""

import asyncio
from importlib import import_module
from pkgutil import iter_modules

from alembic import command
from sqlalchemy import text

from genonaut.content import migrations
from genonaut.content.images.projection import images_projection
from genonaut.content.service import service
from genonaut.platform.migrations import config
from genonaut.platform.replay import Rebuild


async def test_what_was_there_before_is_as_if_it_had_always_been_counted(gallery, picture) -> None:
    ada, bob = await gallery.user(), await gallery.user()
    hashes = [(await gallery.image(picture(seed), user_id=ada))["sha256"] for seed in range(1, 4)]
    for sha256, times in zip(hashes, (0, 1, 3), strict=True):
        for _ in range(times):
            gallery.clock.now = gallery.clock.now.replace(second=(gallery.clock.now.second + 1) % 60)
            await gallery.item(ada, image=sha256)
    await gallery.image(picture(2), user_id=bob)
    (migration,) = (each.name for each in iter_modules(migrations.__path__) if each.name.endswith("_images"))
    before = import_module(f"genonaut.content.migrations.{migration}").down_revision
    alembic = config(service.name, admin_url=gallery.platform.admin_url())

    await asyncio.to_thread(command.downgrade, alembic, before)
    async with gallery.platform.database("content", as_owner=True) as owner:
        async with owner.transaction() as connection:
            columns = (await connection.execute(text("SELECT * FROM images LIMIT 1"))).keys()
            assert "shown_by" not in columns
        await asyncio.to_thread(command.upgrade, alembic, "head")

        rebuild = Rebuild(images_projection, service="content", database=owner, bus=None)
        report = await rebuild.run(swap=False, progress=lambda *_: None)
    assert report.equal, report
    assert await gallery.rows("SELECT shown_by FROM images ORDER BY shown_by") == [(0,), (1,), (3,)]
