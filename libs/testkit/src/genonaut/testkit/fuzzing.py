"""Requests that an OpenAPI document allows and forbids, and what is wrong with the answers.

schemathesis thinks of them. The same document gives the same requests.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, openapi
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Err
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from genonaut.testkit.problems import faults_of

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
REPEATABLE = {"PUT", "DELETE"}
Known = Mapping[str, Sequence[Any] | Callable[[], Any]]
"""Values of parameters and fields by name, for things that are there: nobody thinks of them by chance. What is used up
by its first use is made anew by a function.

`path:name` is only for that path, and `POST path` has whole bodies. The first ones of all belong together.
"""


class Fuzz:
    """Sends requests of a document to a server and keeps, by operation, the answers and what was wrong."""

    def __init__(self, document: dict[str, Any], url: str, *, examples: int, known: Known) -> None:
        self._document = document
        self._schema = openapi.from_dict(document)
        self._schema.config.generation.update(deterministic=True)
        self._url = url
        self._examples = examples
        self._known = known
        self.answers: dict[str, Counter[int]] = {}
        """How often each status was seen, of every operation of the document."""
        self.wrong: dict[str, str] = {}

    @property
    def answered(self) -> Counter[int]:
        """Of all operations together."""
        return sum(self.answers.values(), Counter())

    def run(self) -> None:
        """Of every operation a sound request, then `examples` allowed and as many forbidden ones.

        Each kind goes on up to its first wrong answer.
        """
        with requests.Session() as session:
            for found in self._schema.get_all_operations():
                if isinstance(found, Err):
                    raise found.err()
                operation = found.ok()
                self.answers[operation.label] = Counter()
                self._try(f"{operation.label} (sound)", partial(self._ask_soundly, operation, session))
                for mode in GenerationMode:
                    explore = partial(self._explore, operation.as_strategy(generation_mode=mode), session)
                    # Where everything is allowed, nothing is forbidden.
                    with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
                        self._try(f"{operation.label} ({mode.value})", explore)

    def _try(self, label: str, work: Callable[[], None]) -> None:
        try:
            work()
        except FailureGroup as failures:
            self.wrong[label] = "\n".join(f"{one.title}: {one.message}" for one in failures.exceptions)
        except AssertionError as failure:
            self.wrong[label] = str(failure)

    def _ask_soundly(self, operation: Any, session: requests.Session) -> None:
        """The document's own example, about what is there. Nothing when something it needs is not known."""
        path, described = operation.path, operation.definition.raw
        given: dict[str, dict[str, Any]] = {"path": {}, "query": {}}
        for parameter in described.get("parameters", ()):
            if parameter.get("required"):
                values = self._known_of(path, parameter["name"]) or parameter["schema"].get("enum")
                if not values:
                    return
                given[parameter["in"]][parameter["name"]] = _first(values)
        sound = {"path_parameters": given["path"], "query": given["query"]}
        if contents := described.get("requestBody", {}).get("content"):
            media_type, content = next(iter(contents.items()))
            sound |= {"media_type": media_type, "body": self._sound_body(operation.label, path, content["schema"])}
        self._ask(operation.Case(**sound), session)

    def _sound_body(self, label: str, path: str, schema: dict[str, Any]) -> Any:
        if label in self._known:
            return _first(self._known[label])
        (example, *_) = self._resolved(schema)["examples"]
        return {
            name: _first(known) if (known := self._known_of(path, name)) else value for name, value in example.items()
        }

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def _known_of(self, path: str, name: str) -> Sequence[Any] | Callable[[], Any] | None:
        return self._known.get(f"{path}:{name}") or self._known.get(name)

    def _explore(self, strategy: Any, session: requests.Session) -> None:
        dice = random.Random(self._examples)  # noqa: S311 - the same every time

        @settings(
            max_examples=self._examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def explore(case: Case[Any]) -> None:
            self._replace(case, dice)
            response = self._ask(case, session)
            if case.method in REPEATABLE and response.status_code < 400:  # noqa: PLR2004 - not an error
                again = self._ask(case, session)
                allowed = {response.status_code, 404} if case.method == "DELETE" else {response.status_code}
                if again.status_code not in allowed:
                    raise AssertionError(f"{response.status_code}, then {again.status_code}\n{_told_by(case)}")

        explore()

    def _ask(self, case: Case[Any], session: requests.Session) -> Response:
        response = case.call(base_url=self._url, session=session, timeout=30)
        self.answers[case.operation.label][response.status_code] += 1
        case.validate_response(response, checks=CHECKS)
        is_problem = "application/problem+json" in response.headers.get("content-type", ())
        if faults := list(faults_of(response.status_code, response.headers, response.json() if is_problem else None)):
            raise AssertionError(f"{'; '.join(faults)}\n{_told_by(case)}")
        return response

    def _replace(self, case: Case[Any], dice: random.Random) -> None:
        """Half of the times, a name of something that is there."""
        for place in (case.path_parameters, case.query, case.body):
            if isinstance(place, dict):
                for name in place:
                    known = self._known_of(case.path, name)
                    if known and dice.random() < 0.5:  # noqa: PLR2004 - half
                        place[name] = known() if callable(known) else dice.choice(known)


def _first(known: Sequence[Any] | Callable[[], Any]) -> Any:
    return known() if callable(known) else known[0]


def _told_by(case: Case[Any]) -> str:
    return case.as_curl_command()[:2000]
