"""The table of known users."""

from sqlalchemy import Column, DateTime, MetaData, Table, Uuid

known_users = Table(
    "known_users",
    MetaData(),
    Column("user_id", Uuid, primary_key=True),
    Column("registered_at", DateTime(timezone=True), nullable=False),
)
