"""One prompt being run: what it tells, to whom, and what history keeps of it."""

import time
from dataclasses import dataclass, field
from typing import Any

from genonaut.comfyui_simulator.sockets import Sockets

JSON = dict[str, Any]


class InterruptedRun(Exception):  # noqa: N818 - an interruption is asked for, not an error
    """The prompt was asked to stop."""


class NodeFailure(Exception):  # noqa: N818 - named for what history says
    """A node failed like the real one; `type_name` is the exception the real one raises."""

    def __init__(self, message: str, type_name: str, tips: str = "") -> None:
        super().__init__(message)
        self.type_name = type_name
        self.tips = tips


@dataclass
class Run:
    """A prompt on its way, telling its submitter: everybody hears progress when nobody signed the prompt."""

    prompt_id: str
    prompt: JSON
    extra_data: JSON
    client_id: str | None
    sockets: Sockets
    messages: list[tuple[str, JSON]] = field(default_factory=list)
    outputs: JSON = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    _states: dict[str, JSON] = field(default_factory=dict)

    @property
    def is_watched(self) -> bool:
        """Whether anybody would see a preview."""
        return self.sockets.is_heard(self.client_id)

    def say(self, event: str, data: JSON, *, to_all: bool = False) -> None:
        """Tell an event of the whole run; history keeps it."""
        data = {**data, "timestamp": int(time.time() * 1000)}
        self.messages.append((event, data))
        if self.client_id is not None or to_all:
            self.sockets.send(event, data, self.client_id)

    def start_node(self, node_id: str) -> None:
        self._state(node_id, 0.0, 1.0, "running")
        self.sockets.last_node = node_id
        self._to_submitter("executing", {"node": node_id, "display_node": node_id, "prompt_id": self.prompt_id})

    def step(self, node_id: str, value: int, maximum: int, preview: bytes | None) -> None:
        """Tell the progress of a sampler, with its JPEG `preview` in the form that the client asked for."""
        self._state(node_id, value, maximum, "running")
        with_metadata = self.sockets.wants_metadata(self.client_id)
        if preview and with_metadata:
            self.sockets.send_preview(preview, self.client_id, self._names(node_id))
        progress = {"value": value, "max": maximum, "prompt_id": self.prompt_id, "node": node_id}
        self.sockets.send("progress", progress, self.client_id)
        if preview and not with_metadata:
            self.sockets.send_preview(preview, self.client_id)

    def finish_node(self, node_id: str, ui: JSON | None, *, was_cached: bool = False) -> None:
        """Tell that a node is done, and its output files if it has any."""
        if ui is not None:
            self.outputs[node_id] = ui
            executed = {"node": node_id, "display_node": node_id, "output": ui, "prompt_id": self.prompt_id}
            self._to_submitter("executed", executed)
        if not was_cached:
            self.executed.append(node_id)
        state = self._states.get(node_id, {"max": 1})
        self._state(node_id, state["max"], state["max"], "finished")

    def _to_submitter(self, event: str, data: JSON) -> None:
        if self.client_id is not None:
            self.sockets.send(event, data, self.client_id)

    def _state(self, node_id: str, value: float, maximum: float, state: str) -> None:
        self._states[node_id] = {
            "value": value,
            "max": maximum,
            "state": state,
            **self._names(node_id),
        }
        nodes = dict(self._states)
        self.sockets.send("progress_state", {"prompt_id": self.prompt_id, "nodes": nodes}, self.client_id)

    def _names(self, node_id: str) -> JSON:
        return {
            "node_id": node_id,
            "prompt_id": self.prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
        }
