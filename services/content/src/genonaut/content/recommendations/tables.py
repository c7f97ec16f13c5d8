"""The tables of recommendations: the rows themselves, and what they add up to."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Double, MetaData, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

_metadata = MetaData()

recommendations = Table(
    "recommendations",
    _metadata,
    Column("id", BigInteger, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("content_item_id", BigInteger, nullable=False),
    Column("recommendation_score", Double, nullable=False),
    Column("algorithm", Text, nullable=False),
    Column("algorithm_version", Text, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("reasons", JSONB, nullable=False),
    Column("generated", Boolean, nullable=False),
    Column("shown", Boolean, nullable=False),
    Column("feedback", Text),
    Column("comment", Text),
    Column("served_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
"""`algorithm` is what `algorithm_version` begins with, up to its `@`. `shown` says that everybody may see it, because
the item is public; otherwise only whom it is for."""

item_facts = Table(
    "recommendation_items",
    _metadata,
    Column("item_id", BigInteger, primary_key=True),
    Column("is_private", Boolean, nullable=False),
)
"""Every item there ever was. Its row is what a change of privacy and those who write recommendations of the item wait
for each other at."""

user_counts = Table(
    "recommendation_user_counts",
    _metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("facet", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("shown", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
)
"""`shown` is what everybody sees, `total` what the user sees."""

totals = Table(
    "recommendation_totals",
    _metadata,
    Column("facet", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("stripe", SmallInteger, primary_key=True),
    Column("total", BigInteger, nullable=False),
)
"""Of what everybody sees. A total is the sum of its stripes."""
