"""The tables of ratings, their totals, and favorites."""

from sqlalchemy import BigInteger, Column, Integer, MetaData, SmallInteger, Table, Uuid

_metadata = MetaData()

tag_ratings = Table(
    "tag_ratings",
    _metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("tag_id", Uuid, primary_key=True),
    Column("half_stars", SmallInteger, nullable=False),
)

tag_rating_totals = Table(
    "tag_rating_totals",
    _metadata,
    Column("tag_id", Uuid, primary_key=True),
    Column("rating_count", Integer, nullable=False),
    Column("half_stars", BigInteger, nullable=False),
)
"""How many ratings a tag has, and their sum in half stars. One that lost all of them has a row with zeros."""

tag_favorites = Table(
    "tag_favorites",
    _metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("tag_id", Uuid, primary_key=True),
)
