"""The rollups of analytics, counted again from what they sum up."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime

from chaos.facts import Facts
from genonaut.contracts.streams import REQUESTS

MEASURED = {f"generation.job.{kind}" for kind in ("requested", "started", "completed", "failed", "cancelled")}


def generation_rollups_are_a_recount(facts: Facts) -> Iterator[str]:
    events = [event for event in facts.logs["generation"] if event.type in MEASURED]
    raw = {row[0] for row in facts.stack.sql("analytics", "SELECT event_id::text FROM generation_events")}
    if difference := raw ^ {event.id for event in events}:
        yield f"{len(difference)} events are either in the log or counted, not both"
    wanted: dict[datetime, Counter[str]] = defaultdict(Counter)
    for event in events:
        tally = wanted[event.time.replace(minute=0, second=0, microsecond=0)]
        tally[event.type.rpartition(".")[2]] += 1
        tally["waited"] += event.data.get("queue_wait_ms", 0)
        if event.type == "generation.job.completed":
            tally["images"] += len(event.data["images"])
            tally["took"] += event.data["generation_ms"]
    columns = {
        "total_requests": "requested",
        "started_attempts": "started",
        "successful_generations": "completed",
        "failed_generations": "failed",
        "cancelled_generations": "cancelled",
        "total_images_generated": "images",
        "duration_ms_sum": "took",
        "queue_wait_ms_sum": "waited",
    }
    rows = facts.stack.sql("analytics", f"SELECT hour, {', '.join(columns)} FROM generation_metrics_hourly")
    live = {hour: values for hour, *values in rows}
    recounted = {hour: [tally[name] for name in columns.values()] for hour, tally in wanted.items()}
    if live != recounted:
        yield f"{list(columns)} are {live}, a recount gives {recounted}"


def requests_are_counted(facts: Facts) -> Iterator[str]:
    """Those that were surely made are there once. A count of what the bus has says nothing when it has nothing."""
    rows = Counter(
        row[0]
        for row in facts.stack.sql("analytics", "SELECT user_id::text FROM route_analytics WHERE user_id IS NOT NULL")
    )
    if not facts.promises.marks:
        yield "none was made when all was well"
    for mark in facts.promises.marks:
        if rows[mark] != 1:
            yield f"the request of {mark} was counted {rows[mark]} times"


def route_rollups_are_a_recount(facts: Facts) -> Iterator[str]:
    counted = {row[0] for row in facts.stack.sql("analytics", "SELECT event_id::text FROM route_analytics")}
    told = {each["id"] for each in facts.streams[REQUESTS.name] if each["data"]["route"].startswith("/api/")}
    for request in told ^ counted:
        yield f"the request {request} is {'on the bus and not counted' if request in told else 'only counted'}"
    statement = """
        SELECT hour, route, method, query_params_normalized::text, {0} FROM {1} GROUP BY 1, 2, 3, 4
    """
    recount = statement.format(
        "count(*), count(*) FILTER (WHERE status_code BETWEEN 1 AND 399), "
        "count(*) FILTER (WHERE status_code BETWEEN 400 AND 499), "
        "count(*) FILTER (WHERE status_code NOT BETWEEN 1 AND 499), "
        "sum(duration_us)::bigint, sum(request_size_bytes)::bigint, sum(response_size_bytes)::bigint",
        "route_analytics",
    )
    sums = (
        *("total_requests", "successful_requests", "client_errors", "server_errors"),
        *("duration_us_sum", "request_bytes_sum", "response_bytes_sum"),
    )
    rollup = statement.format(", ".join(f"sum({name})::bigint" for name in sums), "route_analytics_hourly")
    wanted, live = ({row[:4]: row[4:] for row in facts.stack.sql("analytics", query)} for query in (recount, rollup))
    for cell in wanted.keys() | live.keys():
        if wanted.get(cell) != live.get(cell):
            yield f"a recount of {cell} gives {wanted.get(cell)}, the rollup {live.get(cell)}"
    ((bucketed,),) = facts.stack.sql(
        "analytics", "SELECT coalesce(sum(requests), 0)::bigint FROM route_durations_hourly"
    )
    if bucketed != len(counted):
        yield f"the histograms hold {bucketed} of {len(counted)} requests"
