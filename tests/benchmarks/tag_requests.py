"""The unified list over HTTP, asked for pages by tags as fast as it can give them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlencode

from harness import MB, Cpu, Group, Servers, Several, of_server, ready, running, table
from load import CONNECTIONS, as_fast_as_possible
from rich.table import Table
from services_stand_in import gateway
from tag_questions import Question
from tagged_gallery import creator_id, slug

from genonaut.stack.ports import free_port
from genonaut.stack.servers import Valkey

REQUESTS = 4_000
MANY = 250
BYPASS = "&cache_bypass=true"


async def requested(site: Servers, asked: Sequence[Question]) -> Table:
    """First pages of every shape by date, none asked for twice in a row.

    From one process of the service, from two, and from one through the gateway.
    """
    paths = [path(question) for question in asked if question.sort == "created_at" and not question.skip]
    report = table(
        f"GET /content/unified, {len(paths)} different first pages by date, {REQUESTS:,} requests",
        *("", "requests/s", "CPU µs: service", "gateway", "postgres", "valkey", "client", "PSS of a process, MB"),
    )
    ports = [free_port(), free_port()]
    with cache(site) as valkey, serving(site, ports[0], valkey) as first, serving(site, ports[1], valkey) as second:
        for port in ports:
            await ready(f"http://127.0.0.1:{port}/health")
        async with gateway(site, ports[0], LOG_LEVEL="WARNING") as (gateway_port, forwarding):
            groups = {
                "service": Several([first, second]),
                "gateway": forwarding,
                "postgres": site.processes()["postgres"],
                "valkey": of_server("valkey", valkey.home),
            }
            ways = {
                "": (ports[:1], CONNECTIONS),
                f", {MANY} connections": (ports[:1], MANY),
                ", two processes": (ports, CONNECTIONS),
                ", through the gateway": ([gateway_port], CONNECTIONS),
            }
            for name, bypass in (("uncached", BYPASS), ("cached", "")):
                asked_paths = [each + bypass for each in paths]
                for way, (asked_ports, connections) in ways.items():
                    await as_fast_as_possible(asked_ports, asked_paths, requests=2 * len(paths))
                    cpu, own = Cpu(groups), time.process_time()
                    rate = await as_fast_as_possible(
                        asked_ports, asked_paths, requests=REQUESTS, connections=connections
                    )
                    spent = [*cpu.spent().values(), time.process_time() - own]
                    costs = [f"{each / REQUESTS * 1e6:,.0f}" for each in spent]
                    report.add_row(name + way, f"{rate:,.0f}", *costs, f"{first.memory() / MB:.0f}")
    return report


def serving(site: Servers, port: int, valkey: Valkey) -> AbstractContextManager[Group]:
    environment = {"API_PORT": str(port), "LOG_LEVEL": "WARNING", "REDIS_URL": valkey.url()}
    log = site.folder / f"content-{port}.log"
    return running(["-m", "genonaut.content", "serve"], site.settings("content") | environment, log=log)


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
