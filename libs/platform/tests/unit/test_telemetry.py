"""Traces from HTTP through an event to its consumer; and nothing at all when they are off."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from genonaut.platform import telemetry
from genonaut.platform.context import Cause, caused_by, current_cause
from genonaut.platform.http.errors import install_errors
from genonaut.platform.http.middleware import install_middleware

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with telemetry.recording() as exporter:
        yield exporter


def http() -> httpx.AsyncClient:
    app = FastAPI(redirect_slashes=False)

    @app.get("/jobs/{job_id}")
    async def job(job_id: int) -> dict[str, Any]:
        cause = current_cause()
        if job_id == 0:
            raise RuntimeError("broken")
        return {"cause": cause.traceparent if cause else None, "outgoing": telemetry.outgoing_headers()}

    install_errors(app, clock=lambda: datetime(2024, 12, 1, tzinfo=UTC), statement_timeout_ms=15_000)
    install_middleware(app)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://jobs")


async def test_a_request_is_a_span_named_by_its_route_in_the_callers_trace(spans: InMemorySpanExporter) -> None:
    async with http() as client:
        response = await client.get("/jobs/17", headers={"traceparent": TRACEPARENT, "X-Request-ID": "r-1"})

    [span] = spans.get_finished_spans()
    assert span.name == "GET /jobs/{job_id}"
    assert span.kind is SpanKind.SERVER
    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/jobs/{job_id}",
        "http.response.status_code": 200,
    }
    inside = f"00-{TRACE_ID}-{span.context.span_id:016x}-01"
    assert response.json() == {"cause": inside, "outgoing": {"X-Request-ID": "r-1", "traceparent": inside}}


async def test_a_request_from_nowhere_begins_a_trace(spans: InMemorySpanExporter) -> None:
    async with http() as client:
        await client.get("/jobs/17", headers={"traceparent": "garbage"})
        await client.get("/jobs/17")

    first, second = spans.get_finished_spans()
    assert first.parent is second.parent is None
    assert first.context.trace_id != second.context.trace_id


async def test_only_a_server_error_marks_the_span(spans: InMemorySpanExporter) -> None:
    async with http() as client:
        await client.get("/jobs/0")
        await client.get("/jobs/x")
        await client.get("/nowhere/17")

    broken, invalid, nowhere = spans.get_finished_spans()
    assert (broken.status.status_code, invalid.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert nowhere.name == "GET"
    assert not [span for span in (broken, invalid, nowhere) if "17" in str(span.attributes)]


async def test_what_a_consumer_states_belongs_to_the_trace_of_the_request(spans: InMemorySpanExporter) -> None:
    with telemetry.consumer_span("content-generation", "generation.job.completed", TRACEPARENT):
        with telemetry.span("thumbnails", sizes=3):
            inner = telemetry.current_traceparent()
        traceparent = telemetry.current_traceparent()

    step, handling = spans.get_finished_spans()
    assert handling.name == "process generation.job.completed"
    assert handling.kind is SpanKind.CONSUMER
    assert handling.attributes is not None
    assert handling.attributes["messaging.consumer.group.name"] == "content-generation"
    assert traceparent == f"00-{TRACE_ID}-{handling.context.span_id:016x}-01"
    assert step.parent is not None
    assert step.parent.span_id == handling.context.span_id
    assert inner == f"00-{TRACE_ID}-{step.context.span_id:016x}-01"


def test_a_consumer_that_fails_marks_its_span(spans: InMemorySpanExporter) -> None:
    with pytest.raises(LookupError), telemetry.consumer_span("content-generation", "content.item.created", None):
        raise LookupError

    [span] = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.parent is None


def test_an_unsampled_trace_stays_unsampled(spans: InMemorySpanExporter) -> None:
    unsampled = TRACEPARENT[:-2] + "00"
    with telemetry.consumer_span("content-generation", "content.item.created", unsampled):
        current = telemetry.current_traceparent()

    assert spans.get_finished_spans() == ()
    assert current is not None
    assert current.startswith(f"00-{TRACE_ID}-")
    assert current.endswith("-00")


def test_off_the_trace_that_came_in_is_carried_on() -> None:
    assert not telemetry.enabled()
    with (
        telemetry.consumer_span("content-generation", "content.item.created", TRACEPARENT),
        caused_by(Cause("r-1", traceparent=TRACEPARENT)),
        telemetry.span("step"),
    ):
        assert telemetry.current_traceparent() == TRACEPARENT
        assert telemetry.outgoing_headers() == {"X-Request-ID": "r-1", "traceparent": TRACEPARENT}
    assert telemetry.current_traceparent() is None
    assert telemetry.outgoing_headers() == {}


def test_off_imports_nothing_of_the_sdk() -> None:
    program = (
        "import sys; from genonaut.platform import telemetry; telemetry.configure('x')\n"
        "with telemetry.consumer_span('c', 't', None): pass\n"
        "telemetry.shutdown()\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    ran = subprocess.run([sys.executable, "-c", program], env={}, capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


def test_an_endpoint_without_the_exporter_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(telemetry.ENDPOINT, "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(telemetry.TelemetryError, match=r"pip install 'genonaut-platform\[otlp\]'"):
        telemetry.configure("content")
    assert not telemetry.enabled()


def test_with_an_endpoint_spans_are_sent_there(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[tuple[str, bytes]] = []
    arrived = Event()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            arrived.set()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(telemetry.ENDPOINT, f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    telemetry.configure("content")
    try:
        with telemetry.consumer_span("content-generation", "content.item.created", None):
            pass
    finally:
        telemetry.shutdown()
        server.shutdown()
        server.server_close()

    assert arrived.wait(5)
    path, body = received[0]
    assert path == "/v1/traces"
    assert b"process content.item.created" in body
    assert b"genonaut" in body
