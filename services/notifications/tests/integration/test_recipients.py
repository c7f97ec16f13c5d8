"""Recipients are heard of on the bus; what becomes of the events is in test_projections.py."""

from sqlalchemy import text


async def test_they_follow_the_bus(world, running) -> None:
    user_id = await world.register(enabled=None)
    await world.prefer(user_id, 3, theme="dark")
    await world.prefer(user_id, 2, notifications_enabled=True)
    await world.all_heard()

    async with running.runtime.database.reading() as connection:
        rows = [tuple(row) for row in await connection.execute(text("SELECT * FROM recipients"))]
    assert rows == [(user_id, "ada", True, 2)]
