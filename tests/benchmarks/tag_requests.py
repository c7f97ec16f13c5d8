"""The unified list over HTTP, asked for pages by tags as fast as it can give them."""

import time
from collections.abc import Sequence
from urllib.parse import urlencode

from harness import MB, Cpu, Servers, ready, running, table
from load import as_fast_as_possible
from rich.table import Table
from services_stand_in import gateway
from tag_questions import Question
from tagged_gallery import creator_id, slug

from genonaut.stack.ports import free_port

REQUESTS = 4_000


async def requested(site: Servers, asked: Sequence[Question]) -> Table:
    """First pages of every shape by date, none asked for twice in a row; from the service, and through the gateway."""
    paths = [path(question) for question in asked if question.sort == "created_at" and not question.skip]
    report = table(
        f"GET /content/unified, {len(paths)} different first pages by date, {REQUESTS:,} requests",
        *("", "requests/s", "CPU µs: service", "gateway", "postgres", "client", "PSS of the service, MB"),
    )
    port = free_port()
    environment = site.settings("content") | {"API_PORT": str(port), "LOG_LEVEL": "WARNING"}
    with running(["-m", "genonaut.content", "serve"], environment, log=site.folder / "content.log") as service:
        await ready(f"http://127.0.0.1:{port}/health")
        async with gateway(site, port, LOG_LEVEL="WARNING") as (gateway_port, forwarding):
            groups = {"service": service, "gateway": forwarding, "postgres": site.processes()["postgres"]}
            await as_fast_as_possible(port, paths, requests=len(paths))
            for name, asked_port in (("uncached", port), ("uncached, through the gateway", gateway_port)):
                cpu, own = Cpu(groups), time.process_time()
                rate = await as_fast_as_possible(asked_port, paths, requests=REQUESTS)
                spent = [*cpu.spent().values(), time.process_time() - own]
                costs = [f"{each / REQUESTS * 1e6:,.0f}" for each in spent]
                report.add_row(name, f"{rate:,.0f}", *costs, f"{service.memory() / MB:.0f}")
            report.add_row("cached", *(["there is no cache yet"] + [""] * 5))
    return report


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
