"""The tables of images and of who brought them."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Table, Text, Uuid

_metadata = MetaData()

images = Table(
    "images",
    _metadata,
    Column("sha256", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("last_used_at", DateTime(timezone=True), nullable=False),  # brought, put into an item, or lost by one
    Column("shown_by", Integer, nullable=False),  # how many items have it
    Column("was_shown", Boolean, nullable=False),  # an item has had it
    Column("retired_at", DateTime(timezone=True)),
)

image_uploads = Table(
    "image_uploads",
    _metadata,
    Column("sha256", Text, primary_key=True),
    Column("user_id", Uuid, primary_key=True),
)
