"""Traces from HTTP through events to workers, in W3C trace context.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT is set, and then nothing of the SDK is even imported; an incoming traceparent
is still carried on, so that a service without tracing does not cut the trace of its neighbours. Span names are
route templates and event types, never ids.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags

from genonaut.platform.context import current_cause
from genonaut.platform.trouble import ExpectedError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class TelemetryError(ExpectedError):
    """Tracing is asked for and cannot start; the message says what to install."""


class _Tracing:
    # Our own provider, not OpenTelemetry's global one: FastAPI adds its own server spans, with ids and queries in
    # their attributes, as soon as there is a global provider.
    provider: "TracerProvider | None" = None
    tracer: trace.Tracer | None = None


def configure(service: str) -> None:
    """Starts exporting when OTEL_EXPORTER_OTLP_ENDPOINT is set. Raises TelemetryError when it cannot."""
    if not os.environ.get(ENDPOINT):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - optional
    except ImportError as error:
        raise TelemetryError(
            f"{ENDPOINT} is set, but the exporter is not installed: pip install 'genonaut-platform[otlp]'"
        ) from error
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - off must cost nothing

    _start(service, BatchSpanProcessor(OTLPSpanExporter()))


def shutdown() -> None:
    """Sends what is left and stops. Harmless when tracing is off."""
    if _Tracing.provider is not None:
        _Tracing.provider.shutdown()
    _Tracing.provider = _Tracing.tracer = None


@contextmanager
def recording(service: str = "test") -> Iterator["InMemorySpanExporter"]:
    """Tracing into memory, for tests: `.get_finished_spans()` of what is yielded."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415 - off must cost nothing
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415 - as above

    exporter = InMemorySpanExporter()
    _start(service, SimpleSpanProcessor(exporter))
    try:
        yield exporter
    finally:
        shutdown()


def _start(service: str, processor: "SpanProcessor") -> None:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - off must cost nothing
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above

    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "service.namespace": "genonaut"}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(processor)
    _Tracing.provider, _Tracing.tracer = provider, provider.get_tracer("genonaut.platform")


def enabled() -> bool:
    return _Tracing.tracer is not None


def accepted(traceparent: str | None) -> str | None:
    """The value when it is a W3C traceparent, else None: what strangers send is not passed on unseen."""
    return traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None


def current_traceparent() -> str | None:
    """The trace context to hand on: of the current span, or, with tracing off, the one that came in."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    cause = current_cause()
    return cause.traceparent if cause else None


def outgoing_headers() -> dict[str, str]:
    """What a call to another service carries: X-Request-ID and traceparent, as far as they are known."""
    headers = {}
    if cause := current_cause():
        headers["X-Request-ID"] = cause.correlation_id
    if traceparent := current_traceparent():
        headers["traceparent"] = traceparent
    return headers


@contextmanager
def server_span(method: str, traceparent: str | None) -> Iterator[Span]:
    """The span of one HTTP request, to be named by `describe_request`. A span that records nothing when off."""
    with _span(method, SpanKind.SERVER, traceparent, {"http.request.method": method}) as span:
        yield span


def describe_request(span: Span, *, method: str, route: str | None, status: int) -> None:
    """Names the span after the route template and states how the request ended."""
    if not span.is_recording():
        return
    if route:
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:  # noqa: PLR2004 - the definition of a server error
        span.set_status(StatusCode.ERROR)


@contextmanager
def consumer_span(consumer: str, event_type: str, traceparent: str | None) -> Iterator[None]:
    """The span of handling one message: inside, `current_traceparent` is what the handler's events carry."""
    attributes = {
        "messaging.system": "nats",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": consumer,
        "genonaut.event.type": event_type,
    }
    with _span(f"process {event_type}", SpanKind.CONSUMER, traceparent, attributes):
        yield


@contextmanager
def span(name: str, **attributes: str | float | bool) -> Iterator[Span]:
    """A step inside the current span. The name has no ids."""
    if _Tracing.tracer is None:
        yield trace.INVALID_SPAN
        return
    with _Tracing.tracer.start_as_current_span(name, attributes=attributes) as child:
        yield child


@contextmanager
def _span(name: str, kind: SpanKind, traceparent: str | None, attributes: dict[str, Any]) -> Iterator[Span]:
    if _Tracing.tracer is None:
        yield trace.INVALID_SPAN
        return
    parent = _remote(traceparent)
    with _Tracing.tracer.start_as_current_span(name, context=parent, kind=kind, attributes=attributes) as child:
        yield child


def _remote(traceparent: str | None) -> Any:
    """The OpenTelemetry context whose current span is the remote one."""
    from opentelemetry.context import Context  # noqa: PLC0415 - off must cost nothing

    if (known := accepted(traceparent)) is None:
        return Context()
    _, trace_id, span_id, flags = known.split("-")
    remote = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return trace.set_span_in_context(NonRecordingSpan(remote), Context())
