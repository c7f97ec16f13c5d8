"""Failures on request. A fault stays on until it is switched off, or for exactly as many `times` as were asked for."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """What a fault's value must be, and what the fault does."""

    type: type
    does: str
    counts_itself: bool = False


KINDS = {
    "step_seconds": Kind(float, "every sampling step takes this many seconds"),
    "error_at_node": Kind(str, "the node with this class or id raises; the prompt ends as execution_error"),
    "out_of_memory": Kind(bool, "KSampler raises torch.OutOfMemoryError"),
    "die_at_step": Kind(int, "the whole process dies right after this sampling step (0: when a prompt starts)"),
    "zombie": Kind(bool, "the worker dies with the next prompt in its hands; HTTP and sockets go on, nothing runs"),
    "drop_socket_at_step": Kind(int, "the submitter's sockets break (1006) right after this sampling step"),
    "lose_prompts": Kind(int, "this many prompts are accepted and forgotten: in no queue, in no history", True),
    "drop_replies": Kind(int, "this many accepted prompts get no answer: the connection breaks instead", True),
    "history_delay": Kind(float, "history is written this many seconds after execution_success"),
    "corrupt_files": Kind(int, "this many prompts save files that end in the middle", True),
}
"""Every fault by name. One that counts itself takes its `times` as its value."""


@dataclass
class _Switch:
    value: Any
    times: int | None


class Faults:
    """The switches of one simulator."""

    def __init__(self, at_start: Mapping[str, Any] | None = None) -> None:
        self._at_start = dict(at_start or {})
        self._on: dict[str, _Switch] = {}
        self.fired: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Forget everything but the faults given at the start, as a new process would."""
        self._on.clear()
        self.fired.clear()
        self.switch(**self._at_start)

    def clear(self) -> None:
        """Switch everything off."""
        self._on.clear()

    def switch(self, *, times: int | None = None, **faults: object) -> None:
        """Switch faults on, or off with None or False; all or nothing. Raises ValueError for what does not exist."""
        if times is not None and (type(times) is not int or times < 1):
            raise ValueError("times must be a whole number from 1 up")
        switches = {name: self._checked(name, value, times) for name, value in faults.items()}
        for name, switch in switches.items():
            self._on.pop(name, None)
            if switch:
                self._on[name] = switch

    def value(self, name: str) -> Any:
        """Return the value of a fault that is on, else None; nothing is counted."""
        switch = self._on.get(name)
        return switch.value if switch else None

    def fire(self, name: str) -> bool:
        """Count one firing of a fault and tell whether it is on; after its last time it is off."""
        switch = self._on.get(name)
        if not switch:
            return False
        self.fired[name] += 1
        if switch.times is not None:
            switch.times -= 1
            if not switch.times:
                del self._on[name]
        return True

    def as_json(self) -> dict[str, Any]:
        """Return what is on, with the times left (null: until switched off), and what fired how often."""
        return {
            "on": {name: {"value": switch.value, "times": switch.times} for name, switch in self._on.items()},
            "fired": dict(self.fired),
            "known": {name: kind.does for name, kind in KINDS.items()},
        }

    @staticmethod
    def _checked(name: str, value: object, times: int | None) -> _Switch | None:
        if name not in KINDS:
            raise ValueError(f"unknown fault {name!r}; known: {', '.join(KINDS)}")
        if value is None or value is False:
            return None
        kind = KINDS[name]
        wanted = (int, float) if kind.type is float else kind.type
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind.type is not bool):
            raise ValueError(f"{name} takes a value of type {kind.type.__name__}")
        if isinstance(value, int | float) and value < 0:
            raise ValueError(f"{name} must not be negative")
        if not kind.counts_itself:
            return _Switch(value, times)
        return _Switch(value, int(str(value))) if value else None


def parsed(texts: list[str]) -> dict[str, Any]:
    """Return faults written as `name=value` or just `name`. Raises ValueError for what cannot be one."""
    faults: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        kind = KINDS.get(name)
        if kind is None:
            raise ValueError(f"unknown fault {name!r}; known: {', '.join(KINDS)}")
        if kind.type is bool:
            faults[name] = value.lower() not in {"false", "no", "0"}
        else:
            faults[name] = kind.type(value)
    return faults
