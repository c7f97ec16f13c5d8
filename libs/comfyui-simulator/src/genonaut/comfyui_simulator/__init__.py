"""A ComfyUI simulator: the real protocol, pictures drawn with Pillow, faults on request."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genonaut.comfyui_simulator.simulator import Simulator

__all__ = ["Simulator"]


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for: who only draws pictures needs no web server.
    if name == "Simulator":
        from genonaut.comfyui_simulator.simulator import Simulator  # noqa: PLC0415 - see above

        return Simulator
    raise AttributeError(name)
