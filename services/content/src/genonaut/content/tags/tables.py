"""The tables of tags and of what is above what."""

from sqlalchemy import Boolean, Column, DateTime, Integer, MetaData, Table, Text, Uuid

_metadata = MetaData()

tags = Table(
    "tags",
    _metadata,
    Column("id", Uuid, primary_key=True),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("is_private", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

tag_parents = Table(
    "tag_parents",
    _metadata,
    Column("tag_id", Uuid, primary_key=True),
    Column("parent_id", Uuid, primary_key=True),
)

tag_closure = Table(
    "tag_closure",
    _metadata,
    Column("ancestor_id", Uuid, primary_key=True),
    Column("descendant_id", Uuid, primary_key=True),
    Column("depth", Integer, nullable=False),
)
"""Every pair of which one is above the other, with the steps of the shortest way: 1 for a parent. No tag is above
itself."""
