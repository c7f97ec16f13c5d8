"""What time it is. Who asks is given a clock, so that a test can say."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives aware times in UTC."""


def utc_now() -> datetime:
    return datetime.now(UTC)
