"""The table of notifications."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, MetaData, String, Table, Text, Uuid

notifications = Table(
    "user_notifications",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("cause", Text, nullable=False),
    Column("title", String(255), nullable=False),
    Column("message", Text, nullable=False),
    Column("notification_type", Text, nullable=False),
    Column("read_status", Boolean, nullable=False),
    Column("related_job_id", BigInteger),
    Column("related_content_id", BigInteger),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("read_at", DateTime(timezone=True)),
)
"""`cause` is the aggregate's id. What is referred to may have been deleted since."""
