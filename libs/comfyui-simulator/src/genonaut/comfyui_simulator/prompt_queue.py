"""The queue and the history, both in memory only.

The queue is a heap of (number, prompt id, prompt, …) as in ComfyUI, so it has ComfyUI's ways: equal numbers are ordered
by prompt id, and two entries equal in both cannot be compared, which raises TypeError where they meet.
"""

import asyncio
import heapq
import json
from collections.abc import Callable
from typing import Any

from genonaut.comfyui_simulator.execution import Outcome

JSON = dict[str, Any]
Item = tuple[float, str, JSON, Any, list[str]]
_LONGEST_HISTORY = 10_000


class PromptQueue:
    """Pending prompts, the running one, and what became of the rest; `changed` is called after every change."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._pending: list[Item] = []
        self._running: list[Item] = []
        self._history: dict[str, str] = {}
        self._arrived = asyncio.Event()
        self._next_number = 0

    def next_number(self) -> int:
        number = self._next_number
        self._next_number += 1
        return number

    def put(self, item: Item) -> None:
        heapq.heappush(self._pending, item)
        self._arrived.set()
        self._changed()

    async def take(self) -> Item:
        """Return the next prompt, which is running from now on."""
        while not self._pending:
            self._arrived.clear()
            await self._arrived.wait()
        item = heapq.heappop(self._pending)
        self._running.append(item)
        self._changed()
        return item

    def finish(self, item: Item, outcome: Outcome) -> None:
        """Move the running prompt to history, which keeps about 10,000 entries."""
        self._running.remove(item)
        if len(self._history) > _LONGEST_HISTORY:
            del self._history[next(iter(self._history))]
        # Kept as text: ten thousand prompts as objects would take ten times the memory.
        self._history[item[1]] = json.dumps(
            {"prompt": item, "outputs": outcome.outputs, "status": outcome.status, "meta": outcome.meta}
        )
        self._changed()

    @property
    def remaining(self) -> int:
        return len(self._pending) + len(self._running)

    def is_running(self, prompt_id: str) -> bool:
        return any(item[1] == prompt_id for item in self._running)

    def as_json(self) -> JSON:
        """Return the body of `GET /queue`; pending prompts come in the heap's order, not in the order they will run."""
        return {"queue_running": self._running, "queue_pending": self._pending}

    def clear(self) -> None:
        self._pending.clear()
        self._changed()

    def delete(self, prompt_id: Any) -> None:
        """Remove the first pending prompt with this id; do nothing when there is none."""
        for index, item in enumerate(self._pending):
            if item[1] == prompt_id:
                del self._pending[index]
                heapq.heapify(self._pending)
                self._changed()
                return

    def history(self, max_items: int | None = None, offset: int = -1) -> str:
        """Return the JSON text of history, or of `max_items` entries from `offset` (-1: the newest)."""
        entries = list(self._history.items())
        start = offset
        if offset < 0:
            start = 0 if max_items is None else max(len(entries) - max_items, 0)
        stop = None if max_items is None else start + max_items
        return "{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in entries[start:stop]) + "}"

    def history_of(self, prompt_id: str) -> str:
        """Return the JSON text of one entry under its id, `{}` when there is none for whatever reason."""
        text = self._history.get(prompt_id)
        return "{}" if text is None else f"{{{json.dumps(prompt_id)}: {text}}}"

    def clear_history(self) -> None:
        self._history.clear()

    def delete_history(self, prompt_id: Any) -> None:
        self._history.pop(prompt_id, None)
