"""The unified list over HTTP, asked for pages by tags as fast as it can give them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlencode

from harness import MB, Cpu, Servers, of_server, ready, running, table
from load import as_fast_as_possible
from rich.table import Table
from services_stand_in import gateway
from tag_questions import Question
from tagged_gallery import creator_id, slug

from genonaut.stack.ports import free_port
from genonaut.stack.servers import Valkey

REQUESTS = 4_000


BYPASS = "&cache_bypass=true"


async def requested(site: Servers, asked: Sequence[Question]) -> Table:
    """First pages of every shape by date, none asked for twice in a row; from the service, and through the gateway."""
    paths = [path(question) for question in asked if question.sort == "created_at" and not question.skip]
    report = table(
        f"GET /content/unified, {len(paths)} different first pages by date, {REQUESTS:,} requests",
        *("", "requests/s", "CPU µs: service", "gateway", "postgres", "valkey", "client", "PSS of the service, MB"),
    )
    port = free_port()
    environment = site.settings("content") | {"API_PORT": str(port), "LOG_LEVEL": "WARNING"}
    with (
        cache(site) as valkey,
        running(
            ["-m", "genonaut.content", "serve"],
            environment | {"REDIS_URL": valkey.url()},
            log=site.folder / "content.log",
        ) as service,
    ):
        await ready(f"http://127.0.0.1:{port}/health")
        async with gateway(site, port, LOG_LEVEL="WARNING") as (gateway_port, forwarding):
            groups = {
                "service": service,
                "gateway": forwarding,
                "postgres": site.processes()["postgres"],
                "valkey": of_server("valkey", valkey.home),
            }
            ways = (("", port), (", through the gateway", gateway_port))
            for name, bypass, way, asked_port in (
                (name, bypass, *way) for name, bypass in (("uncached", BYPASS), ("cached", "")) for way in ways
            ):
                asked_paths = [each + bypass for each in paths]
                await as_fast_as_possible(asked_port, asked_paths, requests=len(paths))
                cpu, own = Cpu(groups), time.process_time()
                rate = await as_fast_as_possible(asked_port, asked_paths, requests=REQUESTS)
                spent = [*cpu.spent().values(), time.process_time() - own]
                costs = [f"{each / REQUESTS * 1e6:,.0f}" for each in spent]
                report.add_row(name + way, f"{rate:,.0f}", *costs, f"{service.memory() / MB:.0f}")
    return report


@contextmanager
def cache(site: Servers) -> Iterator[Valkey]:
    server = Valkey(site.folder / "cache")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def path(question: Question) -> str:
    parameters: list[tuple[str, object]] = [("tag", slug(tag)) for tag in question.tags]
    parameters += [("exclude_tag", slug(tag)) for tag in question.unwanted]
    parameters += [("tag_match", "all" if question.every else "any"), ("page_size", question.size)]
    if question.viewer:
        parameters.append(("user_id", creator_id(question.viewer)))
        for scope in question.scopes:
            source = "regular" if scope.source_type == "items" else "auto"
            owners = ["user", "community"] if scope.owner == "all" else [scope.owner]
            parameters += [("content_source_types", f"{owner}-{source}") for owner in owners]
    return f"/api/v1/content/unified?{urlencode(parameters)}"
