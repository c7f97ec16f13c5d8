"""What the raw tables and the rollups have in common."""

from typing import Any

from sqlalchemy import Column, DateTime


def hour_column() -> Column[Any]:
    """The first column of each of them, and of its key."""
    return Column("hour", DateTime(timezone=True), primary_key=True)
