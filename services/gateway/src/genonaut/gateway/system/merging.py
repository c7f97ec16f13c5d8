"""One OpenAPI document from several: public paths only, and no name that means two things.

A component that several services define alike is kept once. Where they differ under one name, each gets the
service's name in front: `content.Item`.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

Document = dict[str, Any]
Key = tuple[str, str]
"""A component: its section and its name, e.g. `("schemas", "Item")`."""

_PREFIX = "#/components/"


def merged(own: Document, others: Mapping[str, Document], *, is_public: Callable[[str, str], bool]) -> Document:
    """`own` with all paths of the others for which `is_public(path, service)`, and the components that are used."""
    paths = {"gateway": own["paths"]}
    for service, document in others.items():
        paths[service] = {
            path: operations for path, operations in document["paths"].items() if is_public(path, service)
        }
    components = {service: _used(paths[service], document) for service, document in {"gateway": own, **others}.items()}
    clashing = _clashing(components.values())
    result: Document = {**own, "paths": {}, "components": {}}
    operation_ids: set[str] = set()
    for service, public in paths.items():
        names = {key: f"{service}.{key[1]}" for key in clashing & components[service].keys()}
        for path, operations in public.items():
            renamed = _renamed(operations, names)
            _make_unique(renamed, service, operation_ids)
            result["paths"].setdefault(path, {}).update(renamed)
        for key, definition in components[service].items():
            section = result["components"].setdefault(key[0], {})
            section[names.get(key, key[1])] = _renamed(definition, names)
    return result


def _used(paths: Any, document: Document) -> dict[Key, Any]:
    """The components that the paths refer to, directly or through others."""
    found: dict[Key, Any] = {}
    todo = list(_references(paths))
    while todo:
        key = todo.pop()
        definition = document.get("components", {}).get(key[0], {}).get(key[1])
        if key not in found and definition is not None:
            found[key] = definition
            todo.extend(_references(definition))
    return found


def _clashing(components: Iterable[Mapping[Key, Any]]) -> set[Key]:
    """The components that mean different things in different documents, what they refer to included."""
    meanings: dict[Key, set[str]] = defaultdict(set)
    for definitions in components:
        for key, definition in definitions.items():
            whole = {key[1]: definition} | {
                name: one for (_, name), one in _used(definition, _document(definitions)).items()
            }
            text = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)
            meanings[key].add(hashlib.sha256(text).hexdigest())
    return {key for key, different in meanings.items() if len(different) > 1}


def _document(definitions: Mapping[Key, Any]) -> Document:
    components: dict[str, dict[str, Any]] = defaultdict(dict)
    for (section, name), definition in definitions.items():
        components[section][name] = definition
    return {"components": components}


def _references(node: Any) -> Iterator[Key]:
    if isinstance(node, str):
        if node.startswith(_PREFIX):
            section, _, name = node.removeprefix(_PREFIX).partition("/")
            yield section, name
    elif isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _references(child)


def _renamed(node: Any, names: Mapping[Key, str]) -> Any:
    """A copy with every reference to a renamed component changed."""
    if isinstance(node, str) and node.startswith(_PREFIX):
        section, _, name = node.removeprefix(_PREFIX).partition("/")
        return f"{_PREFIX}{section}/{names.get((section, name), name)}"
    if isinstance(node, dict):
        return {key: _renamed(child, names) for key, child in node.items()}
    if isinstance(node, list):
        return [_renamed(child, names) for child in node]
    return node


def _make_unique(operations: Document, service: str, taken: set[str]) -> None:
    for operation in operations.values():
        if isinstance(operation, dict) and (operation_id := operation.get("operationId")):
            if operation_id in taken:
                operation["operationId"] = f"{service}_{operation_id}"
            taken.add(operation["operationId"])
