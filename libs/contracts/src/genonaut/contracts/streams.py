"""Streams, subjects and durables as data.

The provisioning step makes the bus look like this page; services declare nothing.
"""

from dataclasses import dataclass
from datetime import timedelta

from genonaut.contracts.content import (
    ItemCreated,
    UserActivated,
    UserDeactivated,
    UserPreferencesChanged,
    UserRegistered,
)
from genonaut.contracts.event import Event
from genonaut.contracts.gateway import RequestServed
from genonaut.contracts.generation import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobPublished,
    JobRequested,
    JobRequeued,
    JobStarted,
)

MiB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A JetStream stream. Discards nothing silently: a full one refuses new messages, and producers keep theirs."""

    name: str
    prefix: str
    """Its subjects are `<prefix>.>`."""
    max_bytes: int
    max_age: timedelta
    by_aggregate: bool = False
    """Subjects end with the aggregate's id: for live filters, and to see what waits. Costs memory for each id."""
    work_queue: bool = False
    discard_old: bool = False
    """When full, the oldest go instead of the newest being refused: for facts that nobody decides on."""
    latest_only: bool = False
    """The latest message of each subject only, and a power cut may take that: no write waits for the disk."""
    duplicate_window: timedelta = timedelta(minutes=10)
    """How long a message id is remembered. Longer than a relay's retries; the server keeps every id in memory."""

    @property
    def context(self) -> str:
        """The first word of its subjects: the service that states its events."""
        return self.prefix.partition(".")[0]

    @property
    def from_log(self) -> bool:
        """Whether all it holds are events of a log, so that it can be filled again."""
        return not (self.work_queue or self.discard_old or self.latest_only)

    def subject(self, event_type: str, aggregate_id: str) -> str:
        """Where an event goes."""
        return f"{event_type}.{aggregate_id}" if self.by_aggregate else event_type

    def filter(self, event_type: str) -> str:
        """What matches every event of a type."""
        return f"{event_type}.*" if self.by_aggregate else event_type


# An item of 75 tags is 3.6 kB: this is four million of them in a year. It is a cap; nothing is reserved.
CONTENT = Stream(name="CONTENT", prefix="content", max_bytes=16 * 1024 * MiB, max_age=timedelta(days=365))
GENERATION = Stream(
    name="GENERATION",
    prefix="generation.job",
    max_bytes=1024 * MiB,
    max_age=timedelta(days=365),
    by_aggregate=True,
)
GENERATION_WORK = Stream(
    name="GENERATION_WORK",
    prefix="generation.work",
    max_bytes=256 * MiB,
    max_age=timedelta(days=30),
    by_aggregate=True,
    work_queue=True,
)
NOTIFICATIONS = Stream(name="NOTIFICATIONS", prefix="notifications", max_bytes=256 * MiB, max_age=timedelta(days=365))
REQUESTS = Stream(
    name="REQUESTS",
    prefix="gateway.request",
    max_bytes=1024 * MiB,
    max_age=timedelta(days=7),
    duplicate_window=timedelta(minutes=2),
    discard_old=True,
)
LIVE = Stream(name="LIVE", prefix="live", max_bytes=64 * MiB, max_age=timedelta(hours=1), latest_only=True)

STREAMS = (CONTENT, GENERATION, GENERATION_WORK, NOTIFICATIONS, REQUESTS, LIVE)

WORK: dict[str, str] = {JobRequested.type: "generation.work.image"}
"""Events that are also work, and of which kind: their envelope goes to GENERATION_WORK too, under the same id."""


def stream_of(event_type: str) -> Stream:
    """The stream that carries events of this type. Raises LookupError when none does."""
    for stream in STREAMS:
        if event_type.startswith(f"{stream.prefix}."):
            return stream
    raise LookupError(f"no stream carries {event_type}")


@dataclass(frozen=True, kw_only=True)
class Durable:
    """A durable consumer: one purpose of one service, with one filter over all its types, so their order is kept."""

    name: str
    """service-purpose, kebab case, at most 32 characters, unique."""
    stream: Stream
    events: tuple[type[Event], ...]
    ack_wait: timedelta = timedelta(seconds=10)
    max_ack_pending: int = 256

    def filter_subjects(self) -> list[str]:
        if self.stream.work_queue:
            return [self.stream.filter(WORK[event.type]) for event in self.events]
        return [self.stream.filter(event.type) for event in self.events]


CONTENT_JOBS = Durable(name="content-jobs", stream=GENERATION, events=(JobCompleted,))
CONTENT_JOB_COUNTS = Durable(
    name="content-job-counts",
    stream=GENERATION,
    events=(JobRequested, JobStarted, JobRequeued, JobCompleted, JobFailed, JobCancelled),
    max_ack_pending=4096,
)
GENERATION_USERS = Durable(
    name="generation-users", stream=CONTENT, events=(UserRegistered, UserActivated, UserDeactivated)
)
GENERATION_ITEMS = Durable(name="generation-items", stream=CONTENT, events=(ItemCreated,))
GENERATION_DRIVERS = Durable(name="generation-drivers", stream=GENERATION_WORK, events=(JobRequested,))
NOTIFICATIONS_RECIPIENTS = Durable(
    name="notifications-recipients", stream=CONTENT, events=(UserRegistered, UserPreferencesChanged)
)
NOTIFICATIONS_JOBS = Durable(
    name="notifications-jobs", stream=GENERATION, events=(JobPublished, JobFailed, JobCancelled)
)
ANALYTICS_REQUESTS = Durable(name="analytics-requests", stream=REQUESTS, events=(RequestServed,), max_ack_pending=4096)
ANALYTICS_GENERATION = Durable(
    name="analytics-generation",
    stream=GENERATION,
    events=(JobRequested, JobStarted, JobCompleted, JobFailed, JobCancelled),
    max_ack_pending=4096,
)

DURABLES = (
    CONTENT_JOBS,
    CONTENT_JOB_COUNTS,
    GENERATION_USERS,
    GENERATION_ITEMS,
    GENERATION_DRIVERS,
    NOTIFICATIONS_RECIPIENTS,
    NOTIFICATIONS_JOBS,
    ANALYTICS_REQUESTS,
    ANALYTICS_GENERATION,
)
