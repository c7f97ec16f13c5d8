"""Hours of UTC, which everything is counted by."""

from datetime import UTC, datetime, timedelta


def hour_of(time: datetime) -> datetime:
    """The start of the hour, in UTC."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def first_hour(now: datetime, days: int) -> datetime:
    """Where the last `days` x 24 hours begin, the present one included."""
    return hour_of(now) - timedelta(hours=24 * days - 1)


def first_day(now: datetime, days: int) -> datetime:
    """Where the last `days` days of UTC begin, today included."""
    return hour_of(now).replace(hour=0) - timedelta(days=days - 1)
