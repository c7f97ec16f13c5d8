"""The client against servers that misbehave: what no ComfyUI says, but a proxy, a crash or an attacker does."""

import asyncio
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from aiohttp import web

from genonaut.generation.comfyui import client
from genonaut.generation.comfyui.client import ComfyUI
from genonaut.generation.comfyui.failures import (
    AmbiguousSubmitError,
    LostError,
    NodeError,
    RejectedError,
    UnreachableError,
)
from genonaut.generation.comfyui.verdict import Output, Queue

ID = UUID("11111111-2222-3333-4444-555555555555")
FILE = Output(filename="a.png", subfolder="genonaut/20260101")


@asynccontextmanager
async def answering(respond):
    """A client of a server that answers everything with `respond(request)`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = respond(request)
        return await answer if asyncio.iscoroutine(answer) else answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with ComfyUI(f"http://127.0.0.1:{runner.addresses[0][1]}/comfy", name="gpu") as server:
            yield server
    finally:
        await runner.cleanup()


def submit(server: ComfyUI):
    return server.submit({}, prompt_id=ID, client_id="c")


async def test_a_submission_says_who_and_what_and_nothing_else():
    seen = {}

    async def respond(request: web.Request):
        seen.update(path=request.path, body=await request.json())
        return web.json_response({"prompt_id": str(ID), "number": 1, "node_errors": {}})

    async with answering(respond) as server:
        await submit(server)
    assert seen == {
        "path": "/comfy/prompt",
        "body": {"prompt": {}, "prompt_id": str(ID), "client_id": "c"},
    }


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (500, "500 Internal Server Error\n\nServer got itself in trouble", AmbiguousSubmitError),
        (502, "<html>", AmbiguousSubmitError),
        (200, "<html>", AmbiguousSubmitError),
        (200, "[]", AmbiguousSubmitError),
        (400, '{"error": {"type": "prompt_no_outputs"}, "node_errors": {}}', RejectedError),
        (200, '{"prompt_id": "x", "node_errors": {"9": {"errors": []}}}', RejectedError),
        (413, "", RejectedError),
        (403, "", UnreachableError),
        (404, "", UnreachableError),
        (302, "", UnreachableError),
        (200, '{"prompt_id": "somebody-elses", "node_errors": {}}', UnreachableError),
    ],
)
async def test_what_an_answer_to_a_submission_means(status, body, error):
    headers = {"Location": "http://127.0.0.1:1/"} if status == 302 else {}
    async with answering(lambda _: web.Response(status=status, text=body, headers=headers)) as server:
        with pytest.raises(error) as caught:
            await submit(server)
    assert type(caught.value) is error


async def test_nobody_there():
    async with ComfyUI("http://127.0.0.1:1", name="gpu") as server:
        for question in (server.queue(), server.history(ID), server.interrupt(ID), server.delete(ID)):
            with pytest.raises(UnreachableError, match="does not answer"):
                await question
        with pytest.raises(AmbiguousSubmitError):
            await submit(server)


@pytest.mark.parametrize("body", ["", "<html>", "[]", "{}", '{"queue_running": [[1]], "queue_pending": []}'])
async def test_what_is_no_queue_is_not_believed(body):
    async with answering(lambda _: web.Response(text=body)) as server:
        with pytest.raises(UnreachableError, match="as ComfyUI does"):
            await server.queue()


async def test_the_queue_is_read_by_its_ids():
    queue = {"queue_running": [[3, "a", {}, {}, []]], "queue_pending": [[5, "c", {}, {}, []], [4, "b", {}, {}, []]]}
    async with answering(lambda _: web.json_response(queue)) as server:
        assert await server.queue() == Queue(running=("a",), pending=("c", "b"))


@pytest.mark.parametrize("body", [{}, [], {"other": {}}, {str(ID): None}])
async def test_no_history_is_none(body):
    async with answering(lambda _: web.json_response(body)) as server:
        assert await server.history(ID) is None


async def test_an_interrupt_always_names_its_prompt():
    seen = []

    async def respond(request: web.Request):
        seen.append((request.method, request.path, await request.json()))
        return web.Response()

    async with answering(respond) as server:
        await server.interrupt(ID)
        await server.delete(ID)
    assert seen == [
        ("POST", "/comfy/interrupt", {"prompt_id": str(ID)}),
        ("POST", "/comfy/queue", {"delete": [str(ID)]}),
    ]


async def test_a_file_is_fetched_from_its_folder():
    seen = {}

    def respond(request: web.Request):
        seen.update(request.query)
        return web.Response(body=b"picture")

    async with answering(respond) as server:
        assert await server.download(FILE) == b"picture"
    assert seen == {"filename": "a.png", "subfolder": "genonaut/20260101", "type": "output"}


@pytest.mark.parametrize("status", [400, 403, 404, 302])
async def test_a_missing_file_is_lost(status):
    async with answering(lambda _: web.Response(status=status)) as server:
        with pytest.raises(LostError) as caught:
            await server.download(FILE)
    assert caught.value.retryable


async def test_a_file_has_a_largest_size():
    async def respond(request: web.Request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(64):
            await response.write(b"x" * 65536)
        return response

    async with answering(respond) as server:
        with pytest.raises(NodeError, match="larger than 1 MiB"):
            await server.download(FILE, max_bytes=1024 * 1024)


async def test_a_broken_download_is_tried_again():
    tries = []

    async def respond(request: web.Request):
        tries.append(request.path)
        if len(tries) > 1:
            return web.Response(body=b"picture")
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"pic")
        request.transport.close()
        return response

    async with answering(respond) as server:
        assert await server.download(FILE) == b"picture"
    assert len(tries) == 2


async def test_a_download_that_always_breaks_ends(monkeypatch):
    monkeypatch.setattr(client, "DOWNLOAD_WAITS", (0, 0))
    async with answering(lambda _: web.Response(status=500)) as server:
        with pytest.raises(UnreachableError, match="could not be fetched"):
            await server.download(FILE)
