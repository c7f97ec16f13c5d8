"""Requests that an OpenAPI document allows and forbids, and what is wrong with the answers.

schemathesis thinks of them. The same document gives the same requests.
"""

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
Known = Mapping[str, Sequence[Any]]
"""Values of parameters and fields by name, for things that are there: nobody thinks of them by chance."""


class Fuzz:
    """Sends requests of a document to a server and keeps what was wrong, by operation."""

    def __init__(self, document: dict[str, Any], url: str, *, examples: int, known: Known) -> None:
        self._schema = openapi.from_dict(document)
        self._schema.config.generation.update(deterministic=True)
        self._url = url
        self._examples = examples
        self._known = known
        self.sent = 0
        self.answered: dict[int, int] = {}
        self.wrong: dict[str, str] = {}

    def run(self) -> None:
        """Of every operation, `examples` allowed requests and as many forbidden ones; up to the first wrong answer."""
        with requests.Session() as session:
            for found in self._schema.get_all_operations():
                if isinstance(found, Err):
                    raise found.err()
                operation = found.ok()
                for mode in GenerationMode:
                    label = f"{operation.label} ({mode.value})"
                    try:
                        # Where everything is allowed, nothing is forbidden.
                        with suppress(Unsatisfiable):
                            self._explore(operation.as_strategy(generation_mode=mode), session)
                    except FailureGroup as failures:
                        self.wrong[label] = "\n".join(f"{one.title}: {one.message}" for one in failures.exceptions)
                    except AssertionError as failure:
                        self.wrong[label] = str(failure)

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
        self.sent += 1
        self.answered[response.status_code] = self.answered.get(response.status_code, 0) + 1
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
                    key = f"{case.path}:{name}" if f"{case.path}:{name}" in self._known else name
                    if key in self._known and dice.random() < 0.5:  # noqa: PLR2004 - half
                        place[name] = dice.choice(self._known[key])


def _told_by(case: Case[Any]) -> str:
    return case.as_curl_command()[:2000]
