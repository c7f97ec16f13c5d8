"""The HTTP surface; every path also exists under `/api`.

Where ComfyUI trips over its input it answers 500 in plain text: these handlers let the same exceptions escape.
"""

import asyncio
import io
import json
import os
import platform
import uuid
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from PIL import Image

from genonaut.comfyui_simulator.files import SOFTWARE
from genonaut.comfyui_simulator.models import FOLDERS
from genonaut.comfyui_simulator.prompt_queue import Item
from genonaut.comfyui_simulator.server import Server
from genonaut.comfyui_simulator.sockets import FEATURES
from genonaut.comfyui_simulator.validation import validate

JSON = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_SERVER = f"{SOFTWARE}/{version(SOFTWARE)}"
_PREVIEWS = {"webp", "jpeg"}
_NO_PROMPT = {
    "error": {
        "type": "no_prompt", "message": "No prompt provided", "details": "No prompt provided", "extra_info": {},
    },
    "node_errors": {},
}  # fmt: skip


class Routes:
    """The handlers of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(
            client_max_size=FEATURES["max_upload_size"], middlewares=[_same_origin, self._with_latency]
        )
        routes = [
            web.get("/ws", self.websocket),
            web.get("/prompt", self.prompt_status),
            web.post("/prompt", self.submit),
            web.get("/queue", self.queue),
            web.post("/queue", self.change_queue),
            web.post("/interrupt", self.interrupt),
            web.post("/free", self.free),
            web.get("/history", self.history),
            web.post("/history", self.change_history),
            web.get("/history/{prompt_id}", self.history_of),
            web.get("/view", self.view),
            web.get("/models", self.model_folders),
            web.get("/models/{folder}", self.models),
            web.get("/embeddings", self.embeddings),
            web.get("/object_info", self.all_object_info),
            web.get("/object_info/{node}", self.object_info),
            web.get("/features", self.features),
            web.get("/system_stats", self.system_stats),
            web.get("/simulator/faults", self.faults),
            web.post("/simulator/faults", self.switch_faults),
            web.delete("/simulator/faults", self.clear_faults),
        ]
        app.add_routes(routes)
        app.add_routes(web.RouteDef(route.method, f"/api{route.path}", route.handler, route.kwargs) for route in routes)
        app.add_routes([web.get("/", self.welcome), web.get("/{path:.*}", _nowhere)])
        app.on_response_prepare.append(_say_who_answers)
        return app

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        return await self._server.sockets.listen(request, self._server.status())

    async def prompt_status(self, _: web.Request) -> web.Response:
        return web.json_response(self._server.status())

    async def submit(self, request: web.Request) -> web.Response:
        """Validate a prompt and put it into the queue."""
        body = await request.json()
        if "number" in body:
            number = float(body["number"])
        else:
            number = self._server.queue.next_number()
            if "front" in body and body["front"]:  # noqa: RUF019 - a body may be a list, which is no 500 here
                number = -number
        if "prompt" not in body:
            return web.json_response(_NO_PROMPT, status=400)
        prompt_id = str(body.get("prompt_id", uuid.uuid4()))
        verdict = validate(body["prompt"], self._server.node_types, body.get("partial_execution_targets"))
        extra_data = body.get("extra_data", {})
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        if verdict.error:
            return web.json_response({"error": verdict.error, "node_errors": verdict.node_errors}, status=400)
        self._accept((number, prompt_id, body["prompt"], extra_data, verdict.outputs))
        if self._server.faults.fire("drop_replies") and request.transport:
            request.transport.abort()
        return web.json_response({"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors})

    def _accept(self, item: Item) -> None:
        if not self._server.faults.fire("lose_prompts"):
            self._server.queue.put(item)

    async def queue(self, _: web.Request) -> web.Response:
        return web.json_response(self._server.queue.as_json())

    async def change_queue(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("clear"):
            self._server.queue.clear()
        for prompt_id in body.get("delete", []):
            self._server.queue.delete(prompt_id)
        return web.Response()

    async def interrupt(self, request: web.Request) -> web.Response:
        """Interrupt the prompt that is named if it runs; whatever runs, if none is named or the body is no JSON."""
        try:
            body = await request.json()
        except ValueError:
            body = {}
        prompt_id = body.get("prompt_id")
        if not prompt_id or self._server.queue.is_running(prompt_id):
            self._server.interrupt()
        return web.Response()

    async def free(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("free_memory"):
            self._server.executor.forget()
        return web.Response()

    async def history(self, request: web.Request) -> web.Response:
        limit = request.query.get("max_items")
        offset = int(request.query.get("offset", -1))
        text = self._server.queue.history(None if limit is None else int(limit), offset)
        return web.Response(text=text, content_type="application/json")

    async def history_of(self, request: web.Request) -> web.Response:
        text = self._server.queue.history_of(request.match_info["prompt_id"])
        return web.Response(text=text, content_type="application/json")

    async def change_history(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("clear"):
            self._server.queue.clear_history()
        for prompt_id in body.get("delete", []):
            self._server.queue.delete_history(prompt_id)
        return web.Response()

    async def view(self, request: web.Request) -> web.StreamResponse:
        """Send a file; `preview=webp;80` or `channel=rgb` send it encoded anew, without what is embedded in it."""
        query = request.query
        if "filename" not in query:
            return web.Response(status=404)
        found = self._server.files.find(query["filename"], query.get("subfolder"), query.get("type", "output"))
        if isinstance(found, int):
            return web.Response(status=found)
        headers = {"Content-Disposition": f'filename="{found.name}"'}
        format_, _, quality = query.get("preview", "").partition(";")
        if format_ in _PREVIEWS:
            body = _encoded(found, format_, int(quality) if quality.isdigit() else 90)
            return web.Response(body=body, headers=headers, content_type=f"image/{format_}")
        if query.get("channel") == "rgb":
            return web.Response(body=_encoded(found, "png", 0), headers=headers, content_type="image/png")
        return web.FileResponse(found, headers=headers)

    async def model_folders(self, _: web.Request) -> web.Response:
        return web.json_response(list(FOLDERS))

    async def models(self, request: web.Request) -> web.Response:
        folder = request.match_info["folder"]
        return web.json_response(self._server.models.names(folder)) if folder in FOLDERS else web.Response(status=404)

    async def embeddings(self, _: web.Request) -> web.Response:
        return web.json_response(self._server.models.names("embeddings"))

    async def all_object_info(self, _: web.Request) -> web.Response:
        return web.json_response({name: node.definition() for name, node in self._server.node_types.items()})

    async def object_info(self, request: web.Request) -> web.Response:
        name = request.match_info["node"]
        node_type = self._server.node_types.get(name)
        return web.json_response({name: node_type.definition()} if node_type else {})

    async def features(self, _: web.Request) -> web.Response:
        return web.json_response(FEATURES)

    async def system_stats(self, _: web.Request) -> web.Response:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
        system = {
            "os": os.name,
            "ram_total": total,
            "ram_free": free,
            "comfyui_version": "0.3.64+simulator",
            "python_version": platform.python_version(),
            "pytorch_version": "none (simulator)",
            "embedded_python": False,
            "argv": [SOFTWARE],
        }
        device = {
            "name": f"{SOFTWARE} (draws with Pillow)",
            "type": "cpu",
            "index": None,
            "vram_total": total,
            "vram_free": free,
            "torch_vram_total": total,
            "torch_vram_free": free,
        }
        return web.json_response({"system": system, "devices": [device]})

    async def faults(self, _: web.Request) -> web.Response:
        return web.json_response(self._server.faults.as_json())

    async def switch_faults(self, request: web.Request) -> web.Response:
        """Switch faults: `{"error_at_node": "KSampler", "times": 1}`; null or false switch one off."""
        try:
            self._server.faults.switch(**json.loads(await request.text()))
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return await self.faults(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._server.faults.clear()
        return await self.faults(request)

    async def welcome(self, _: web.Request) -> web.Response:
        text = (
            "<!doctype html><meta charset=utf-8><title>ComfyUI simulator</title>"
            "<h1>ComfyUI simulator</h1><p>This is not ComfyUI. It speaks its protocol and draws pictures from "
            "prompt and seed, without any model.</p>"
            '<p><a href="/queue">queue</a> · <a href="/history?max_items=5">history</a> · '
            '<a href="/object_info">nodes</a> · <a href="/simulator/faults">faults</a></p>'
        )
        return web.Response(text=text, content_type="text/html")

    @web.middleware
    async def _with_latency(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._server.settings.latency:
            await asyncio.sleep(self._server.settings.latency)
        return await handler(request)


@web.middleware
async def _same_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse (403) a page of another origin that talks to a server on this machine."""
    host, origin = urlsplit(f"//{request.headers.get('Host', '')}"), urlsplit(request.headers.get("Origin", ""))
    if origin.netloc and host.hostname in _LOOPBACK:
        is_same = origin.netloc == host.netloc if origin.port else origin.hostname == host.hostname
        if not is_same:
            return web.Response(status=403)
    return await handler(request)


async def _nowhere(_: web.Request) -> web.Response:
    return web.Response(status=404)


async def _say_who_answers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = _SERVER


def _encoded(path: os.PathLike[str], format_: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").save(buffer, format_, quality=quality)
    return buffer.getvalue()
