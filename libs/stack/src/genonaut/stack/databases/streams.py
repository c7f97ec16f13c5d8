"""The bus after its events' logs have changed behind its back: emptied, filled again, or heard once more."""

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime

from nats.js.errors import NotFoundError

from genonaut.contracts.streams import DURABLES, STREAMS, Stream
from genonaut.platform.bus import Bus
from genonaut.platform.database import Database
from genonaut.platform.provisioning import SERVICES, provision_bus
from genonaut.platform.restore import restore, streams_of
from genonaut.stack.databases.place import Place


async def remove(place: Place, *, keep: Collection[Stream] = ()) -> None:
    """The environment has no streams, but for those to keep; provisioning makes them anew."""
    bus = await Bus.connect(place.nats_url, name="genonaut-db")
    try:
        for stream in STREAMS:
            if stream not in keep:
                with suppress(NotFoundError):
                    await bus.jetstream.delete_stream(stream.name)
    finally:
        await bus.close()


async def follow_logs(place: Place) -> int:
    """The streams have what the logs have as soon as the services have published it, and nothing else. How many events.

    But for measurements, which are in no log: those that are there were made, whatever was restored, and count.
    """
    await remove(place, keep=[stream for stream in STREAMS if stream.discard_old])
    await hear_again(place, SERVICES)
    events = 0
    bus = await Bus.connect(place.nats_url, name="genonaut-db")
    database = Database(place.owner_url, name="genonaut-db")
    try:
        for service in SERVICES:
            for stream in streams_of(service):
                done = await restore(
                    stream,
                    service=service,
                    database=database,
                    bus=bus,
                    now=datetime.now(UTC),
                    dry_run=False,
                    progress=lambda *_: None,
                )
                events += done.lost
    finally:
        await database.close()
        await bus.close()
    return events


async def hear_again(place: Place, services: Collection[str]) -> list[str]:
    """The services' durables are at the beginning of their streams. Which they are.

    Not those of work queues: what is there is still to be done, wherever they are.
    """
    bus = await Bus.connect(place.nats_url, name="genonaut-db")
    heard = [
        durable for durable in DURABLES if durable.name.partition("-")[0] in services and not durable.stream.work_queue
    ]
    try:
        for durable in heard:
            with suppress(NotFoundError):
                await bus.jetstream.delete_consumer(durable.stream.name, durable.name)
    finally:
        await bus.close()
    await provision_bus(place.nats_url)
    return [durable.name for durable in heard]
