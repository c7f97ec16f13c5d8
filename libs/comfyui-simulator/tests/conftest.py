"""A simulator per test, a client that drives it, and the recordings of a real server to compare with."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from genonaut.comfyui_simulator import Simulator

JSON = dict[str, Any]
DEADLINE = 8.0
RECORDINGS = Path(__file__).parent / "recordings"


class Listener:
    """One WebSocket and everything that came through it: JSON objects, and bytes for previews."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.received: list[Any] = []
        self._changed = asyncio.Condition()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.socket:
            self.received.append(json.loads(message.data) if isinstance(message.data, str) else message.data)
            async with self._changed:
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(lambda: condition() or self.task.done())
        assert condition(), f"the socket closed ({self.socket.close_code}) after {self.received[-3:]}"

    def events(self, kind: str) -> list[JSON]:
        return [m["data"] for m in self.received if isinstance(m, dict) and m["type"] == kind]

    async def event(self, kind: str, count: int = 1) -> JSON:
        """Return the data of the `count`-th event of a kind, waiting for it."""
        await self.until(lambda: len(self.events(kind)) >= count)
        return self.events(kind)[count - 1]

    async def end_of(self, prompt_id: str) -> None:
        """Wait for `executing {node: null}`."""
        await self.until(lambda: {"node": None, "prompt_id": prompt_id} in self.events("executing"))

    async def closed(self) -> int | None:
        async with asyncio.timeout(DEADLINE):
            await self.task
        return self.socket.close_code


class Client:
    """Drives one simulator as a driver would."""

    def __init__(self, simulator: Simulator, http: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.http = http
        self._listeners: list[Listener] = []

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Return status and body: JSON as objects, the rest as text."""
        async with self.http.request(method, self.simulator.url + path, **options) as response:
            is_json = response.content_type == "application/json"
            return response.status, await (response.json() if is_json else response.text(errors="replace"))

    async def get(self, path: str) -> Any:
        status, body = await self.ask("GET", path)
        assert status == 200
        return body

    async def submit(self, prompt: JSON, **body: Any) -> str:
        status, answer = await self.ask("POST", "/prompt", json={"prompt": prompt, **body})
        assert status == 200, answer
        return answer["prompt_id"]

    async def ended(self, prompt_id: str) -> JSON:
        """Return the history entry of a prompt, waiting for it."""
        async with asyncio.timeout(DEADLINE):
            while not (entry := await self.get(f"/history/{prompt_id}")):  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(0.005)
        return entry[prompt_id]

    async def until(self, condition: Callable[[Any], bool], path: str) -> Any:
        """Return the body of `path` once it meets the condition."""
        async with asyncio.timeout(DEADLINE):
            while not condition(body := await self.get(path)):  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(0.005)
        return body

    async def run(self, prompt: JSON, **body: Any) -> JSON:
        return await self.ended(await self.submit(prompt, **body))

    async def listen(self, client_id: str | None = None, *, features: JSON | None = None) -> Listener:
        """Open a socket and wait for its greeting."""
        query = f"?clientId={client_id}" if client_id else ""
        listener = Listener(await self.http.ws_connect(f"{self.simulator.url}/ws{query}"))
        self._listeners.append(listener)
        await listener.event("status")
        if features is not None:
            await listener.socket.send_json({"type": "feature_flags", "data": features})
            await listener.event("feature_flags")
        return listener

    async def close(self) -> None:
        for listener in self._listeners:
            await listener.socket.close()
            await listener.task


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def client(tmp_path: Path, http: aiohttp.ClientSession) -> AsyncIterator[Client]:
    """A client of a simulator whose steps take a hundredth of a second."""
    async with Simulator(tmp_path / "output", step_seconds=0.01) as simulator:
        client = Client(simulator, http)
        yield client
        await client.close()


@pytest.fixture(scope="session")
def txt2img() -> Callable[..., JSON]:
    """Make the recorded text-to-image prompt with other values."""

    def make(*, text: str = "a cat", seed: int = 1, steps: int = 2, prefix: str | None = None, **latent: int) -> JSON:
        prompt = json.loads((RECORDINGS / "prompt_ok_txt2img_client_prompt_id.json").read_text())["request"]["json"]
        nodes = prompt["prompt"]
        nodes["3"]["inputs"].update(seed=seed, steps=steps)
        nodes["6"]["inputs"]["text"] = text
        nodes["5"]["inputs"].update(latent)
        nodes["9"]["inputs"]["filename_prefix"] = prefix or f"t/{uuid.uuid4()}"
        return nodes

    return make


@pytest.fixture(scope="session")
def plain() -> Callable[..., JSON]:
    """Make the recorded EmptyImage → SaveImage prompt with other values."""

    def make(*, prefix: str = "plain", color: int = 0, batch_size: int = 1) -> JSON:
        inputs = {"width": 64, "height": 64, "batch_size": batch_size, "color": color}
        return {
            "1": {"class_type": "EmptyImage", "inputs": inputs},
            "2": {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix, "images": ["1", 0]}},
        }

    return make


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], Any]:
    def load(name: str) -> Any:
        return json.loads((RECORDINGS / f"{name}.json").read_text())

    return load


def skeleton(value: Any) -> Any:
    """Return the shape of a JSON value: keys and types; a list of scalars is one type, whatever its length."""
    if isinstance(value, dict):
        return {key: skeleton(item) for key, item in value.items()}
    if isinstance(value, list):
        if all(not isinstance(item, dict | list) for item in value):
            return sorted({type(item).__name__ for item in value})
        return [skeleton(item) for item in value]
    return type(value).__name__


@pytest.fixture(scope="session")
def shape() -> Callable[[Any], Any]:
    return skeleton
