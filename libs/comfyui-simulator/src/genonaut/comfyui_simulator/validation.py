"""What ComfyUI says about a prompt before it runs: the same error types, in the same places, with the same leaks.

One invalid output among valid ones is dropped: the prompt is accepted and the errors are told beside it.
"""

from dataclasses import dataclass, field
from typing import Any

from genonaut.comfyui_simulator.nodes import Input, NodeType, NodeTypes

JSON = dict[str, Any]
_LONGEST_LIST_TOLD = 20
_CONVERSIONS: dict[str, type] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


@dataclass
class Verdict:
    """Either an `error`, or the `outputs` to run; and what is wrong with which nodes."""

    error: JSON | None = None
    outputs: list[str] = field(default_factory=list)
    node_errors: dict[str, JSON] = field(default_factory=dict)


def validate(prompt: Any, node_types: NodeTypes, targets: list[str] | None = None) -> Verdict:
    """Return the verdict on `prompt`, of whose output nodes only `targets` count, if given.

    Values are converted in place (`"20"` becomes 20), as ComfyUI does. What is no prompt at all (null, a number)
    raises TypeError, which ComfyUI answers with a plain 500.
    """
    outputs = []
    for node_id in prompt:
        node = prompt[node_id]
        if "class_type" not in node:
            return Verdict(
                _error("invalid_prompt", "Cannot execute because a node is missing the class_type property.", node_id)
            )
        node_type = node_types.get(node["class_type"])
        if node_type is None:
            message = f"Cannot execute because node {node['class_type']} does not exist."
            return Verdict(_error("invalid_prompt", message, node_id))
        if node_type.is_output and (targets is None or node_id in targets):
            outputs.append(node_id)
    if not outputs:
        return Verdict(_error("prompt_no_outputs", "Prompt has no outputs"))
    return _Validation(prompt, node_types).of(outputs)


def _error(type_: str, message: str, node_id: str | None = None, details: str = "") -> JSON:
    return {
        "type": type_,
        "message": message,
        "details": details if node_id is None else f"Node ID '#{node_id}'",
        "extra_info": {},
    }


@dataclass
class _Checked:
    is_valid: bool
    errors: list[JSON]


class _Validation:
    """One walk from the outputs up; a node is looked at once."""

    def __init__(self, prompt: JSON, node_types: NodeTypes) -> None:
        self._prompt = prompt
        self._node_types = node_types
        self._checked: dict[str, _Checked] = {}
        self._open: set[str] = set()

    def of(self, outputs: list[str]) -> Verdict:
        verdict = Verdict()
        reasons: list[JSON] = []
        for output in outputs:
            try:
                checked = self._check(output)
            except Exception as error:  # noqa: BLE001 - ComfyUI turns every exception here into an error entry
                checked = self._checked[output] = _Checked(False, [_exception_during_validation(error)])
            if checked.is_valid:
                verdict.outputs.append(output)
                continue
            reasons += checked.errors
            self._blame(output, verdict.node_errors)
        if not verdict.outputs:
            details = "\n".join(f"{reason['message']}: {reason['details']}" for reason in reasons)
            message = "Prompt outputs failed validation"
            verdict.error = _error("prompt_outputs_failed_validation", message, details=details)
        return verdict

    def _blame(self, output: str, node_errors: dict[str, JSON]) -> None:
        for node_id, checked in self._checked.items():
            if checked.errors and not checked.is_valid:
                class_type = self._prompt[node_id]["class_type"]
                entry = node_errors.setdefault(
                    node_id, {"errors": checked.errors, "dependent_outputs": [], "class_type": class_type}
                )
                entry["dependent_outputs"].append(output)

    def _check(self, node_id: str) -> _Checked:
        if node_id in self._checked:
            return self._checked[node_id]
        if node_id in self._open:
            # ComfyUI recurses until Python stops it, and then finds nobody to blame.
            return _Checked(False, [])
        self._open.add(node_id)
        try:
            inputs = self._prompt[node_id]["inputs"]
            node_type = self._node_types[self._prompt[node_id]["class_type"]]
            checked = self._check_inputs(node_type, inputs)
        finally:
            self._open.discard(node_id)
        self._checked[node_id] = checked
        return checked

    def _check_inputs(self, node_type: NodeType, inputs: JSON) -> _Checked:
        errors: list[JSON] = []
        is_valid = True
        for wanted in node_type.inputs():
            if wanted.name not in inputs:
                if wanted.is_required:
                    errors.append(_required_input_missing(wanted.name))
            elif isinstance(inputs[wanted.name], list):
                error, upstream_is_valid = self._check_link(wanted, inputs[wanted.name])
                is_valid = is_valid and upstream_is_valid
                errors += [error] if error else []
            else:
                error = _check_value(wanted, inputs)
                errors += [error] if error else []
        return _Checked(is_valid and not errors, errors)

    def _check_link(self, wanted: Input, link: list[Any]) -> tuple[JSON | None, bool]:
        if len(link) != 2:  # noqa: PLR2004 - a link is [node id, slot]
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            return _input_error("bad_linked_input", message, wanted.name, wanted, received_value=link), True
        node_id, slot = link
        received = self._node_types[self._prompt[node_id]["class_type"]].outputs[slot]
        if received != wanted.kind:
            message = "Return type mismatch between linked nodes"
            details = f"{wanted.name}, received_type({received}) mismatch input_type({wanted.kind})"
            error = _input_error(
                "return_type_mismatch", message, details, wanted, received_type=received, linked_node=link
            )
            return error, True
        try:
            return None, self._check(node_id).is_valid
        except Exception as error:  # noqa: BLE001 - ComfyUI blames the linked node for whatever was raised in it
            self._checked[node_id] = _Checked(False, [_exception_in_inner_node(error, wanted, link)])
            return None, False


