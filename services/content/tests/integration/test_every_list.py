"""Every list of the service, in every order it has: each row is there once, and each way through it leads to all."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.routing import APIRoute

from genonaut.content.service import service
from genonaut.testkit.reads import Read, reads

LISTS = [
    route
    for router in service.routers
    for route in router.routes
    if isinstance(route, APIRoute) and "pagination" in getattr(route.response_model, "model_fields", ())
]

NAMES = {"popularity": "cardinality", "rating": "average_rating"}
"""What lists of tags call what they are sorted by."""


@dataclass(frozen=True)
class Way:
    """One list in one order, as it is asked for."""

    gallery: Any
    method: str
    read: Read

    async def page(self, *, slash: bool = False, **place: Any) -> dict[str, Any]:
        parameters = [*self.read.query, *place.items()]
        body = {"json": {}} if self.method == "POST" else {}
        path = self.read.path + "/" * slash
        response = await self.gallery.client.request(self.method, path, params=parameters, **body)
        assert response.status_code == 200, (self.read, place, response.text)
        answer: dict[str, Any] = response.json()
        return answer

    async def pages(self, follow: str, *, slash: bool, **start: Any) -> AsyncIterator[dict[str, Any]]:
        """From `start` on, by the cursor of this name, until there is none."""
        body = await self.page(slash=slash, **start)
        for _ in range(10):
            yield body
            if (there := body["pagination"][follow]) is None:
                return
            body = await self.page(slash=slash, page_size=start["page_size"], cursor=there)
        raise AssertionError(f"{self.read} goes on for ever")


def listed(document: Mapping[str, Any]) -> dict[str, str]:
    """The routes of the document that answer with a list, and their methods."""
    return {
        route: method.upper()
        for route, methods in document["paths"].items()
        for method, operation in methods.items()
        if "pagination" in _properties(document, operation)
    }


def _properties(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any]:
    content = operation["responses"].get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    properties: Mapping[str, Any] = schema.get("properties", {})
    return properties


def known(gallery: Any) -> dict[str, Sequence[Any]]:
    """Values with which every list has rows."""
    first, other = gallery.users[:2]
    shown = [item for item in gallery.items if not item["is_private"]]
    changed = {
        source: next(item["id"] for item in shown if item["source_type"] == source) for source in ("regular", "auto")
    }
    return {
        "/api/v1/users/{id}/recommendations:id": [first, other],
        # Of these there are two routes each: by the one they see their own, by the other what is somebody else's.
        **{key: [first] for key in ("/api/v1/users/*:id", "/api/v1/users/*:user_id")},
        "/api/v1/content/{id}/history:id": list(changed.values()),
        "/api/v1/content-auto/{id}/history:id": [changed["auto"]],
        "content_id": [_most_used(gallery)],
        "user_id": [other],
        "creator_id": [first],
        "content_type": ["image"],
        "interaction_type": ["view", "rate"],
        "algorithm": ["editors"],
    }


def _most_used(gallery: Any) -> int:
    shown = [item for item in gallery.items if not item["is_private"]]
    most: int = max(shown, key=lambda item: item["popularity"])["id"]
    return most


def ways(gallery: Any, document: Mapping[str, Any], route: str) -> Iterator[tuple[str, str, Way]]:
    """The list of this route in every order, as one who has items sees it; with the field and the order."""
    method = listed(document)[route]
    operation = document["paths"][route][method.lower()]
    orders = {each["name"]: each["schema"] for each in operation["parameters"] if each["name"].startswith("sort_")}
    alone = {"components": document["components"], "paths": {route: {"get": operation}}}
    for each in reads(alone, known(gallery), always={"user_id": gallery.users[0]}, varied=False):
        for field in orders["sort_field"]["enum"]:
            for order in orders["sort_order"]["enum"]:
                query = (*each.query, ("sort_field", field), ("sort_order", order))
                yield field, order, Way(gallery, method, Read(each.route, each.path, query))


def place_of(gallery: Any, route: str, field: str) -> Callable[[dict[str, Any]], tuple[Any, Any]]:
    """What says where a row is in the list, and tells it from others."""
    if route.startswith("/api/v1/content") and field == "popularity":
        popularity = {item["id"]: item["popularity"] for item in gallery.items}
        return lambda row: (popularity[row["id"]], row["id"])
    name = NAMES.get(field, field) if route.startswith("/api/v1/tags") else field
    return lambda row: (row[name], row.get("id", row.get("version")))


def in_order(places: Sequence[tuple[Any, Any]], order: str) -> list[tuple[Any, Any]]:
    """Those without a value are last in either order."""
    falling = order == "desc"
    there = sorted((each for each in places if each[0] is not None), reverse=falling)
    return there + sorted((each for each in places if each[0] is None), reverse=falling)


async def document_of(gallery: Any) -> dict[str, Any]:
    document: dict[str, Any] = (await gallery.client.get("/openapi.json")).json()
    return document


async def test_all_lists_are_walked(full_gallery: Any) -> None:
    assert listed(await document_of(full_gallery)) == {
        route.path_format: method for route in LISTS for method in route.methods
    }


@pytest.mark.parametrize("route", [route.path_format for route in LISTS])
async def test_each_way_through_a_list_meets_each_row_once_in_its_order(full_gallery: Any, route: str) -> None:
    document = await document_of(full_gallery)
    for field, order, way in ways(full_gallery, document, route):
        whole = await way.page(page_size=1000)
        rows, total = whole["items"], whole["pagination"]["total_count"]
        assert len(rows) == total, way.read
        places = [place_of(full_gallery, route, field)(row) for row in rows]
        assert places == in_order(places, order), way.read
        assert len({own for _, own in places}) == total, way.read
        assert total >= 3, (way.read, "is too short to be walked")

        size = -(-total // 3)
        # With and without a slash at the end it is one list: who walks forwards with it walks back without.
        slash = order == "desc"
        there = [page async for page in way.pages("next_cursor", slash=slash, page_size=size)]
        assert [row for page in there for row in page["items"]] == rows, way.read
        last = there[-1]["pagination"]["prev_cursor"]
        start = {"cursor": last} if slash else {"backward": True}
        back = [page async for page in way.pages("prev_cursor", slash=not slash, page_size=size, **start)]
        beyond = there[-1]["items"] if slash else []
        assert [row for page in reversed(back) for row in page["items"]] + beyond == rows, way.read
        assert {page["pagination"]["total_count"] for page in [*there, *back]} == {total}, way.read
