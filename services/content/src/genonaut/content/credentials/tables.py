"""The table of credentials. It is no projection: nothing that is in it is in an event, or may be."""

from sqlalchemy import Column, DateTime, MetaData, Table, Text, Uuid

credentials = Table(
    "credentials",
    MetaData(),
    Column("user_id", Uuid, primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)
