"""Where a running prompt stands, from what the server's socket says about it. Pure.

The socket is a feed, not the truth: messages may be missing, repeated, foreign or malformed, and none of that is an
error. What is shown never goes back.
"""

import base64
import math
import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from genonaut.contracts.live import JobProgress
from genonaut.generation.comfyui.workflow import SAMPLER, Graph

WEIGHTS = {
    "CheckpointLoaderSimple": 8.0,
    "LoraLoader": 2.0,
    "CLIPTextEncode": 2.0,
    "KSampler": 80.0,
    "VAEDecode": 6.0,
    "SaveImage": 2.0,
}
"""How long nodes take, relative to each other."""
DELIVERY = 2.0
"""What comes after the server is done: the file is fetched and stored."""

MAX_PREVIEW_BYTES = 256 * 1024

_PREVIEW, _PREVIEW_WITH_METADATA = 1, 4
_FORMATS = {1: "image/jpeg", 2: "image/png"}


class Progress:
    """Feed it messages with `hear` and frames with `see`."""

    def __init__(self, prompt_id: UUID, graph: Graph) -> None:
        self.begun = False
        """The server has said something of the prompt, as it does at once when it starts it."""
        self.over = False
        """The server has said that the prompt is done, one way or another: time to read history."""
        self._prompt_id = str(prompt_id)
        self._graph = graph
        self._done: set[str] = set()
        self._current: str | None = None
        self._part = 0.0
        self._step = 0
        self._steps = int(graph[SAMPLER]["inputs"]["steps"])
        self._fraction = 0.0
        self._preview: str | None = None

    def hear(self, message: Any) -> bool:
        """Take a text message in; say whether there is something new to show."""
        data = message.get("data") if isinstance(message, dict) else None
        # After a reconnect the server names the node, but not the prompt: the socket is ours alone, so it is ours.
        if not isinstance(data, dict) or data.get("prompt_id", self._prompt_id) != self._prompt_id:
            return False
        self.begun = self.begun or "prompt_id" in data
        before = (self._current, self._step, self._advanced())
        match message.get("type"):
            case "execution_cached":
                self._finish(*_ids(data.get("nodes")))
            case "executing" if data.get("node") is None:
                self.over = "prompt_id" in data
            case "executing":
                self._enter(str(data["node"]))
            case "executed":
                self._finish(str(data.get("node")))
            case "progress":
                self._advance(str(data.get("node")), data.get("value"), data.get("max"))
            case "progress_state":
                self._take_state(data.get("nodes"))
            case "execution_success" | "execution_error" | "execution_interrupted":
                self.over = True
        return (self._current, self._step, self._advanced()) != before

    def see(self, frame: bytes) -> bool:
        """Take a binary frame in; say whether it is a preview of this prompt."""
        picture = _preview(frame, self._prompt_id)
        if picture is not None:
            self._preview = picture
        return picture is not None

    @property
    def node(self) -> str | None:
        """The class of the node that runs, e.g. `KSampler`."""
        node = self._graph.get(self._current or "")
        return node["class_type"] if node else None

    def snapshot(self, *, job_id: int, attempt: int, timestamp: datetime) -> JobProgress:
        """The state as a live message. A preview is in one message only."""
        preview, self._preview = self._preview, None
        return JobProgress(
            job_id=job_id,
            attempt=attempt,
            timestamp=timestamp,
            node=self.node,
            step=self._step,
            steps=self._steps,
            fraction=self._advanced(),
            preview=preview,
        )

    def _enter(self, node_id: str) -> None:
        if node_id != self._current and node_id in self._graph:
            if self._current is not None:
                self._done.add(self._current)
            self._current, self._part = node_id, 0.0

    def _finish(self, *node_ids: str) -> None:
        self._done.update(node_ids)

    def _advance(self, node_id: str, value: Any, maximum: Any) -> None:
        if not _is_number(value) or not _is_number(maximum) or maximum <= 0:
            return
        self._enter(node_id)
        if node_id != self._current:
            return
        self._part = min(1.0, max(0.0, value / maximum))
        if node_id == SAMPLER and maximum > 1:
            self._steps = int(maximum)
            self._step = max(self._step, min(self._steps, int(value)))

    def _take_state(self, nodes: Any) -> None:
        for node_id, state in nodes.items() if isinstance(nodes, dict) else ():
            match state:
                case {"state": "finished"}:
                    self._finish(node_id)
                case {"state": "running", "value": value, "max": maximum}:
                    self._advance(node_id, value, maximum)

    def _advanced(self) -> float:
        """The part of the whole attempt that is done, the delivery of the files included."""
        weights = {node_id: WEIGHTS.get(node["class_type"], 0.0) for node_id, node in self._graph.items()}
        done = sum(weights[node_id] for node_id in self._done & weights.keys())
        if self._current is not None and self._current not in self._done:
            done += weights[self._current] * self._part
        self._fraction = max(self._fraction, done / (sum(weights.values()) + DELIVERY))
        return self._fraction


def _preview(frame: bytes, prompt_id: str) -> str | None:
    """The picture in a frame as a data URL; None for other frames, other prompts and large pictures."""
    if len(frame) < 8:  # noqa: PLR2004 - two 32-bit words
        return None
    event, word = struct.unpack_from(">II", frame)
    if event == _PREVIEW:
        media_type, picture = _FORMATS.get(word), frame[8:]
    elif event == _PREVIEW_WITH_METADATA:
        header = _header(frame[8 : 8 + word])
        media_type, picture = header.get("image_type"), frame[8 + word :]
        if header.get("prompt_id") != prompt_id:
            return None
    else:
        return None
    if media_type not in _FORMATS.values() or not 0 < len(picture) <= MAX_PREVIEW_BYTES:
        return None
    return f"data:{media_type};base64,{base64.b64encode(picture).decode()}"


def _header(data: bytes) -> Mapping[str, Any]:
    try:
        header = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return header if isinstance(header, dict) else {}


def _ids(nodes: Any) -> list[str]:
    return [str(node) for node in nodes] if isinstance(nodes, list) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
