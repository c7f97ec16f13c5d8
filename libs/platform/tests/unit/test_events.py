"""What the log is given of an event is what the event says of itself."""

import json
from pathlib import Path

import pytest

from genonaut.contracts import Envelope
from genonaut.platform.events import _json
from genonaut.platform.projections import Recorded

SAMPLES = sorted((Path(__file__).parents[3] / "contracts").rglob("samples/*.json"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_the_json_of_every_event_is_that_of_its_class(sample: Path) -> None:
    recorded = Recorded.of(Envelope.from_json(sample.read_bytes()))

    assert json.loads(_json(recorded)) == recorded.event.model_dump(mode="json")


def test_there_are_samples() -> None:
    assert len(SAMPLES) > 20
