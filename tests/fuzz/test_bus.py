"""Whatever lies on the bus: no process dies of it, each message is handled or becomes one dead letter, and the good
ones that follow are handled as ever.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from genonaut.contracts import Envelope, Event
from genonaut.contracts.streams import (
    CONTENT_JOB_COUNTS,
    DURABLES,
    GENERATION_DRIVERS,
    GENERATION_USERS,
    NOTIFICATIONS_RECIPIENTS,
    Durable,
)
from genonaut.platform.bus import Bus
from genonaut.platform.provisioning import SERVICES

SAMPLES = Path(__file__).parents[2] / "libs/contracts/samples"
BIGGEST = 1024 * 1024 - 1024
WITHOUT_INBOX = (CONTENT_JOB_COUNTS, GENERATION_DRIVERS, GENERATION_USERS, NOTIFICATIONS_RECIPIENTS)
"""Their effects recognise a repeat by themselves, so there is no list of what they have handled."""

pytestmark = pytest.mark.timeout(0)

hostile_text = st.sampled_from(
    ["", "\0", "a\0b", "\ufffe\uffff", "🦄" * 300, "\u202e\u0007\x1b[31m", "'; DROP TABLE events; --", "x" * 100_000]
) | st.text(max_size=20)
hostile_number = st.sampled_from([0, -1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, 1.5, 1e308])
hostile_time = st.sampled_from(
    ["", "0000-00-00T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-02T03:04:05"]
)
hostile_value = st.recursive(
    hostile_text | hostile_number | hostile_time | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_text, inner, max_size=3),
    max_leaves=5,
)
raw = st.binary(max_size=200) | st.sampled_from(
    [
        b"",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe\x00",
        b"\0" * BIGGEST,
        b"9" * BIGGEST,
        b'"' + b"x" * (BIGGEST - 2) + b'"',
        b'{"specversion": "1.0", "id": NaN}',
        b'{"specversion": "1.0", "specversion": "1.0"}',
        b'{"specversion": "\\ud800"}',
    ]
)


def paths(node: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    if isinstance(node, dict | list):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from paths(child, (*here, key))


@st.composite
def disfigured(draw: st.DrawFn, sample: dict[str, Any]) -> bytes:
    """A sound envelope with up to three parts gone or replaced, or with one more."""
    envelope = orjson.loads(orjson.dumps(sample))
    envelope["id"] = draw(st.uuids()).urn
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([path for path in paths(envelope) if path]))
        parent = envelope
        for key in way:
            parent = parent[key]
        if draw(st.integers(0, 3)):
            parent[last] = draw(hostile_value)
        else:
            del parent[last]
    envelope.setdefault("data", {})
    if isinstance(envelope["data"], dict):
        envelope["data"]["unknown"] = draw(hostile_value)
    return json.dumps(envelope).encode()


def unknown(sample: dict[str, Any]) -> list[bytes]:
    changes: list[dict[str, Any]] = [
        {"dataversion": 99},
        {"type": "content.user.never_heard_of"},
        {"type": "notifications.notification.read"},
        {"specversion": "2.0"},
        {"data": {}},
        {"data": {**sample["data"], "more": "x" * (BIGGEST - 10_000)}},
    ]
    return [json.dumps({**sample, "id": str(uuid4()), **change}).encode() for change in changes]


def thought_of(strategy: st.SearchStrategy[bytes], count: int) -> list[bytes]:
    """The same ones every time."""
    found: list[bytes] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(payload: bytes) -> None:
        found.append(payload)

    collect()
    return found


@dataclass(frozen=True)
class Sent:
    event: type[Event]
    stream: str
    sequence: int
    payload: bytes

    @property
    def event_id(self) -> str | None:
        """When it can be decoded."""
        try:
            envelope = Envelope.from_json(self.payload)
            envelope.event()
        except Exception:  # noqa: BLE001 - whatever it is, it is no event
            return None
        return str(envelope.id)


def samples(event: type[Event]) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in SAMPLES.glob(f"{event.type}.v*.json")]
    assert found, f"no sample of {event.type}"
    return found


async def publish(bus: Bus, payloads: dict[type[Event], list[bytes]]) -> list[Sent]:
    followed = {(durable.stream, event) for durable in DURABLES for event in durable.events}
    sent = []
    for stream, event in sorted(followed, key=lambda each: (each[0].name, each[1].type)):
        for number, payload in enumerate(payloads[event]):
            kind = event.type
            if stream.work_queue:
                kind = "generation.work.image"
            subject = stream.subject(kind, str(10_000_000 + number))
            stored = await bus.jetstream.publish(subject, payload, stream=stream.name, timeout=30)
            sent.append(Sent(event, stream.name, stored.seq, payload))
    return sent


def service_of(durable: Durable) -> str:
    return durable.name.split("-")[0]


def handled(stack, durable: Durable) -> Counter[str]:
    """Ids of events whose effect this durable has committed."""
    keyed = {
        "analytics-requests": "SELECT event_id FROM route_analytics",
        "analytics-generation": "SELECT event_id FROM generation_events",
    }
    query = keyed.get(durable.name) or f"SELECT event_id FROM inbox WHERE consumer = '{durable.name}'"
    return Counter(str(event_id) for (event_id,) in stack.sql(service_of(durable), query))


def letters(stack, durable: Durable) -> Counter[int]:
    query = f"SELECT stream_sequence FROM dead_letters WHERE consumer = '{durable.name}'"
    return Counter(sequence for (sequence,) in stack.sql(service_of(durable), query))


def pids(stack) -> dict[str, int | None]:
    return {name: stack.pid(name) for name in stack.local.read()["processes"]}


def test_every_message_is_handled_or_becomes_one_dead_letter(stack, examples, capsys) -> None:
    before = pids(stack)
    events = {event for durable in DURABLES for event in durable.events}
    payloads = {
        event: thought_of(raw, 2 * examples)
        + [payload for sample in samples(event) for payload in unknown(sample)]
        + [payload for sample in samples(event) for payload in thought_of(disfigured(sample), 8 * examples)]
        for event in events
    }
    sent = stack.on_bus(lambda bus: publish(bus, payloads))

    good = stack.submit(stack.user(), prompt="good after all")
    stack.published(good)
    stack.settle(within=120)

    wrong, counts = [], []
    for durable in DURABLES:
        followed = [each for each in sent if each.stream == durable.stream.name and each.event in durable.events]
        dead, done = letters(stack, durable), handled(stack, durable)
        ours = {each.sequence for each in followed}
        assert len(ours) >= 10 * examples
        counts.append(f"{durable.name}: {len(ours)} sent, {len(ours & dead.keys())} dead letters")
        for each in followed:
            lies = dead[each.sequence]
            if each.event_id is None:
                expected = lies == 1
            elif durable in WITHOUT_INBOX:
                expected = lies <= 1
            else:
                expected = lies + done[each.event_id] == 1
            if not expected:
                wrong.append((durable.name, each.sequence, lies, each.payload[:500]))
    with capsys.disabled():
        print("\n" + "\n".join(counts))
    assert not wrong, "\n".join(map(str, wrong))
    reasons = [
        reason for name in SERVICES for (reason,) in stack.sql(name, "SELECT error FROM dead_letters") if not reason
    ]
    assert reasons == []
    assert pids(stack) == before
    stack.wait_until_whole()


@pytest.fixture(scope="module", autouse=True)
def _no_letters_left(stack) -> Iterator[None]:
    """Those that were meant are of no use to other tests."""
    yield
    for name in SERVICES:
        stack.sql(name, "DELETE FROM dead_letters")


def test_samples_are_sound() -> None:
    """Else the test above would try nothing but nonsense."""
    for durable in DURABLES:
        for event in durable.events:
            for sample in samples(event):
                assert Envelope.from_json(json.dumps(sample).encode()).event()
