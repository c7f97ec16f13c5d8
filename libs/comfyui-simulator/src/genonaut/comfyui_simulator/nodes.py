"""Node types: their inputs, outputs and limits, as `GET /object_info` tells them and validation reads them."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from genonaut.comfyui_simulator.models import FOLDERS, Models


@dataclass(frozen=True)
class Input:
    """One input of a node type: its type name or its list of choices, and its limits."""

    name: str
    kind: str | list[str]
    options: dict[str, Any]
    is_required: bool

    @property
    def config(self) -> list[Any]:
        """The input as error bodies repeat it."""
        return [self.kind, self.options]


class NodeType:
    """One node type, read from its definition."""

    def __init__(self, definition: dict[str, Any], models: Models) -> None:
        self._definition = definition
        self._models = models
        self.outputs: tuple[str, ...] = tuple(definition["output"])
        self.is_output: bool = definition["output_node"]

    def definition(self) -> dict[str, Any]:
        """Return the body of `GET /object_info`, with the models there are at this moment."""
        described = {**self._definition, "input": dict(self._definition["input"])}
        for need in {"required", "optional"} & described["input"].keys():
            described["input"][need] = {
                name: self._with_models(config) for name, config in described["input"][need].items()
            }
        return described

    def inputs(self) -> list[Input]:
        """Return the inputs in their order, required ones first."""
        return [
            Input(name, config[0], config[1] if len(config) > 1 else {}, is_required=need == "required")
            for need in ("required", "optional")
            for name, config in self.definition()["input"].get(need, {}).items()
        ]

    def _with_models(self, config: list[Any]) -> list[Any]:
        return [self._models.names(config[0]), *config[1:]] if config[0] in FOLDERS else config


class NodeTypes(dict[str, NodeType]):
    """All node types by name."""

    def __init__(self, models: Models) -> None:
        text = files("genonaut.comfyui_simulator").joinpath("nodes.json").read_text(encoding="utf-8")
        super().__init__({name: NodeType(definition, models) for name, definition in json.loads(text).items()})
