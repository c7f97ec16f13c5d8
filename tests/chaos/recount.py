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


def route_rollups_are_a_recount(facts: Facts) -> Iterator[str]:
    counted = {row[0] for row in facts.stack.sql("analytics", "SELECT event_id::text FROM route_analytics")}
    for envelope in facts.streams[REQUESTS.name]:
        if envelope["data"]["route"].startswith("/api/") and envelope["id"] not in counted:
            yield f"the request {envelope['id']} is on the bus and not counted"
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
    wanted, live = (set(facts.stack.sql("analytics", query)) for query in (recount, rollup))
    for row in wanted - live:
        yield f"a recount gives {row}, the rollup {[other for other in live if other[:4] == row[:4]]}"
    ((bucketed,),) = facts.stack.sql(
        "analytics", "SELECT coalesce(sum(requests), 0)::bigint FROM route_durations_hourly"
    )
    if bucketed != len(counted):
        yield f"the histograms hold {bucketed} of {len(counted)} requests"
