"""The tables of what words stand for, and of what tags bring with them."""

from sqlalchemy import Column, MetaData, Table, Text, Uuid

_metadata = MetaData()

tag_aliases = Table(
    "tag_aliases",
    _metadata,
    Column("alias_id", Uuid, primary_key=True),
    Column("alias", Text, nullable=False),
    Column("tag_id", Uuid, nullable=False),
)
"""`alias_id` is the id that a tag with this slug has, if there is one."""

tag_implications = Table(
    "tag_implications",
    _metadata,
    Column("tag_id", Uuid, primary_key=True),
    Column("implied_id", Uuid, primary_key=True),
)
