"""Items: what is decided, how a body is read, and the text that is searched."""

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from genonaut.content.items.domain import (
    ITEM,
    Create,
    Draft,
    InactiveCreatorError,
    Item,
    JobImage,
    Tagging,
    searchable,
)
from genonaut.content.items.schemas import NewItem
from genonaut.contracts import Event
from genonaut.contracts.content import ItemCreated
from genonaut.contracts.images import StoredImage

ADA, TAG = UUID(int=1), UUID(int=2)
PICTURE = StoredImage(sha256="a" * 64, media_type="image/png", width=3, height=2, size_bytes=99)
DRAFT = Draft(creator_id=ADA, title="A lighthouse", prompt="a lighthouse", content_type="image")
OF_A_JOB = Draft(
    creator_id=ADA,
    title="A lighthouse",
    prompt="a lighthouse",
    content_type="image",
    item_metadata={"steps": 28},
    is_private=True,
    image=PICTURE,
    job=JobImage(7, 1, 2),
)


def given(*events: Event) -> Item:
    state = ITEM.initial
    for event in events:
        state = ITEM.evolve(state, event)
    return state


def test_a_draft_becomes_an_item() -> None:
    events = ITEM.decide(Create(42, DRAFT, Tagging([TAG]), creator_is_active=True), given())

    assert events == [
        ItemCreated(
            item_id=42, title="A lighthouse", content_type="image", prompt="a lighthouse", creator_id=ADA, tag_ids=[TAG]
        )
    ]


def test_an_item_of_a_job_says_which_of_its_images_it_is() -> None:
    (event,) = ITEM.decide(Create(42, OF_A_JOB, Tagging(), creator_is_active=True), given())

    assert isinstance(event, ItemCreated)
    assert (event.job_id, event.image_index, event.image_count) == (7, 1, 2)
    assert (event.image, event.is_private, event.item_metadata) == (PICTURE, True, {"steps": 28})


def test_an_item_is_created_once() -> None:
    (event,) = ITEM.decide(Create(42, DRAFT, Tagging(), creator_is_active=True), given())

    assert ITEM.decide(Create(42, DRAFT, Tagging(), creator_is_active=True), given(event)) == []


def test_an_inactive_user_creates_nothing() -> None:
    with pytest.raises(InactiveCreatorError):
        ITEM.decide(Create(42, DRAFT, Tagging(), creator_is_active=False), given())


def test_a_job_that_was_accepted_is_published_even_if_its_user_is_inactive_by_now() -> None:
    assert len(ITEM.decide(Create(42, OF_A_JOB, Tagging(), creator_is_active=False), given())) == 1


def test_what_is_searched_has_no_case_and_single_spaces() -> None:
    assert searchable(" Ein  GROẞES\nSchiff", "Ärger") == "ein grosses schiff\närger"


def body(**more: Any) -> NewItem:
    return NewItem(title=" A lighthouse ", content_type="image", prompt="p", creator_id=ADA, **more)


def test_a_title_is_stripped() -> None:
    assert body().title == "A lighthouse"


@pytest.mark.parametrize(
    ("flags", "private"),
    [
        ({}, False),
        ({"is_private": True}, True),
        ({"is_public": False}, True),
        ({"is_public": True}, False),
        ({"is_private": True, "is_public": False}, True),
    ],
)
def test_privacy_can_be_said_either_way(flags: dict[str, bool], private: bool) -> None:
    assert body(**flags).private is private


def test_privacy_cannot_be_said_both_ways() -> None:
    with pytest.raises(ValidationError, match="contradict"):
        body(is_private=True, is_public=True)
