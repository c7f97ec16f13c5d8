"""The table of recipients."""

from sqlalchemy import BigInteger, Boolean, Column, MetaData, Table, Text, Uuid

recipients = Table(
    "recipients",
    MetaData(),
    Column("user_id", Uuid, primary_key=True),
    Column("username", Text),
    Column("notifications_enabled", Boolean, nullable=False),
    Column("decided_by", BigInteger, nullable=False),
)
"""`decided_by` is the sequence of the user's event that set `notifications_enabled`."""
