"""A cursor says what was written into it, and nothing else is a cursor."""

import math
from base64 import urlsafe_b64encode
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genonaut.platform.http.cursors import Cursors, InvalidCursorError, Position

CURSORS = Cursors("a secret for tests only")

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False),
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.astimezone(UTC)),
    st.datetimes(),
    st.dates(),
    st.timedeltas(),
    st.uuids(),
    st.text(st.characters(exclude_categories=["Cs"])),
)
KEYS = st.one_of(st.integers(), st.uuids(), st.text(st.characters(exclude_categories=["Cs"])))
POSITIONS = st.builds(Position, value=VALUES, key=KEYS, backward=st.booleans())


@given(position=POSITIONS, asked=st.text())
def test_what_was_written_is_read_exactly(position: Position, asked: str) -> None:
    read = CURSORS.read(CURSORS.write(position, asked=asked), asked=asked)

    assert read == position
    assert (type(read.value), type(read.key)) == (type(position.value), type(position.key))


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        math.inf,
        5e-324,
        0.1 + 0.2,
        2**200,
        Decimal("1.10"),
        datetime(2024, 12, 1, 10, 0, 0, 1, tzinfo=UTC),
        datetime(2024, 12, 1, 10, 0, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        date.min,
        timedelta.max,
        "日本 \U0001f600 \0",
    ],
)
def test_no_digit_is_lost(value: Any) -> None:
    read = CURSORS.read(CURSORS.write(Position(value, 1), asked=""), asked="").value

    assert repr(read) == repr(value)


def test_not_a_number_is_read_as_it_was_written() -> None:
    assert math.isnan(CURSORS.read(CURSORS.write(Position(math.nan, 1), asked=""), asked="").value)


@given(position=POSITIONS, asked=st.text(), data=st.data())
def test_any_flipped_bit_is_refused(position: Position, asked: str, data: st.DataObject) -> None:
    cursor = bytearray(CURSORS.write(position, asked=asked).encode())
    bit = data.draw(st.integers(0, len(cursor) * 8 - 1))
    cursor[bit // 8] ^= 1 << bit % 8

    with pytest.raises(InvalidCursorError):
        CURSORS.read(cursor.decode("latin-1"), asked=asked)


def test_every_single_bit_of_one_cursor_counts() -> None:
    cursor = CURSORS.write(Position(0.5, 17), asked="x").encode()

    for bit in range(len(cursor) * 8):
        changed = bytearray(cursor)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidCursorError):
            CURSORS.read(changed.decode("latin-1"), asked="x")


@given(text=st.text())
@example(text="")
@example(text="eyJjcmVhdGVkX2F0IjoiMjAyNC0xMi0wMVQxMDo")
@example(text=urlsafe_b64encode(b'[["i","1"],["i","1"],0]' + bytes(16)).decode())
@example(text="A" * 5)
@example(text="\ud800")
@example(text="é")
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursorError):
        CURSORS.read(text, asked="")


@given(position=POSITIONS, asked=st.text(), other=st.text())
def test_it_is_a_cursor_only_of_its_own_list(position: Position, asked: str, other: str) -> None:
    cursor = CURSORS.write(position, asked=asked)

    if other != asked:
        with pytest.raises(InvalidCursorError):
            CURSORS.read(cursor, asked=other)


def test_another_secret_does_not_open_it_and_padding_is_not_part_of_it() -> None:
    cursor = CURSORS.write(Position(1, 1), asked="")

    for changed in (cursor + "=", cursor + "==", cursor + "\n", " " + cursor, cursor + cursor):
        with pytest.raises(InvalidCursorError):
            CURSORS.read(changed, asked="")
    with pytest.raises(InvalidCursorError):
        Cursors("another secret").read(cursor, asked="")


def test_it_is_safe_in_a_url_and_short() -> None:
    cursor = CURSORS.write(Position(datetime(2024, 12, 1, tzinfo=UTC), 123456789), asked="x" * 1000)

    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert len(cursor) < 120


def test_a_value_that_cannot_be_sorted_by_is_a_bug_that_shows() -> None:
    with pytest.raises(TypeError, match="sorted by a dict"):
        CURSORS.write(Position({}, 1), asked="")
