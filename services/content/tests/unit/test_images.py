"""Images: who brought them, and what the headers of a request ask for."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from genonaut.content.images.domain import IMAGE, Image, Remove, Retire, Upload, Use
from genonaut.content.images.schemas import UnsatisfiableRangeError, byte_range, names_tag, preferred_format
from genonaut.contracts import Event
from genonaut.contracts.content import ImageRemoved, ImageRetired, ImageUploaded
from genonaut.contracts.images import StoredImage

ADA, BOB = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
PICTURE = StoredImage(sha256="a" * 64, media_type="image/png", width=3, height=2, size_bytes=99)


def given(*events: Event) -> Image:
    state = IMAGE.initial
    for event in events:
        state = IMAGE.evolve(state, event)
    return state


def test_an_upload_is_stated_once_for_each_who_brings_it() -> None:
    by_ada, by_nobody = ImageUploaded(image=PICTURE, user_id=ADA), ImageUploaded(image=PICTURE)

    assert IMAGE.decide(Upload(PICTURE, ADA), given()) == [by_ada]
    assert IMAGE.decide(Upload(PICTURE, ADA), given(by_ada)) == []
    assert IMAGE.decide(Upload(PICTURE, None), given(by_ada)) == [by_nobody]
    assert IMAGE.decide(Upload(PICTURE, None), given(by_ada, by_nobody)) == []
    assert IMAGE.decide(Upload(PICTURE, BOB), given(by_ada, by_nobody)) == [ImageUploaded(image=PICTURE, user_id=BOB)]


def test_an_upload_that_renews_is_stated_again() -> None:
    by_ada = ImageUploaded(image=PICTURE, user_id=ADA)

    assert IMAGE.decide(Upload(PICTURE, ADA, renews=True), given(by_ada)) == [by_ada]


@pytest.mark.parametrize(
    ("use", "retired"),
    [
        (Use(shown_by=0, last_used_at=NOON - timedelta(microseconds=1)), True),
        (Use(shown_by=0, last_used_at=NOON), False),
        (Use(shown_by=1, last_used_at=NOON - timedelta(days=1)), False),
        (Use(shown_by=0, last_used_at=NOON - timedelta(days=1), retired=True), False),
    ],
)
def test_what_nobody_has_used_for_a_while_is_retired(use: Use, retired: bool) -> None:
    stated = IMAGE.decide(Retire(PICTURE.sha256, use, NOON), given())

    assert stated == ([ImageRetired(sha256=PICTURE.sha256)] if retired else [])


def test_a_retired_image_is_nobodys() -> None:
    by_ada, gone = ImageUploaded(image=PICTURE, user_id=ADA), ImageRetired(sha256=PICTURE.sha256)

    assert IMAGE.decide(Upload(PICTURE, ADA), given(by_ada, gone)) == [by_ada]
    assert IMAGE.decide(Remove(PICTURE.sha256), given(by_ada, gone)) == [ImageRemoved(sha256=PICTURE.sha256)]


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("BYTES=5-5", (5, 6)),
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=9-1", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=\u0660-\u0669", None),
        ("bytes=0-" + "9" * 5000, None),
    ],
)
def test_a_range_is_read_or_ignored(header: str | None, part: tuple[int, int] | None) -> None:
    assert byte_range(header, 100) == part


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_with_nothing_in_it_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        byte_range(header, 100)


@for_all(st.text(max_size=20) | st.from_regex(r"bytes=\d{0,4}-\d{0,4}"), st.integers(1, 300))
def test_a_range_is_never_empty_and_never_outside(header: str, size: int) -> None:
    try:
        part = byte_range(header, size)
    except UnsatisfiableRangeError:
        return

    assert part is None or 0 <= part[0] < part[1] <= size


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (None, False),
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", "abc"', True),
        ("*", True),
        ('"x"', False),
        ("abc", False),
        ('"*"', False),
        ("", False),
    ],
)
def test_if_none_match(header: str | None, named: bool) -> None:
    assert names_tag(header, '"abc"') is named


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "webp"),
        ("*/*", "webp"),
        ("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", "avif"),
        ("IMAGE/AVIF", "avif"),
        ("image/avif;q=0.8,image/webp", "webp"),
        ("image/avif;q=0,*/*", "webp"),
        ("image/*", "webp"),
        ("image/avif;q=0.5,*/*;q=0.5", "avif"),
        ("image/avif;q=0.5,image/png", "png"),
        ("image/webp;q=1.5,image/png;q=0.1", "png"),
        ("image/png;q=\u0661", "webp"),
        ("image/png;level=1;q=0.9,image/webp;q=0.8", "png"),
        (",".join(["image/png"] * 5000), "png"),
        ("image/png", "png"),
        ("image/png,image/*;q=0.8", "png"),
        ("image/webp;q=0,*/*", "png"),
        ("image/webp;q=0.5, image/png;q=0.9", "png"),
        ("text/html", "webp"),
        ("image/png;q=high", "webp"),
        (";;,,", "webp"),
    ],
)
def test_the_format_is_what_the_client_would_rather_have(accept: str | None, form: str) -> None:
    assert preferred_format(accept) == form
