"""The tables of interactions: the rows themselves, and what they add up to."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

_metadata = MetaData()

interactions = Table(
    "user_interactions",
    _metadata,
    Column("id", BigInteger, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("content_item_id", BigInteger, nullable=False),
    Column("interaction_type", Text, nullable=False),
    Column("rating", SmallInteger),
    Column("duration", Integer),
    Column("metadata", JSONB, nullable=False),
    Column("audience", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
"""`audience` is who may see it: everyone, or the creator of the item, which is private."""

client_ids = Table(
    "interaction_client_ids",
    _metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("client_id", Text, primary_key=True),
    Column("interaction_id", BigInteger, nullable=False),
)
"""Which interaction a user means by their name for it. Stays when that one is deleted."""

CLIENT_IDS_KEY = "interaction_client_ids_pkey"

item_facts = Table(
    "interaction_items",
    _metadata,
    Column("item_id", BigInteger, primary_key=True),
    Column("creator_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("audience", Uuid, nullable=False),
)
"""What counting needs to know of every item there ever was. Its row is what a change of privacy and those who record
interactions with the item wait for each other at."""

user_counts = Table(
    "interaction_user_counts",
    _metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("facet", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("shown", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
)
"""`shown` is what everybody sees, `total` what the user sees."""

pairs = Table(
    "interaction_pairs",
    _metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("item_id", BigInteger, primary_key=True),
    Column("shown", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
)
"""How often a user did something with an item: the set behind unique users, and what a user likes best."""

user_creators = Table(
    "interaction_creators",
    _metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("creator_id", Uuid, primary_key=True),
    Column("shown", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
)

item_counts = Table(
    "interaction_item_counts",
    _metadata,
    Column("item_id", BigInteger, primary_key=True),
    Column("facet", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("total", BigInteger, nullable=False),
)

totals = Table(
    "interaction_totals",
    _metadata,
    Column("audience", Uuid, primary_key=True),
    Column("facet", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("stripe", SmallInteger, primary_key=True),
    Column("total", BigInteger, nullable=False),
)
"""A total is the sum of its stripes."""

popularity = Table(
    "item_popularity",
    _metadata,
    Column("item_id", BigInteger, primary_key=True),
    Column("popularity", BigInteger, nullable=False),
)
"""Of every item that is there, 0 included."""
