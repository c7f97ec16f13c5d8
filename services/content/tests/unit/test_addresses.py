"""Signed addresses: good as they are, for a while, and in no other way."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genonaut.content.images.addresses import Addresses, Rendition
from genonaut.testkit.platforms import FakeClock

ADA, BOB = UUID(int=1), UUID(int=2)
SHA = "ab" * 32
SECRET = "a secret key that is long enough"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


@pytest.fixture
def addresses(clock) -> Addresses:
    return Addresses(SECRET, clock)


def asked(address: str) -> tuple[Rendition, int, str]:
    parts = urlsplit(address)
    words = {name: values[0] for name, values in parse_qs(parts.query).items()}
    size = int(words["size"]) if "size" in words else None
    return Rendition(parts.path.rpartition("/")[2], size), int(words["expires"]), words["signature"]


def test_what_everybody_may_see_has_a_plain_address(addresses) -> None:
    assert addresses.of(SHA) == f"/api/v1/images/{SHA}"
    assert addresses.of(SHA, size=300) == f"/api/v1/images/{SHA}?size=300"


@pytest.mark.parametrize("size", [None, 150])
def test_an_address_says_for_whom_it_was_made(addresses, size) -> None:
    rendition, expires, signature = asked(addresses.of(SHA, size=size, viewer=ADA))

    assert rendition == Rendition(SHA, size)
    assert addresses.viewer(rendition, expires=expires, signature=signature) == ADA


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))  # noqa: DTZ001 - the zone comes below
def test_an_address_is_good_for_half_an_hour_at_least_and_an_hour_at_most(now) -> None:
    clock = FakeClock(now.replace(tzinfo=UTC))
    addresses = Addresses(SECRET, clock)
    rendition, expires, signature = asked(addresses.of(SHA, viewer=ADA))

    clock.now += timedelta(minutes=30)
    assert addresses.viewer(rendition, expires=expires, signature=signature) == ADA
    clock.now += timedelta(minutes=30)
    assert addresses.viewer(rendition, expires=expires, signature=signature) is None


def test_who_lists_again_gets_the_same_address(addresses, clock) -> None:
    clock.now = clock.now.replace(minute=0, second=0)
    address = addresses.of(SHA, viewer=ADA)
    clock.now += timedelta(minutes=29, seconds=59)
    assert addresses.of(SHA, viewer=ADA) == address
    clock.now += timedelta(seconds=1)
    assert addresses.of(SHA, viewer=ADA) != address


@pytest.mark.parametrize(
    "changes",
    [{"sha256": "cd" * 32}, {"size": 600}, {"size": None}, {"format": "png"}, {"metadata": "keep"}],
    ids=str,
)
def test_an_address_is_of_nothing_else(addresses, changes) -> None:
    rendition, expires, signature = asked(addresses.of(SHA, size=300, viewer=ADA))

    assert addresses.viewer(replace(rendition, **changes), expires=expires, signature=signature) is None


@pytest.mark.parametrize("later", [-3600, -1, 1, 3600, 10**12])
def test_an_address_is_good_for_no_other_time(addresses, later) -> None:
    rendition, expires, signature = asked(addresses.of(SHA, viewer=ADA))

    assert addresses.viewer(rendition, expires=expires + later, signature=signature) is None


def test_an_address_is_for_nobody_else(addresses) -> None:
    rendition, expires, signature = asked(addresses.of(SHA, viewer=ADA))
    _, _, of_bob = asked(addresses.of(SHA, viewer=BOB))

    assert addresses.viewer(rendition, expires=expires, signature=of_bob[:22] + signature[22:]) is None


@given(st.integers(0, 42), st.characters())
def test_no_letter_of_a_signature_can_be_another(place, letter) -> None:
    addresses = Addresses(SECRET, FakeClock())
    rendition, expires, signature = asked(addresses.of(SHA, viewer=ADA))
    other = signature[:place] + letter + signature[place + 1 :]

    assert (addresses.viewer(rendition, expires=expires, signature=other) == ADA) is (other == signature)


@given(st.text(max_size=100))
def test_what_is_no_signature_is_none(text) -> None:
    assert Addresses(SECRET, FakeClock()).viewer(Rendition(SHA), expires=2**40, signature=text) is None


def test_another_secret_signs_otherwise(addresses, clock) -> None:
    rendition, expires, signature = asked(addresses.of(SHA, viewer=ADA))

    assert Addresses("another secret", clock).viewer(rendition, expires=expires, signature=signature) is None
