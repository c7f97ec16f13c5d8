"""The tables of search.

`search_keys`, `search_rows`, `tag_cardinality_stats` and `search_word_revision` are a projection. The others are an
index of `search_rows`, as a database keeps one: triggers note in `search_tail` what has changed, and folding moves it
from there into blocks.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

_metadata = MetaData()

search_keys = Table(
    "search_keys",
    _metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", Integer, nullable=False),
)
"""The keys of tags and creators."""

search_rows = Table(
    "search_rows",
    _metadata,
    Column("item_id", BigInteger, primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("keys", ARRAY(Integer), nullable=False),
)
"""The keys of every item. Its tags come first, in the order in which they were given."""

tag_cardinality_stats = Table(
    "tag_cardinality_stats",
    _metadata,
    Column("tag_id", Uuid, primary_key=True),
    Column("content_source", Text, primary_key=True),
    Column("cardinality", BigInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
"""How many public items of a source have a tag."""

search_word_revision = Table(
    "search_word_revision",
    _metadata,
    Column("id", SmallInteger, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)
"""One row, or none yet: how often aliases and the hierarchy of tags have changed. It is committed with the change, so
that who reads it in a snapshot knows whether words still mean there what they remember."""

search_blocks = Table(
    "search_blocks",
    _metadata,
    Column("block", Integer, primary_key=True),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("first_id", BigInteger, nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Column("last_id", BigInteger, nullable=False),
    Column("next_position", Integer, nullable=False),
    Column("version", Uuid, nullable=False),
)
"""Blocks hold up to 65,536 items, by (created_at, id), and none overlaps another. `version` is another
one whenever a block changes, and never one that was before."""

search_positions = Table(
    "search_positions",
    _metadata,
    Column("block", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("item_id", BigInteger, nullable=False),
)
"""Which item is where. Later items have higher positions; one that was deleted leaves a hole."""

search_segments = Table(
    "search_segments",
    _metadata,
    Column("key", Integer, primary_key=True),
    Column("block", Integer, primary_key=True),
    Column("cardinality", Integer, nullable=False),
    Column("bits", LargeBinary, nullable=False),
)
"""The positions in a block of the items that have a key, as a serialised roaring bitmap."""

search_tail = Table(
    "search_tail",
    _metadata,
    Column("item_id", BigInteger, primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("keys", ARRAY(Integer)),
    Column("block", Integer),
    Column("position", Integer),
    Column("folded_keys", ARRAY(Integer)),
    Column("facets", ARRAY(Integer), Computed("search_facets(keys)")),
)
"""Items whose segments do not say what they are: new ones, changed ones, and deleted ones, whose `keys` are NULL.

`facets` are the few of the keys that are no tags: every search asks for some of them, and `keys` are long.

`block`, `position` and `folded_keys` are what the segments know of it, NULL when they know nothing.
"""
