"""The table of users."""

from sqlalchemy import Boolean, Column, DateTime, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

users = Table(
    "users",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("username", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("preferences", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

USERNAME_KEY = "ix_users_username"
EMAIL_KEY = "ix_users_email"
"""The unique indexes that decide who comes first."""
