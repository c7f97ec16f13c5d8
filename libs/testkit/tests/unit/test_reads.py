"""What a document says can be read, with values of what is there."""

from typing import Any

import pytest

from genonaut.testkit.reads import Read, UnknownParameterError, reads


def parameter(name: str, place: str = "query", *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required or place == "path", "schema": schema}


DOCUMENT = {
    "paths": {
        "/things": {
            "post": {},
            "get": {"parameters": [parameter("order", anyOf=[{"$ref": "#/components/schemas/O"}])]},
        },
        "/things/{id}": {
            "get": {"parameters": [parameter("id", "path"), parameter("who"), parameter("whole", type="boolean")]}
        },
        "/favorites": {"get": {"parameters": [parameter("who", required=True), parameter("If-Match", "header")]}},
    },
    "components": {"schemas": {"O": {"enum": ["up", "down"]}}},
}


def test_every_value_of_what_is_needed_and_each_other_one_by_itself() -> None:
    assert list(reads(DOCUMENT, {"id": [1, 2]}, always={"who": "ada"})) == [
        Read("/things", "/things"),
        Read("/things", "/things", (("order", "up"),)),
        Read("/things", "/things", (("order", "down"),)),
        Read("/things/{id}", "/things/1", (("who", "ada"),)),
        Read("/things/{id}", "/things/1", (("who", "ada"), ("whole", "true"))),
        Read("/things/{id}", "/things/1", (("who", "ada"), ("whole", "false"))),
        Read("/things/{id}", "/things/2", (("who", "ada"),)),
        Read("/favorites", "/favorites", (("who", "ada"),)),
    ]


def test_nobody_reads_what_needs_somebody() -> None:
    found = list(reads(DOCUMENT, {"/things/*:id": [7]}, always={"who": None}, varied=False))

    assert found == [Read("/things", "/things"), Read("/things/{id}", "/things/7")]


def test_a_parameter_that_nobody_knows_a_value_of_is_an_error() -> None:
    with pytest.raises(UnknownParameterError, match="id"):
        list(reads(DOCUMENT, {"/favorites:id": [1]}, always={"who": None}))
