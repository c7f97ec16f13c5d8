"""How far files have been taken in."""

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text

imports = Table(
    "imports",
    MetaData(),
    Column("name", Text, primary_key=True),
    Column("line", BigInteger, nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
"""Committed with the items up to `line`, so that a file that is taken in again goes on from there."""
