"""The table of items: one, partitioned by source, with ids that are unique over all of it."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Double, Integer, MetaData, String, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

items = Table(
    "content_items_all",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("source_type", Text, primary_key=True),
    Column("title", String(255), nullable=False),
    Column("content_type", Text, nullable=False),
    Column("content_data", Text),
    Column("prompt", String(20_000), nullable=False),
    Column("creator_id", Uuid, nullable=False),
    Column("item_metadata", JSONB, nullable=False),
    Column("quality_score", Double, nullable=False),
    Column("is_private", Boolean, nullable=False),
    Column("path_thumb", String(512)),
    Column("image_sha256", Text),
    Column("job_id", BigInteger),
    Column("image_index", Integer),
    Column("search_text", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
