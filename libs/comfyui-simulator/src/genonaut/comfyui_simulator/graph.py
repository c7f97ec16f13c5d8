"""The order of a prompt's nodes, and what makes two nodes the same."""

import hashlib
import json
from typing import Any

JSON = dict[str, Any]


def is_link(value: object) -> bool:
    """Tell whether an input's value is a link: [node id, slot]."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)  # noqa: PLR2004 - see above


def signatures(prompt: JSON, targets: list[str]) -> dict[str, str]:
    """Return the signature of every node the targets need: equal for equal classes, values and ancestors.

    Node ids do not count, so the same work under another id is found in the cache.
    """
    known: dict[str, str] = {}

    def sign(node_id: str) -> str:
        if node_id not in known:
            node = prompt[node_id]
            inputs = {
                name: ["link", sign(value[0]), value[1]] if is_link(value) else ["value", value]
                for name, value in node["inputs"].items()
            }
            text = json.dumps([node["class_type"], inputs], sort_keys=True)
            known[node_id] = hashlib.sha256(text.encode()).hexdigest()
        return known[node_id]

    for target in targets:
        sign(target)
    return known


class Order:
    """The next node to run: one that finishes an output early if there is one, else the first that is ready."""

    def __init__(self, prompt: JSON, targets: list[str], cached: set[str]) -> None:
        self._targets = set(targets)
        self._needs: dict[str, set[str]] = {}
        for target in targets:
            self._add(prompt, target, cached)
        self._feeds: dict[str, set[str]] = {node_id: set() for node_id in self._needs}
        for node_id, needed in self._needs.items():
            for other in needed:
                self._feeds[other].add(node_id)

    def _add(self, prompt: JSON, target: str, cached: set[str]) -> None:
        waiting = [target]
        while waiting:
            node_id = waiting.pop()
            if node_id in self._needs:
                continue
            self._needs[node_id] = set()
            if node_id not in cached:
                sources = [value[0] for value in prompt[node_id]["inputs"].values() if is_link(value)]
                needed = [source for source in sources if source not in cached]
                self._needs[node_id].update(needed)
                waiting += needed

    def next(self) -> str | None:
        """Return the node to run now, None when all are done; it counts as done from now on."""
        ready = [node_id for node_id, needed in self._needs.items() if not needed]
        if not ready:
            return None
        chosen = min(ready, key=self._steps_to_an_output)
        del self._needs[chosen]
        for needed in self._needs.values():
            needed.discard(chosen)
        return chosen

    def _steps_to_an_output(self, node_id: str) -> int:
        reached = {node_id}
        for steps in range(3):
            if reached & self._targets:
                return steps
            reached = {follower for node in reached for follower in self._feeds[node]}
        return 3
