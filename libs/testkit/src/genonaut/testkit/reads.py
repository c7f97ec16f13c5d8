"""Everything that can be read of a service: each GET of its OpenAPI document, filled with values of what is there.

A route or a parameter that is new is among it by itself, or, when nobody can say what it takes, an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

Known = Mapping[str, Sequence[Any]]
"""Values of parameters by name. `route:name` is only for that route or, with a `*` at its end, for those below it."""

Query = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Read:
    route: str
    """As the document has it."""
    path: str
    query: Query = ()


class UnknownParameterError(LookupError):
    """Nobody says what values there are of a parameter."""


def reads(
    document: Mapping[str, Any], known: Known, *, always: Mapping[str, Any], varied: bool = True
) -> Iterator[Read]:
    """Each route with every value of what it needs, and, if `varied`, the first one with each value of all else, too.

    What is in `always` is given to all routes that take it in their query, and no other value of it. Routes that need
    one of those of which it has None are left out. Raises UnknownParameterError.
    """
    for route, methods in document["paths"].items():
        if "get" in methods:
            yield from _Route(document, route, methods["get"].get("parameters", ()), known, always).reads(varied=varied)


class _Route:
    def __init__(
        self,
        document: Mapping[str, Any],
        route: str,
        parameters: Sequence[Mapping[str, Any]],
        known: Known,
        always: Mapping[str, Any],
    ) -> None:
        self._document = document
        self._route = route
        self._parameters = parameters
        self._known = known
        self._always = always

    def reads(self, *, varied: bool) -> Iterator[Read]:
        in_path, in_query = self._in("path"), self._in("query")
        if any(each["required"] and self._always.get(each["name"], "") is None for each in in_query):
            return
        free = [each for each in in_query if each["name"] not in self._always]
        given = [(each["name"], self._always[each["name"]]) for each in in_query if each["name"] in self._always]
        needed = [[(each["name"], value) for value in self._values(each)] for each in free if each["required"]]
        starts = [(*((name, value) for name, value in given if value is not None), *each) for each in product(*needed)]
        others = [each for each in free if not each["required"]] if varied else []
        more: list[Query] = [(), *(((each["name"], value),) for each in others for value in self._values(each))]
        for values in product(*(self._values(each) for each in in_path)):
            names = {each["name"]: value for each, value in zip(in_path, values, strict=True)}
            path = self._route.format_map(names)
            yield from (Read(self._route, path, (*start, *other)) for start in starts for other in more)
            more = [()]

    def _in(self, place: str) -> list[Mapping[str, Any]]:
        return [each for each in self._parameters if each["in"] == place]

    def _values(self, parameter: Mapping[str, Any]) -> Sequence[Any]:
        name = parameter["name"]
        for key, values in self._known.items():
            route, _, of = key.rpartition(":")
            fits = self._route.startswith(route[:-1]) if route.endswith("*") else route in {"", self._route}
            if of == name and fits:
                return values
        if found := self._enumerated(parameter["schema"]):
            return found
        raise UnknownParameterError(f"no value of {name} is known, which {self._route} takes")

    def _enumerated(self, schema: Mapping[str, Any]) -> list[Any]:
        """All values, when the schema lists them."""
        while "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if "anyOf" in schema:
            return [value for each in schema["anyOf"] for value in self._enumerated(each)]
        if schema.get("type") == "array":
            return self._enumerated(schema["items"])
        if "const" in schema:
            return [schema["const"]]
        return ["true", "false"] if schema.get("type") == "boolean" else list(schema.get("enum", ()))
