"""What has become of a prompt, read off the server's queue and history. Pure.

History says nothing about a prompt that waits, runs or is unknown, so it is read after the queue; and an error looks
like an interruption until the last message is read. Absence counts only when it is seen twice running.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from genonaut.generation.comfyui.failures import (
    AttemptError,
    LostError,
    NodeError,
    OutOfMemoryError,
    RejectedError,
    RunInterruptedError,
)
from genonaut.generation.comfyui.workflow import SAVE, Graph

ABSENCES = 2

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_SHOWN = 100
"""Characters of one of the job's own values that a message repeats."""

_REFUSALS = {
    "value_not_in_list": "{name} {value} is not available on this worker",
    "value_smaller_than_min": "{name} {value} is too small",
    "value_bigger_than_max": "{name} {value} is too big",
    "invalid_input_type": "{name} {value} has the wrong type",
    "required_input_missing": "{name} is missing",
}


@dataclass(frozen=True)
class Queue:
    """The ids of the prompts that run and wait, the latter in no particular order."""

    running: tuple[str, ...]
    pending: tuple[str, ...]


@dataclass(frozen=True)
class Output:
    """A file that SaveImage wrote, as the server names it. Only ever sent back to it, never opened as a path."""

    filename: str
    subfolder: str


@dataclass(frozen=True)
class Pending:
    nothing_runs: bool


@dataclass(frozen=True)
class Running:
    pass


@dataclass(frozen=True)
class Succeeded:
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class Failed:
    error: AttemptError


@dataclass(frozen=True)
class Absent:
    """In neither place, for the first time: perhaps on its way from one to the other."""


Verdict = Pending | Running | Succeeded | Failed | Absent


def judge(
    prompt_id: UUID, graph: Graph, *, queue: Queue, history: Mapping[str, Any] | None, absences: int = 0
) -> Verdict:
    """What became of the prompt. `history` is its entry, read after `queue`; `absences` were seen just before."""
    if str(prompt_id) in queue.running:
        return Running()
    if str(prompt_id) in queue.pending:
        return Pending(nothing_runs=not queue.running)
    if history is not None:
        return _judged(history, graph)
    if absences + 1 < ABSENCES:
        return Absent()
    return Failed(LostError("The worker lost the job, most likely by a restart."))


def _judged(entry: Mapping[str, Any], graph: Graph) -> Succeeded | Failed:
    for kind, data in reversed(_messages(entry)):
        match kind:
            case "execution_success":
                return _success(entry)
            case "execution_interrupted":
                return Failed(RunInterruptedError())
            case "execution_error":
                return Failed(_node_failure(data, graph))
    # Without a last word: entries that a server cut short while it wrote them.
    status = entry.get("status")
    if isinstance(status, dict) and status.get("completed") is True:
        return _success(entry)
    return Failed(NodeError("The generation failed at the worker."))


def _messages(entry: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    status = entry.get("status")
    messages = status.get("messages") if isinstance(status, dict) else None
    return [
        (message[0], message[1])
        for message in messages or ()
        if isinstance(message, list) and len(message) == 2 and isinstance(message[1], dict)  # noqa: PLR2004 - a pair
    ]


def _success(entry: Mapping[str, Any]) -> Succeeded | Failed:
    """Only pictures of our own SaveImage count: other nodes may leave previews and masks."""
    outputs = entry.get("outputs")
    saved = outputs.get(SAVE) if isinstance(outputs, dict) else None
    images = saved.get("images") if isinstance(saved, dict) else None
    files = tuple(
        Output(filename=image["filename"], subfolder=image.get("subfolder") or "")
        for image in images or ()
        if isinstance(image, dict) and image.get("type") == "output" and isinstance(image.get("filename"), str)
    )
    return Succeeded(files) if files else Failed(NodeError("The worker finished without a picture."))


def _node_failure(data: Mapping[str, Any], graph: Graph) -> AttemptError:
    raised = str(data.get("exception_type", "")).rpartition(".")[2]
    message = str(data.get("exception_message", "")).lower()
    if raised in ("OutOfMemoryError", "MemoryError") or "out of memory" in message:
        return OutOfMemoryError()
    node = graph.get(str(data.get("node_id")))
    where = node["class_type"] if node else "A node"
    return NodeError(f"{where} failed{f' ({raised})' if _WORD.fullmatch(raised) else ''}.")


def refusal(body: Any, graph: Graph) -> RejectedError:
    """Why the server refused the graph, from the types of its errors and the graph's own inputs."""
    body = body if isinstance(body, dict) else {}
    errors = body.get("node_errors")
    reasons = [
        _reason(error, node_id, graph)
        for node_id, found in (errors.items() if isinstance(errors, dict) else ())
        for error in (found.get("errors") if isinstance(found, dict) else None) or ()
        if isinstance(error, dict)
    ]
    if not reasons:
        kind = body.get("error", {}).get("type") if isinstance(body.get("error"), dict) else None
        reasons = [str(kind) if _WORD.fullmatch(str(kind)) else "invalid prompt"]
    return RejectedError(f"The worker refused the job: {'; '.join(dict.fromkeys(reasons))[:1000]}.")


def _reason(error: Mapping[str, Any], node_id: str, graph: Graph) -> str:
    kind = str(error.get("type"))
    if not _WORD.fullmatch(kind):
        kind = "invalid input"
    if node_id not in graph:
        return kind
    node = graph[node_id]
    extra = error.get("extra_info")
    name = str(extra.get("input_name")) if isinstance(extra, dict) else ""
    ours = name in node["inputs"] or kind == "required_input_missing"
    if kind not in _REFUSALS or not ours or not _WORD.fullmatch(name):
        return f"{node['class_type']}: {kind}"
    value = repr(node["inputs"].get(name))[:_SHOWN]
    return f"{node['class_type']}: {_REFUSALS[kind].format(name=name, value=value)}"
