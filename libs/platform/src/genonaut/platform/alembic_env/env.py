"""Alembic's environment, shared by every service's history. `genonaut.platform.migrations` says which one it is."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text

from genonaut.platform.database import Database, lock_key

attributes = context.config.attributes
schema: str = attributes["schema"]


def run(connection: Connection) -> None:
    context.configure(connection=connection, version_table="schema_version", transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    database = Database(attributes["admin_url"], name=f"genonaut-migrate-{schema}", search_path=schema)
    try:
        async with database.transaction() as connection:
            lock = {"key": lock_key(f"migrate {schema}")}
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), lock)
            await connection.run_sync(run)
    finally:
        await database.close()


asyncio.run(main())
