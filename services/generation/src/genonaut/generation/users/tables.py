"""The table of known users."""

from sqlalchemy import Boolean, Column, DateTime, Integer, MetaData, Table, Uuid

known_users = Table(
    "known_users",
    MetaData(),
    Column("user_id", Uuid, primary_key=True),
    Column("registered_at", DateTime(timezone=True)),
    Column("is_active", Boolean, nullable=False),
    Column("decided_by", Integer, nullable=False),
)
"""`decided_by` is the sequence of the user's event that set `is_active`; `registered_at` is unknown of somebody whose
registration has not been heard of, although what came after it has."""