def _check_value(wanted: Input, inputs: JSON) -> JSON | None:
    name, value = wanted.name, inputs[wanted.name]
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    if isinstance(wanted.kind, str) and wanted.kind in _CONVERSIONS:
        try:
            value = _CONVERSIONS[wanted.kind](value)
        except (TypeError, ValueError, OverflowError) as error:
            message = f"Failed to convert an input value to a {wanted.kind} value"
            details = f"{name}, {value}, {error}"
            return _input_error(
                "invalid_input_type", message, details, wanted, received_value=value, exception_message=str(error)
            )
    inputs[name] = value
    lowest, highest = wanted.options.get("min"), wanted.options.get("max")
    if lowest is not None and value < lowest:
        message = f"Value {value} smaller than min of {lowest}"
        return _input_error("value_smaller_than_min", message, name, wanted, received_value=value)
    if highest is not None and value > highest:
        message = f"Value {value} bigger than max of {highest}"
        return _input_error("value_bigger_than_max", message, name, wanted, received_value=value)
    if isinstance(wanted.kind, list) and value not in wanted.kind:
        return _value_not_in_list(wanted, wanted.kind, value)
    return None


def _value_not_in_list(wanted: Input, choices: list[str], value: object) -> JSON:
    is_long = len(choices) > _LONGEST_LIST_TOLD
    told = f"(list of length {len(choices)})" if is_long else str(choices)
    details = f"{wanted.name}: '{value}' not in {told}"
    error = _input_error("value_not_in_list", "Value not in list", details, wanted, received_value=value)
    if is_long:
        error["extra_info"]["input_config"] = None
    return error


def _required_input_missing(name: str) -> JSON:
    return {
        "type": "required_input_missing",
        "message": "Required input is missing",
        "details": name,
        "extra_info": {"input_name": name},
    }


def _input_error(type_: str, message: str, details: str, wanted: Input, **extra: object) -> JSON:
    return {
        "type": type_,
        "message": message,
        "details": details,
        "extra_info": {"input_name": wanted.name, "input_config": wanted.config, **extra},
    }


def _exception_during_validation(error: Exception) -> JSON:
    return {
        "type": "exception_during_validation",
        "message": "Exception when validating node",
        "details": str(error),
        "extra_info": {"exception_type": type(error).__name__, "traceback": _traceback("validate_prompt", 1010)},
    }


def _exception_in_inner_node(error: Exception, wanted: Input, link: list[Any]) -> JSON:
    message = "Exception when validating inner node"
    details = str(error)
    return _input_error(
        "exception_during_inner_validation", message, details, wanted, exception_message=details,
        exception_type=type(error).__name__, traceback=_traceback("validate_inputs", 808), linked_node=link,
    )  # fmt: skip


def _traceback(function: str, line: int) -> list[str]:
    return [f'  File "/opt/ComfyUI/execution.py", line {line}, in {function}\n    (simulated)\n']
