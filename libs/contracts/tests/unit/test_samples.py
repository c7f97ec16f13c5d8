"""Golden samples: one envelope for every version of every event there ever was. They are never edited or deleted."""

import json
from pathlib import Path

import pytest

from genonaut.contracts import EVENTS, Envelope
from genonaut.contracts.content import TagCreated, UserRegistered
from genonaut.contracts.content.numbers import LARGEST
from genonaut.contracts.generation import JobCompleted

SAMPLES = Path(__file__).parents[2] / "samples"


def names() -> list[str]:
    return sorted(path.stem for path in SAMPLES.glob("*.json"))


def test_every_version_of_every_event_has_a_sample() -> None:
    expected = {f"{name}.v{version}" for name, cls in EVENTS.items() for version in range(1, cls.version + 1)}

    assert set(names()) == expected


@pytest.mark.parametrize("name", names())
def test_a_sample_decodes_to_todays_class(name: str) -> None:
    envelope = Envelope.from_json((SAMPLES / f"{name}.json").read_bytes())

    assert type(envelope.event()) is EVENTS[envelope.type]


@pytest.mark.parametrize("name", [f"{event.type}.v{event.version}" for event in EVENTS.values()])
def test_a_sample_of_the_current_version_says_all_that_the_class_says(name: str) -> None:
    """A field that is renamed or dropped without a new version shows here."""
    sample = json.loads((SAMPLES / f"{name}.json").read_text())

    event = Envelope.from_json(json.dumps(sample).encode()).event()

    assert event.model_dump(mode="json") == sample["data"]


@pytest.mark.parametrize("name", ["content.tag.created", "content.user.registered"])
def test_what_had_no_number_gets_one_below_zero_always_the_same(name: str) -> None:
    old = Envelope.from_json((SAMPLES / f"{name}.v1.json").read_bytes())

    event = old.event()

    assert isinstance(event, TagCreated | UserRegistered)
    assert -LARGEST <= event.number < 0
    assert old.event() == event


def test_a_completed_job_of_version_1_has_its_one_image_in_the_list() -> None:
    old = Envelope.from_json((SAMPLES / "generation.job.completed.v1.json").read_bytes())

    event = old.event()

    assert isinstance(event, JobCompleted)
    assert [image.sha256 for image in event.images] == [old.data["image"]["sha256"]]
