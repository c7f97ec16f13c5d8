"""How far files have been taken in."""

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text

imports = Table(
    "imports",
    MetaData(),
    Column("digest", Text, primary_key=True),
    Column("line", BigInteger, nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
"""A row for each batch, committed with its items: the digest of all that files have up to its last line. A file goes on
behind the longest beginning of it that was taken in, so what comes later in it may be mended, or more of it."""
