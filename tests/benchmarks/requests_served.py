"""A day of a busy site, as its gateway states it: five routes, a thousand users, a few patterns each."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

from genonaut.contracts import Envelope
from genonaut.contracts.gateway import RequestServed
from genonaut.contracts.streams import REQUESTS
from genonaut.platform.bus import MAX_BATCH, Bus, Message

ROUTES = ("/api/v1/content", "/api/v1/content/{id}", "/api/v1/generation-jobs", "/api/v1/tags", "/api/v1/images/{id}")


def requests(count: int) -> Iterator[Envelope]:
    """In the order of their times, which end now."""
    choose = random.Random(1)
    start = datetime.now(UTC) - timedelta(days=1)
    for number in range(count):
        served = RequestServed(
            method="GET",
            route=choose.choice(ROUTES),
            status_code=200,
            duration_us=int(choose.lognormvariate(8.5, 1)),
            user_id=UUID(int=choose.randrange(1000)),
            query_params={"page": str(choose.randrange(9)), "sort_field": choose.choice(["created_at", "title"])},
            request_bytes=0,
            response_bytes=choose.randrange(50_000),
        )
        yield Envelope.of(
            served,
            id=UUID(int=choose.getrandbits(128), version=4),
            source="genonaut/gateway",
            subject=f"request-{number}",
            time=start + timedelta(seconds=number * 86_400 / count),
            sequence=1,
            correlationid=f"request-{number}",
        )


async def publish(bus: Bus, envelopes: Iterable[Envelope]) -> None:
    subject = REQUESTS.subject(RequestServed.type, "")
    left = iter(envelopes)
    while batch := [Message(subject, each.to_json(), str(each.id)) for each in islice(left, MAX_BATCH)]:
        await bus.publish(REQUESTS.name, batch)
