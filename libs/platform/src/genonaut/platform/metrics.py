"""Every metric of the platform, declared once.

Labels are event types, route templates and durable names, never ids.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

REGISTRY = CollectorRegistry()
"""What `/metrics` shows. A service declares metrics of its own with `registry=REGISTRY`."""

ProcessCollector(registry=REGISTRY)

HTTP_DURATION = Histogram(
    "http_server_request_duration_seconds",
    "Time from the first byte read to the last byte sent.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
HTTP_ACTIVE = Gauge("http_server_active_requests", "Requests and sockets that are being answered.", registry=REGISTRY)

EVENTS_APPENDED = Counter(
    "events_appended_total", "Events appended to the log, and committed.", ["type"], registry=REGISTRY
)
OUTBOX_PENDING = Gauge(
    "outbox_pending_events",
    "Committed events the bus has yet to acknowledge, up to one batch.",
    registry=REGISTRY,
)
OUTBOX_AGE = Gauge(
    "outbox_oldest_seconds", "Age of the oldest event that the bus has not acknowledged.", registry=REGISTRY
)
EVENTS_RELAYED = Counter(
    "events_relayed_total", "Events of the log that the bus acknowledged.", ["type"], registry=REGISTRY
)
EVENTS_PUBLISHED = Counter(
    "events_published_total",
    "Messages sent without a log behind them (measurements, live).",
    ["type"],
    registry=REGISTRY,
)

EVENTS_CONSUMED = Counter(
    "events_consumed_total",
    "Messages by what became of them: ack, retry and postponed (both delivered again later) or dead (parked).",
    ["consumer", "type", "outcome"],
    registry=REGISTRY,
)
CONSUMER_PENDING = Gauge(
    "consumer_pending_messages",
    "Messages that this consumer has yet to handle, those in hand included.",
    ["consumer"],
    registry=REGISTRY,
)
CONSUMER_LAG = Gauge(
    "consumer_lag_seconds",
    "For how long the oldest message that is not handled has waited; 0 when none is.",
    ["consumer"],
    registry=REGISTRY,
)

CACHE_DROPS = Counter(
    "cache_dropped_guards_total", "Names under which cached answers were made old.", registry=REGISTRY
)
CACHE_FAILURES = Counter(
    "cache_failures_total",
    "Times that Redis or Valkey did not answer, and was left alone for a second.",
    registry=REGISTRY,
)
