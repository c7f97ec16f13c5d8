"""Runs one prompt: node after node, cached where the prompt before did the same work."""

import logging
from dataclasses import dataclass
from typing import Any

from genonaut.comfyui_simulator.behaviours import BEHAVIOURS, Result, Workshop
from genonaut.comfyui_simulator.graph import Order, is_link, signatures
from genonaut.comfyui_simulator.run import InterruptedRun, NodeFailure, Run
from genonaut.comfyui_simulator.sockets import Sockets

JSON = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What history keeps of a run."""

    outputs: JSON
    status: JSON
    meta: JSON


class Executor:
    """Remembers the results of the last prompt, as ComfyUI's classic cache does."""

    def __init__(self, workshop: Workshop, sockets: Sockets) -> None:
        self._workshop = workshop
        self._sockets = sockets
        self._cache: dict[str, Result] = {}

    def forget(self) -> None:
        """Empty the cache, so that the next prompt does all its work."""
        self._cache.clear()

    async def run(self, prompt_id: str, prompt: JSON, extra_data: Any, targets: list[str]) -> Outcome:
        """Return how the prompt ended. `extra_data` that is no container raises TypeError: that kills the worker."""
        client_id = extra_data["client_id"] if "client_id" in extra_data else None  # noqa: SIM401 - null must raise
        self._workshop.is_interrupted = False
        self._sockets.client_id = client_id
        run = Run(prompt_id, prompt, extra_data, client_id, self._sockets)
        run.say("execution_start", {"prompt_id": prompt_id})
        signed = signatures(prompt, targets)
        self._cache = {key: self._cache[key] for key in set(signed.values()) if key in self._cache}
        cached = [node_id for node_id in prompt if signed.get(node_id) in self._cache]
        run.say("execution_cached", {"nodes": cached, "prompt_id": prompt_id})
        is_success = await self._run_nodes(run, Order(prompt, targets, set(cached)), signed)
        self._sockets.last_node = None
        return Outcome(
            outputs=run.outputs,
            status={
                "status_str": "success" if is_success else "error",
                "completed": is_success,
                "messages": [list(message) for message in run.messages],
            },
            meta={node_id: _meta(node_id) for node_id in run.outputs},
        )

    async def _run_nodes(self, run: Run, order: Order, signed: dict[str, str]) -> bool:
        results: dict[str, Result] = {}
        results.update({node_id: self._cache[key] for node_id, key in signed.items() if key in self._cache})
        while node_id := order.next():
            if node_id in results:
                run.finish_node(node_id, results[node_id].ui, was_cached=True)
                continue
            node = run.prompt[node_id]
            run.start_node(node_id)
            inputs = {
                name: results[value[0]].values[value[1]] if is_link(value) else value
                for name, value in node["inputs"].items()
            }
            try:
                self._workshop.check_interrupted()
                self._fail_on_request(node_id, node["class_type"])
                result = await BEHAVIOURS[node["class_type"]](self._workshop, run, node_id, inputs)
            except InterruptedRun:
                run.say("execution_interrupted", _ending(run, node_id), to_all=True)
                return False
            except Exception as error:  # noqa: BLE001 - whatever a node raises ends its prompt, not the server
                log.info("prompt %s failed at node %s: %s", run.prompt_id, node_id, error)
                run.say("execution_error", {**_ending(run, node_id), **_failure(run, inputs, error)})
                return False
            results[node_id] = self._cache[signed[node_id]] = result
            run.finish_node(node_id, result.ui)
        run.say("execution_success", {"prompt_id": run.prompt_id})
        return True

    def _fail_on_request(self, node_id: str, class_type: str) -> None:
        faults = self._workshop.faults
        if faults.value("error_at_node") in {node_id, class_type} and faults.fire("error_at_node"):
            raise NodeFailure(f"simulated failure of {class_type}", "RuntimeError")


def _meta(node_id: str) -> JSON:
    return {"node_id": node_id, "display_node": node_id, "parent_node": None, "real_node_id": node_id}


def _ending(run: Run, node_id: str) -> JSON:
    return {
        "prompt_id": run.prompt_id,
        "node_id": node_id,
        "node_type": run.prompt[node_id]["class_type"],
        "executed": list(run.executed),
    }


def _failure(run: Run, inputs: JSON, error: Exception) -> JSON:
    kind = type(error)
    type_name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    tips = ""
    if isinstance(error, NodeFailure):
        type_name, tips = error.type_name, error.tips
    return {
        "exception_message": f"{error}\n{tips}",
        "exception_type": type_name,
        "traceback": [
            '  File "/opt/ComfyUI/execution.py", line 496, in execute\n    (simulated)\n',
            '  File "/opt/ComfyUI/execution.py", line 277, in process_inputs\n    result = f(**inputs)\n',
        ],
        "current_inputs": {
            name: [value if isinstance(value, int | float | str) else str(value)] for name, value in inputs.items()
        },
        "current_outputs": list(run.prompt),
    }
