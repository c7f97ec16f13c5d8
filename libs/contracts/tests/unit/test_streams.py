"""The bus as data: names that last, and nothing that falls between two streams."""

import re

from genonaut.contracts import EVENTS
from genonaut.contracts.streams import (
    DURABLES,
    GENERATION,
    GENERATION_DRIVERS,
    GENERATION_WORK,
    STREAMS,
    WORK,
    stream_of,
)


def test_every_event_has_one_stream() -> None:
    for event_type in EVENTS:
        carriers = [stream for stream in STREAMS if event_type.startswith(f"{stream.prefix}.")]
        assert carriers == [stream_of(event_type)], event_type


def test_no_stream_takes_subjects_of_another() -> None:
    prefixes = [f"{stream.prefix}." for stream in STREAMS]
    assert not [(a, b) for a in prefixes for b in prefixes if a != b and a.startswith(b)]


def test_durables_have_unique_short_kebab_names() -> None:
    names = [durable.name for durable in DURABLES]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"(?=.{1,32}$)[a-z]+(-[a-z]+)+", name)] == []


def test_durables_read_events_of_their_stream() -> None:
    for durable in DURABLES:
        if not durable.stream.work_queue:
            assert {stream_of(event.type) for event in durable.events} == {durable.stream}, durable.name


def test_a_filter_matches_the_subjects_of_its_type_only() -> None:
    subject = GENERATION.subject("generation.job.completed", "17")

    assert subject == "generation.job.completed.17"
    assert GENERATION.filter("generation.job.completed") == "generation.job.completed.*"


def test_work_goes_where_the_drivers_take_it_from() -> None:
    assert set(GENERATION_DRIVERS.filter_subjects()) == {GENERATION_WORK.filter(work) for work in WORK.values()}
