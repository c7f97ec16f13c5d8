"""Hours and days of UTC, and where a lookback begins."""

from datetime import UTC, datetime, timedelta, timezone

from genonaut.analytics.rollups.hours import first_day, first_hour, hour_of

NOW = datetime(2026, 3, 1, 14, 59, 59, 999999, tzinfo=UTC)


def test_an_hour_is_one_of_utc() -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))

    assert hour_of(NOW.astimezone(kathmandu)) == hour_of(NOW) == datetime(2026, 3, 1, 14, tzinfo=UTC)


def test_a_week_has_168_hours_with_the_present_one() -> None:
    first = first_hour(NOW, 7)

    assert first == datetime(2026, 2, 22, 15, tzinfo=UTC)
    assert (hour_of(NOW) - first) / timedelta(hours=1) + 1 == 168


def test_a_day_is_today() -> None:
    assert first_day(NOW, 1) == datetime(2026, 3, 1, tzinfo=UTC)
    assert first_day(NOW, 7) == datetime(2026, 2, 23, tzinfo=UTC)
