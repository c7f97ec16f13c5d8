"""Declaring events, and decoding what is not as expected."""

from collections.abc import Iterator

import pytest

from genonaut.contracts import EVENTS, Event, InvalidEventError, UnknownEventError
from genonaut.contracts.event import decode


@pytest.fixture(autouse=True)
def _forget_declared_events() -> Iterator[None]:
    before = dict(EVENTS)
    yield
    EVENTS.clear()
    EVENTS.update(before)


def test_a_type_is_declared_once() -> None:
    class Opened(Event, type="shop.door.opened"):
        pass

    with pytest.raises(TypeError, match="declared twice"):

        class OpenedAgain(Event, type="shop.door.opened"):
            pass


def test_a_second_version_needs_its_upcaster() -> None:
    with pytest.raises(TypeError, match="upcaster"):

        class Opened(Event, type="shop.door.opened", version=2):
            pass


def test_upcasters_run_one_after_the_other() -> None:
    class Opened(Event, type="shop.door.opened", version=3):
        upcasters = {1: lambda data: {"count": data["n"]}, 2: lambda data: {"total": data["count"] + 1}}
        total: int

    assert decode("shop.door.opened", 1, {"n": 4}) == Opened(total=5)
    assert decode("shop.door.opened", 2, {"count": 4}) == Opened(total=5)
    assert decode("shop.door.opened", 3, {"total": 5}) == Opened(total=5)


def test_an_upcaster_that_misses_its_field_makes_the_event_invalid() -> None:
    class Opened(Event, type="shop.door.opened", version=2):
        upcasters = {1: lambda data: {"total": data["n"]}}
        total: int

    with pytest.raises(InvalidEventError):
        decode("shop.door.opened", 1, {})


def test_unknown_fields_are_ignored() -> None:
    class Opened(Event, type="shop.door.opened"):
        total: int

    assert decode("shop.door.opened", 1, {"total": 5, "colour": "red"}) == Opened(total=5)


def test_an_unknown_type_or_version_is_said_so() -> None:
    class Opened(Event, type="shop.door.opened"):
        pass

    with pytest.raises(UnknownEventError, match=r"shop\.door\.closed"):
        decode("shop.door.closed", 1, {})
    with pytest.raises(UnknownEventError, match="known up to version 1"):
        decode("shop.door.opened", 2, {})
