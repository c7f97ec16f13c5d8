"""Several OpenAPI documents become one, in which every name means one thing."""

from typing import Any

import pytest

from genonaut.gateway.system.merging import merged


def document(paths: dict[str, Any], **schemas: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "info": {"title": "T"}, "paths": paths, "components": {"schemas": schemas}}


def returning(schema: str, operation_id: str = "x") -> dict[str, Any]:
    return {"get": {"operationId": operation_id, "responses": {"200": {"$ref": f"#/components/schemas/{schema}"}}}}


def everything(_path: str, _service: str) -> bool:
    return True


OWN = document({"/": returning("Info", "root")}, Info={"type": "object"})


def test_public_paths_only_and_what_they_use() -> None:
    other = document(
        {"/api/a": returning("A", "a"), "/ready": returning("Ready", "r")},
        A={"items": {"$ref": "#/components/schemas/Inner"}},
        Inner={"type": "string"},
        Ready={},
        Unused={},
    )
    result = merged(OWN, {"content": other}, is_public=lambda path, service: (path, service) == ("/api/a", "content"))
    assert set(result["paths"]) == {"/", "/api/a"}
    assert set(result["components"]["schemas"]) == {"Info", "A", "Inner"}
    assert result["info"] == {"title": "T"}


def test_what_is_alike_is_kept_once() -> None:
    problem = {"type": "object", "title": "Problem"}
    result = merged(
        OWN,
        {
            "content": document({"/a": returning("Problem", "a")}, Problem=problem),
            "generation": document({"/b": returning("Problem", "b")}, Problem=problem),
        },
        is_public=everything,
    )
    assert result["components"]["schemas"] == {"Info": {"type": "object"}, "Problem": problem}


def test_what_differs_gets_the_names_of_the_services() -> None:
    result = merged(
        OWN,
        {
            "content": document({"/a": returning("Item", "a")}, Item={"type": "string"}),
            "generation": document({"/b": returning("Item", "b")}, Item={"type": "integer"}),
        },
        is_public=everything,
    )
    assert result["components"]["schemas"]["content.Item"] == {"type": "string"}
    assert result["components"]["schemas"]["generation.Item"] == {"type": "integer"}
    assert "Item" not in result["components"]["schemas"]
    for path, service in (("/a", "content"), ("/b", "generation")):
        assert result["paths"][path]["get"]["responses"]["200"] == {"$ref": f"#/components/schemas/{service}.Item"}


def test_the_same_text_about_different_things_differs() -> None:
    listing = {"items": {"$ref": "#/components/schemas/Item"}}
    result = merged(
        OWN,
        {
            "content": document({"/a": returning("List", "a")}, List=listing, Item={"type": "string"}),
            "generation": document({"/b": returning("List", "b")}, List=listing, Item={"type": "integer"}),
        },
        is_public=everything,
    )
    schemas = result["components"]["schemas"]
    assert schemas["content.List"] == {"items": {"$ref": "#/components/schemas/content.Item"}}
    assert schemas["generation.List"] == {"items": {"$ref": "#/components/schemas/generation.Item"}}


def test_components_that_refer_to_themselves() -> None:
    tree = {"properties": {"child": {"$ref": "#/components/schemas/Tree"}}}
    result = merged(OWN, {"content": document({"/a": returning("Tree", "a")}, Tree=tree)}, is_public=everything)
    assert result["components"]["schemas"]["Tree"] == tree


def test_discriminators_are_references_too() -> None:
    union = {"discriminator": {"mapping": {"a": "#/components/schemas/A"}}}
    result = merged(
        OWN,
        {
            "content": document({"/a": returning("Union", "a")}, Union=union, A={"type": "string"}),
            "generation": document({"/b": returning("A", "b")}, A={"type": "integer"}),
        },
        is_public=everything,
    )
    mapping = result["components"]["schemas"]["Union"]["discriminator"]["mapping"]
    assert mapping == {"a": "#/components/schemas/content.A"}


def test_operation_ids_are_unique() -> None:
    others = {name: document({f"/{name}": returning("A", "same")}, A={}) for name in ("content", "generation")}
    result = merged(OWN, others, is_public=everything)
    ids = [result["paths"][path]["get"]["operationId"] for path in ("/content", "/generation")]
    assert ids == ["same", "generation_same"]


def test_the_documents_that_came_in_stay_as_they_are() -> None:
    other = document({"/a": returning("Info", "root")}, Info={"type": "string"})
    before = repr((OWN, other))
    merged(OWN, {"content": other}, is_public=everything)
    assert repr((OWN, other)) == before


@pytest.mark.parametrize("broken", [{"$ref": "#/components/schemas/Nowhere"}, {"$ref": 7}])
def test_a_reference_to_nothing_stays(broken: dict[str, Any]) -> None:
    other = document({"/a": {"get": {"responses": {"200": broken}}}})
    result = merged(OWN, {"content": other}, is_public=everything)
    assert result["paths"]["/a"]["get"]["responses"]["200"] == broken
