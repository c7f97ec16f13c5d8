"""The users of the bus: one for each kind of process, with the rights that it needs and no others.

Who states and follows what is data already (`genonaut.contracts.streams`), and rights follow from it: a service
publishes to the streams of its own context and pulls from the durables that bear its name. What a user may read with
the right to look at a stream is all of the stream; what it may take away from others, or change, is nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from genonaut.contracts.generation import JobCancelled
from genonaut.contracts.streams import (
    DURABLES,
    GENERATION,
    GENERATION_DRIVERS,
    LIVE,
    STREAMS,
    Durable,
    Stream,
)

ADMIN = "admin"
"""May do everything in its account: provisioning, rebuilding, and looking with a client of one's own."""

SYSTEM = "system"
"""The one user of the server's own account."""

DRIVER = "driver"
PROCESSES = ("gateway", "content", "generation", DRIVER, "analytics", "notifications")

_HEARD: Mapping[str, Sequence[str]] = {
    "gateway": (f"{GENERATION.prefix}.>", f"{LIVE.prefix}.>"),  # for those who watch a job
    DRIVER: (GENERATION.filter(JobCancelled.type),),  # to stop what it runs
}
"""What comes by on the bus and is listened to without a durable."""

_LATEST: Mapping[str, Stream] = {"gateway": LIVE}
"""Streams whose latest message of a subject is asked for by who comes late."""


@dataclass(frozen=True, kw_only=True)
class BusUser:
    """Subjects, as nats-server's permissions have them."""

    publish: Sequence[str]
    subscribe: Sequence[str]


def user_name(environment: str, process: str) -> str:
    """The user's name on a server: there, names of all accounts share one space."""
    return f"{environment}-{process}"


def inbox_of(url: str) -> str:
    """What the subjects start with where answers to the user of this URL come. Our users may not hear each other's."""
    login = urlsplit(url.partition(",")[0])
    return f"_INBOX.{login.username}" if login.username and login.password else "_INBOX"


def stated_by(process: str) -> Sequence[Stream]:
    """The streams that a kind of process publishes to: those of its context."""
    return [stream for stream in STREAMS if _publisher(stream) == process]


def followed_by(process: str) -> Sequence[Durable]:
    """The durables that a kind of process pulls from: those with its name."""
    return [durable for durable in DURABLES if _reader(durable) == process]


def rights(environment: str, process: str) -> BusUser:
    """What one kind of process may do on the bus."""
    publish = ["$JS.API.INFO"]
    for stream in stated_by(process):
        publish += [f"{stream.prefix}.>", f"$JS.API.STREAM.INFO.{stream.name}"]
    for durable in followed_by(process):
        stream_name, name = durable.stream.name, durable.name
        publish += [
            f"$JS.API.CONSUMER.INFO.{stream_name}.{name}",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream_name}.{name}",
            f"$JS.API.STREAM.MSG.GET.{stream_name}",  # how far a stream goes, and since when something waits
            # What acks are sent to, in the form of old servers and in that of new ones, with domain and account.
            f"$JS.ACK.{stream_name}.{name}.>",
            f"$JS.ACK.*.*.{stream_name}.{name}.>",
        ]
    if latest := _LATEST.get(process):
        publish.append(f"$JS.API.DIRECT.GET.{latest.name}.{latest.prefix}.>")
    subscribe = [f"_INBOX.{user_name(environment, process)}.>", *_HEARD.get(process, ())]
    return BusUser(publish=list(dict.fromkeys(publish)), subscribe=subscribe)


def account(environment: str, passwords: Mapping[str, str]) -> str:
    """The account of an environment as a line of nats-server's configuration: its users with their rights.

    `passwords` by process, ADMIN among them.
    """
    users = [f"{{ user: {user_name(environment, ADMIN)}, password: {json.dumps(passwords[ADMIN])} }}"]
    for process in PROCESSES:
        may = rights(environment, process)
        users.append(
            f"{{ user: {user_name(environment, process)}, password: {json.dumps(passwords[process])}, permissions: {{"
            f" publish: {json.dumps(may.publish)}, subscribe: {json.dumps(may.subscribe)} }} }}"
        )
    listed = "".join(f"    {user}\n" for user in users)
    return f"{environment.upper()} {{\n  jetstream: enabled\n  users: [\n{listed}  ]\n}}\n"


def system_account(password: str) -> str:
    """The account of the server itself, as `account` writes the others. Its user can make it read all this again."""
    return f"SYS {{ users: [ {{ user: {SYSTEM}, password: {json.dumps(password)} }} ] }}\n"


def _publisher(stream: Stream) -> str:
    # What a job is doing is told by the process that does it.
    return DRIVER if stream is LIVE else stream.context


def _reader(durable: Durable) -> str:
    return DRIVER if durable is GENERATION_DRIVERS else durable.name.partition("-")[0]
