"""What must be true when everything has come to rest, whatever was done to the platform before.

It looks from outside and counts for itself: SQL on the tables, the bus's own messages, files, and the public API. None
of the code under test is asked whether it was right, but for the rebuild, whose result has to be the live tables.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from chaos import recount
from chaos.facts import ENDS, LOGS, Facts
from chaos.faults import Fault, Poison
from chaos.load import INVALID, NOT_FOUND, OK, Promises
from genonaut.contracts.streams import DURABLES, STREAMS, stream_of
from genonaut.platform.bus import Bus
from genonaut.testkit.stacks import Stack

HARMFUL_TO_JOBS = {"driver", "comfyui-simulator", "nats", "postgres", "generation", "generation-drivers"}
"""A job may fail because of what was done to these; to no others."""
MOST_LOST = 1 / 3
"""Of the accepted jobs, by workers to which something was done: most are taken up again and end well."""
FLOORS = {"jobs accepted": 20, "jobs completed": 10, "items accepted": 3, "notifications": 5, "requests counted": 100}
"""What a look has to be at, at least; by the names of `Report.counts`."""
MOST_ASKED_FOR = 30
MOST_SHOWN = 5


@dataclass
class Report:
    """Nothing in `violations` means that every promise was kept. `counts` says of how much."""

    violations: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    """How often each rule was broken."""

    def breaks(self, name: str, *how: str) -> None:
        self.rules[name] = len(how)
        self.violations += [f"{name}: {what}" for what in how[:MOST_SHOWN]]
        if len(how) > MOST_SHOWN:
            self.violations.append(f"{name}: … and {len(how) - MOST_SHOWN} more")

    def broken(self) -> set[str]:
        return {name for name, times in self.rules.items() if times}


Rule = Callable[[Facts], Iterator[str]]
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    RULES[function.__name__.lstrip("_").replace("_", " ")] = function
    return function


def check(
    stack: Stack,
    promises: Promises,
    planted: Sequence[Poison],
    faults: Sequence[Fault],
    deleted: Mapping[str, float],
    *,
    floors: Mapping[str, int] = FLOORS,
) -> Report:
    """Everything has to be at rest: no job active, no event on its way. `deleted` is as `Facts` has it.

    Where there is less than `floors` say, nothing was shown.
    """
    facts = Facts(stack, promises, planted, faults, deleted)
    report = Report()
    for name, function in RULES.items():
        try:
            report.breaks(name, *function(facts))
        except httpx.HTTPError as error:  # a platform that does not come to rest may not answer either
            report.breaks(name, f"nobody can tell: {error}")
    report.counts = _counts(facts)
    few = [name for name, least in floors.items() if report.counts[name] < least]
    report.breaks(
        "there is enough to look at", *(f"{name}: {report.counts[name]} of at least {floors[name]}" for name in few)
    )
    return report


def _counts(facts: Facts) -> dict[str, int]:
    promises = facts.promises
    ends = Counter(ENDS[ends[0].type] for ends in facts.ends.values() if ends)
    return {
        "faults": len(facts.faults),
        "answers": promises.answers.total(),
        "answers with success": sum(n for status, n in promises.answers.items() if status.startswith("2")),
        "jobs accepted": len(promises.jobs),
        "jobs watched to their end": promises.watched,
        "jobs in the log": len(facts.ends),
        **{f"jobs {end}": ends[end] for end in ENDS.values()},
        "jobs lost by workers": len(facts.lost),
        "items accepted": len(promises.items),
        "events in the logs": sum(map(len, facts.logs.values())),
        **{f"messages in {name}": len(messages) for name, messages in facts.streams.items()},
        "notifications": facts.stack.sql("notifications", "SELECT count(*) FROM user_notifications")[0][0],
        "requests counted": facts.stack.sql("analytics", "SELECT count(*) FROM route_analytics")[0][0],
        "poison planted": len(facts.planted),
    }


# The rules ------------------------------------------------------------------------------------------------------------


@rule
def _what_was_promised_during_the_load(facts: Facts) -> Iterator[str]:
    yield from facts.promises.broken


@rule
def _every_accepted_job_is_in_the_log(facts: Facts) -> Iterator[str]:
    for job in facts.promises.jobs.keys() - facts.ends.keys():
        yield f"job {job} was accepted and is not in the log"


@rule
def _a_job_ends_once(facts: Facts) -> Iterator[str]:
    status = dict(facts.stack.sql("generation", "SELECT id, status FROM generation_jobs"))
    for job, ends in facts.ends.items():
        if len(ends) != 1:
            yield f"job {job} ended {len(ends)} times: {[end.type for end in ends]}"
        elif status.get(job) != ENDS[ends[0].type]:
            yield f"job {job} is shown as {status.get(job)}, its log says {ends[0].type}"


@rule
def _a_job_ends_as_it_was_asked(facts: Facts) -> Iterator[str]:
    """Cancelled when that was accepted; failed only for a reason of its own or because of a fault that explains it.

    Faults explain some of the failures, never most.
    """
    explained = bool(facts.touched() & HARMFUL_TO_JOBS)
    for job in facts.promises.jobs:
        end = next(iter(facts.ends.get(job, [])), None)
        if end is None:
            continue  # told by another rule
        cancelled = ENDS[end.type] == "cancelled"
        if cancelled and job not in facts.promises.doubtful:
            yield f"job {job} was cancelled by nobody"
        if job in facts.promises.cancelled and not cancelled:
            yield f"job {job} was cancelled and is {ENDS[end.type]}"
        if ENDS[end.type] == "failed":
            kind = end.data["error_type"]
            if kind not in {"unsupported_job_type", "worker_lost"} or (kind == "worker_lost" and not explained):
                yield f"job {job} failed: {kind}, {end.data['error_message']}"
    if len(facts.lost) > MOST_LOST * len(facts.promises.jobs):
        yield f"workers lost {len(facts.lost)} of {len(facts.promises.jobs)} jobs"


@rule
def _completed_means_that_the_pictures_are_items(facts: Facts) -> Iterator[str]:
    rows = facts.stack.sql(
        "content", "SELECT job_id, image_index, image_sha256 FROM content_items_all WHERE job_id IS NOT NULL"
    )
    there: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for job, index, sha256 in rows:
        there[job].append((index, sha256))
    for job, end in facts.completed.items():
        wanted = [(index, image["sha256"]) for index, image in enumerate(end.data["images"])]
        if sorted(there[job]) != wanted:
            yield f"job {job} made {wanted}, the gallery has {sorted(there[job])}"
    published = Counter(
        event.data["job_id"] for event in facts.logs["generation"] if event.type == "generation.job.published"
    )
    completed = Counter(facts.completed.keys())
    for job in (completed - published) + (published - completed):
        yield f"job {job} completed {completed[job]} times and was published {published[job]} times"
    for job in there.keys() - facts.completed.keys():
        yield f"job {job} did not complete and has items"


@rule
def _completed_means_that_the_pictures_are_stored(facts: Facts) -> Iterator[str]:
    root = Path(urlsplit(facts.stack.setting("content", "OBJECT_STORE_URL")).path)
    for job, end in facts.completed.items():
        for image in end.data["images"]:
            sha256 = image["sha256"]
            file = root / "images" / sha256[:2] / sha256[2:4] / sha256
            if not file.exists():
                yield f"a picture of job {job} is not stored"
            elif hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
                yield f"a picture of job {job} is damaged"


@rule
def _who_wants_to_know_is_told_once(facts: Facts) -> Iterator[str]:
    rows = facts.stack.sql("notifications", "SELECT user_id::text, related_job_id FROM user_notifications")
    told = Counter((user, job) for user, job in rows if user in facts.told)
    wanted = Counter(
        (ends[0].data["user_id"], job)
        for job, ends in facts.ends.items()
        if ends and facts.told[ends[0].data["user_id"]]
    )
    for (user, job), times in (wanted - told).items():
        yield f"{user} was not told of job {job} ({times})"
    for (user, job), times in (told - wanted).items():
        yield f"{user} was told {times} times too often of job {job}"


@rule
def _every_accepted_item_is_there(facts: Facts) -> Iterator[str]:
    rows = dict(facts.stack.sql("content", "SELECT id, is_private FROM content_items_all WHERE job_id IS NULL"))
    for item, promise in facts.promises.items.items():
        if item not in rows:
            yield f"item {item} was accepted and is not there"
        elif rows[item] != promise.private:
            yield f"item {item} is {'private' if rows[item] else 'public'} and was not accepted as that"


@rule
def _the_outboxes_are_empty(facts: Facts) -> Iterator[str]:
    for service in LOGS:
        ((left,),) = facts.stack.sql(service, "SELECT count(*) FROM outbox")
        if left:
            yield f"{left} events of {service} never left"


@rule
def _every_event_of_a_log_is_in_its_stream(facts: Facts) -> Iterator[str]:
    there = {name: {envelope["id"] for envelope in envelopes} for name, envelopes in facts.streams.items()}
    for service, events in facts.logs.items():
        for event in events:
            if event.id not in there[stream_of(event.type).name]:
                yield f"{event.type} of {service} {event.stream} is not in the stream"


@rule
def _every_event_of_a_stream_is_in_its_log(facts: Facts) -> Iterator[str]:
    for service, stream in LOGS.items():
        logged = {event.id for event in facts.logs[service]}
        for envelope in facts.streams[stream.name]:
            if envelope["id"] not in logged:
                yield f"{envelope['type']} {envelope['id']} was told and never committed"


@rule
def _the_bus_is_as_it_was_provisioned(facts: Facts) -> Iterator[str]:
    async def read(bus: Bus) -> set[str]:
        names = {str(info.config.name) for info in await bus.jetstream.streams_info()}
        consumers = [info for name in names for info in await bus.jetstream.consumers_info(name)]
        return names | {info.config.durable_name for info in consumers if info.config.durable_name}

    wanted = {each.name for each in (*STREAMS, *DURABLES)}
    there: set[str] = facts.stack.on_bus(read)
    for name in wanted ^ there:
        yield f"{name} is {'gone' if name in wanted else 'there, and nobody made it'}"


rule(recount.generation_rollups_are_a_recount)
rule(recount.requests_are_counted)
rule(recount.route_rollups_are_a_recount)


@rule
def _tables_rebuilt_from_history_equal_the_live_ones(facts: Facts) -> Iterator[str]:
    ran = facts.stack.genonaut("replay", "rebuild", "--all", "--json")
    try:
        reports = json.loads(ran.stdout)
    except ValueError:
        reports = []
    if ran.returncode or not reports:
        yield f"the rebuild ended with {ran.returncode} and said {ran.stdout[-500:]} {ran.stderr[-500:]}"
    for report in reports:
        if not report["equal"] or report["failed"]:
            yield f"{report}"
    if not any(report["events"] for report in reports):
        yield "nothing was rebuilt"


@rule
def _dead_letters_are_the_poison(facts: Facts) -> Iterator[str]:
    meant = [
        (durable, poison)
        for poison in facts.planted
        for durable in DURABLES
        if any(_matches(subject, poison.subject) for subject in durable.filter_subjects())
    ]
    wanted = Counter((durable.name, poison.payload) for durable, poison in meant)
    # A stream takes with it what nobody had read yet, and nothing that came later.
    perhaps = {
        (durable.name, poison.payload)
        for durable, poison in meant
        if poison.since < facts.deleted.get(durable.stream.name, 0.0)
    }
    statement = "SELECT consumer, payload, error FROM dead_letters"
    rows = [row for service in (*LOGS, "analytics") for row in facts.stack.sql(service, statement)]
    reasons = {(consumer, bytes(payload)): error for consumer, payload, error in rows}
    found = Counter((consumer, bytes(payload)) for consumer, payload, _ in rows)
    for (consumer, payload), times in (wanted - found).items():
        if (consumer, payload) not in perhaps:
            yield f"{consumer} has not parked {payload[:60]!r} ({times})"
    for (consumer, payload), times in (found - wanted).items():
        yield f"{consumer} parked {times} too many: {reasons[consumer, payload]} {payload[:200]!r}"


@rule
def _nobody_sees_what_is_anothers(facts: Facts) -> Iterator[str]:
    """Others and strangers are told that it does not exist; owners see all of it."""
    items = dict(facts.stack.sql("content", "SELECT id, creator_id::text FROM content_items_all WHERE is_private"))
    jobs = dict(facts.stack.sql("generation", "SELECT id, user_id::text FROM generation_jobs WHERE is_private"))
    told = dict(facts.stack.sql("notifications", "SELECT id, user_id::text FROM user_notifications"))
    yield from _listed(facts, "/api/v1/content", items)
    yield from _listed(facts, "/api/v1/generation-jobs", jobs)
    for status in ENDS.values():
        yield from _listed(facts, f"/api/v1/generation-jobs/by-status/{status}", jobs, all_of_theirs=False)
    yield from _listed(facts, "/api/v1/notifications", told, strangers=False)
    yield from _shown(facts, "/api/v1/content/{}", items)
    yield from _shown(facts, "/api/v1/generation-jobs/{}", jobs)
    yield from _shown(facts, "/api/v1/generation-jobs/{}/events", jobs)
    yield from _shown(facts, "/api/v1/notifications/{}", told, strangers={NOT_FOUND, INVALID})


def _listed(
    facts: Facts, path: str, owners: Mapping[int, str], *, strangers: bool = True, all_of_theirs: bool = True
) -> Iterator[str]:
    """`owners` has all that is private. `strangers` may ask, too; a list need not have `all_of_theirs`."""
    for viewer in [person.id for person in facts.promises.people] + ([None] if strangers else []):
        shown = _all(facts.stack, path, viewer)
        for each in shown & owners.keys():
            if owners[each] != viewer:
                yield f"{path} shows {viewer} the private {each}"
        hidden = {each for each, owner in owners.items() if owner == viewer} - shown
        if hidden and all_of_theirs:
            yield f"{path} hides {len(hidden)} of their own from {viewer}"


def _shown(
    facts: Facts, path: str, owners: Mapping[int, str], *, strangers: Container[int] = frozenset({NOT_FOUND})
) -> Iterator[str]:
    """Some of `owners`, one by one. What `strangers` without a name are to be answered differs."""
    for each, owner in list(owners.items())[:MOST_ASKED_FOR]:
        another = next(person.id for person in facts.promises.people if person.id != owner)
        if (status := _status(facts.stack, path.format(each), owner)) != OK:
            yield f"{path.format(each)} answers its owner with {status}"
        if (status := _status(facts.stack, path.format(each), another)) != NOT_FOUND:
            yield f"{path.format(each)} answers {another} with {status}"
        if (status := _status(facts.stack, path.format(each), None)) not in strangers:
            yield f"{path.format(each)} answers a stranger with {status}"


def _status(stack: Stack, path: str, viewer: str | None) -> int:
    # Of a stream of events, too, which may go on for ever.
    with stack.api.stream("GET", path, params={"user_id": viewer} if viewer else {}) as answer:
        return answer.status_code


def _all(stack: Stack, path: str, viewer: str | None) -> set[int]:
    seen: set[int] = set()
    query: dict[str, Any] = {"page_size": 100} | ({"user_id": viewer} if viewer else {})
    while True:
        page = stack.json("GET", path, params=query)
        seen |= {item["id"] for item in page["items"]}
        if not page["pagination"]["has_next"]:
            return seen
        query["cursor"] = page["pagination"]["next_cursor"]


def _matches(filter_subject: str, subject: str) -> bool:
    wanted, words = filter_subject.split("."), subject.split(".")
    return len(wanted) == len(words) and all(each in {"*", word} for each, word in zip(wanted, words, strict=True))
