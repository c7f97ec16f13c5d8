"""What stands for the services behind a gateway that is measured: a raw ASGI application, and the least forwarding.

Run it with a port: `python services_stand_in.py PORT`, or, to forward to another one, `… PORT URL`.
"""

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp
import uvicorn
from harness import Group, Servers, ready, running

from genonaut.contracts import Envelope
from genonaut.contracts.generation import JobStarted
from genonaut.stack.ports import free_port

JOB = 17
PARAMETERS = "page,page_size,sort_field,user_id"
"""What each route takes, as services tell it with their answers."""
BODY = json.dumps({"items": [{"id": n, "title": f"An item named {n}"} for n in range(20)], "total": 20}).encode()


async def application(scope: dict, receive: Callable, send: Callable) -> None:
    """Stands for every service."""
    if scope["type"] != "http":
        return
    if scope["path"].startswith("/internal/jobs/"):
        body = json.dumps({"job_id": JOB, "status": "running", "events": [json.loads(started().to_json())]}).encode()
    else:
        body = BODY
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-genonaut-route", f"{scope['path']}{{?{PARAMETERS}}}".encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def least(url: str) -> Callable:
    """The least that forwards."""
    sessions: list[aiohttp.ClientSession] = []

    async def forward(scope: dict, _receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            return
        if not sessions:
            sessions.append(aiohttp.ClientSession(auto_decompress=False))
        target = f"{url}{scope['path']}?{scope['query_string'].decode()}"
        async with sessions[0].get(target) as response:
            body = await response.read()
            headers = [(name.lower(), value) for name, value in response.raw_headers if name.lower() != b"date"]
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return forward


def started() -> Envelope:
    event = JobStarted(
        job_id=JOB, user_id=uuid4(), attempt=1, worker="gpu-1", comfyui_prompt_id=uuid4(), queue_wait_ms=12
    )
    return Envelope.of(
        event, id=uuid4(), source="bench", subject=str(JOB), time=datetime.now(UTC), sequence=1, correlationid="bench"
    )


@contextlib.asynccontextmanager
async def standing_in(*forward_to: str) -> AsyncIterator[tuple[int, Group]]:
    """The application, or the least forwarding to a URL, as a process: its port and what is measured of it."""
    port = free_port()
    with running([__file__, str(port), *forward_to], {}) as process:
        await ready(f"http://127.0.0.1:{port}/")
        yield port, process


@contextlib.asynccontextmanager
async def gateway(site: Servers, services: int, **settings: str) -> AsyncIterator[tuple[int, Group]]:
    """A gateway in front of what listens on the port `services`."""
    port, url = free_port(), f"http://127.0.0.1:{services}"
    environment = site.settings("gateway") | settings | {"API_PORT": str(port)}
    environment |= {f"{service}_URL": url for service in ("CONTENT", "GENERATION", "ANALYTICS", "NOTIFICATIONS")}
    with running(["-m", "genonaut.gateway", "serve"], environment) as process:
        await ready(f"http://127.0.0.1:{port}/ready")
        yield port, process


if __name__ == "__main__":
    port, *forward_to = sys.argv[1:]
    app = least(*forward_to) if forward_to else application
    uvicorn.run(app, port=int(port), log_level="warning", access_log=False, loop="uvloop")
