"""The table that tells a process whether the words it knows are still all there are."""

from sqlalchemy import BigInteger, Column, MetaData, SmallInteger, Table

tag_word_revisions = Table(
    "tag_word_revisions",
    MetaData(),
    Column("shard", SmallInteger, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)
"""How often the words of a shard have changed, see `domain.shard_of`."""
