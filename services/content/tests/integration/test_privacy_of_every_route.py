"""What one person's private items hold changes nothing in what others read, wherever they read it.

Everything that can be read is read by another person and by nobody before and after, and is the same byte for byte.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from itertools import product
from typing import Any

import pytest

from genonaut.content.search import upkeep
from genonaut.content.tags.domain import id_of
from genonaut.testkit.reads import Read, reads

SEARCHES = [
    *({}, {"search_term": "secret"}, {"tags": ["secret"]}, {"tags": ["known"]}, {"exclude_tags": ["secret"]}),
    *({"metadata": {"secret": 1}}, {"min_quality_score": 0.9}, {"public_only": True}),
]
WITHOUT = [
    "preference_key",
    "preference_value",
    "page",
    "skip",
    "limit",
    "cursor",
    "creator_filter",
    "tag_match",
    "cache_bypass",
    "expires",
    "signature",
]
"""Parameters that show nothing by themselves that others do not."""
SECRET = 77
"""The number of ada's private picture."""

OWN = {"x-request-id", "x-cache"}
"""Headers that are about the request. What ends pages that are kept is claimed in `test_unified_cache.py`."""

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Town:
    """A gallery in which everybody does something in public, and ada something in private as well."""

    gallery: Any
    picture: Any
    people: dict[str, str] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    acts: list[int] = field(default_factory=list)
    recommended: list[int] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    async def found(self) -> None:
        for name in ("ada", "bob", "eve"):
            self.people[name] = await self.gallery.user(name)
        await self.gallery.post("/tags", {"slug": "known", "parents": ["roof"]})
        await self.gallery.post(f"/tags/{id_of('known')}/aliases", {"alias": "familiar"})
        for number, (name, path) in enumerate([("ada", "/content"), ("bob", "/content"), ("bob", "/content-auto")]):
            self.gallery.clock.now += timedelta(seconds=1)
            image = await self.gallery.image(self.picture(number), user_id=self.people[name])
            self.images.append(image["sha256"])
            item = await self.gallery.item(
                self.people[name], path, tags=["known", "open"], image=image["sha256"], quality_score=number / 4
            )
            self.items.append(item)
        for name in ("ada", "bob"):
            for item in self.items:
                await self.act(name, item, "rate", rating=4, duration=3)
            await self.gallery.done("POST", f"/tags/{id_of('known')}/rate", user_id=self.people[name], rating=4)
            await self.recommend(name, self.items[1])

    async def act(self, name: str, item: dict[str, Any], kind: str, **more: Any) -> int:
        body = {"user_id": self.people[name], "content_item_id": item["id"], "interaction_type": kind, **more}
        self.acts.append((await self.gallery.post("/interactions", body))["id"])
        return self.acts[-1]

    async def recommend(self, name: str, item: dict[str, Any]) -> int:
        body = {
            "user_id": self.people[name],
            "content_item_id": item["id"],
            "recommendation_score": 0.9,
            "algorithm_version": "editors@3",
        }
        self.recommended.append((await self.gallery.post("/recommendations", body))["id"])
        return self.recommended[-1]

    def known(self) -> dict[str, Sequence[Any]]:
        """What parameters take: what there is, and what there is going to be of ada's before it is there."""
        users, last = [self.people["ada"], self.people["bob"]], self.items[-1]["id"]
        items = [last + 1, last + 2, self.items[0]["id"], self.items[1]["id"]]
        tags = [str(id_of(slug)) for slug in ("secret", "known", "roof")]
        return {
            "/api/v1/users/*:id": users,
            "/api/v1/interactions/{id}:id": [self.acts[-1] + 1, self.acts[-1] + 2, self.acts[0]],
            "/api/v1/recommendations/{id}:id": [self.recommended[-1] + 1, self.recommended[0]],
            **dict.fromkeys(("id", "content_id"), items),
            **dict.fromkeys(("user_id", "creator_id"), users),
            "tag_id": tags,
            "tag_ids": tags[:1],
            "tag_ids[]": tags[:1],
            "tag_name": ["secret", "known"],
            "tag": ["secret", "known", "roof~descendants"],
            **dict.fromkeys(("tag_names", "exclude_tag"), ("secret",)),
            **dict.fromkeys(("q", "search", "search_term"), ("secret", "s")),
            "algorithm": ["editors", "private@1"],
            "content_source_types": ["user-regular", "community-regular", "community-auto"],
            "content_types": ["regular", "auto"],
            "min_quality_score": [0.9],
            **dict.fromkeys(("days", "max_depth", "min_ratings", "min_count", "min_cardinality"), (1,)),
            "max_count": [0],
            **dict.fromkeys(("username", "email"), ("ada",)),
            "sha256": [sha256(self.picture(SECRET)).hexdigest(), self.images[0]],
            "page_size": [1],
            **dict.fromkeys(WITHOUT, ()),
        }

    async def read(self, known: dict[str, Sequence[Any]], *names: str | None, varied: bool = True) -> dict[Any, Answer]:
        """Every answer to each of these people, and to nobody where it is None. The same question is asked once."""
        document = await self.document()
        searches = [path for path, methods in document["paths"].items() if "/search" in path and "post" in methods]
        answers: dict[Any, Answer] = {}
        for name in names:
            always = {"user_id": self.people[name] if name else None}
            # In another order there is the same to see, and once is enough for that.
            orders: dict[str, Sequence[Any]] = (
                {} if name else dict.fromkeys(("sort_field", "sort_order", "backward"), ())
            )
            for each in reads(document, known | orders, always=always, varied=varied):
                if each not in answers:
                    answers[each] = answer = await self.answer("GET", each)
                    if ("page_size", 1) in each.query and (cursor := next_cursor(answer)):
                        further = Read(each.route, each.path, (*each.query, ("cursor", cursor)))
                        answers[each, "next"] = await self.answer("GET", further)
            for path, (place, body) in product(searches, enumerate(SEARCHES)):
                query = tuple((key, value) for key, value in always.items() if value)
                answers[path, place, name] = await self.answer("POST", Read(path, path, query), json=body)
        return answers

    async def document(self) -> dict[str, Any]:
        document: dict[str, Any] = (await self.gallery.client.get("/openapi.json")).json()
        return document

    async def answer(self, method: str, read: Read, **body: Any) -> Answer:
        """Without what is about the request alone."""
        response = await self.gallery.client.request(method, read.path, params=read.query, **body)
        assert response.status_code < 500, (read, body, response.text)
        headers = {name: value for name, value in response.headers.items() if name not in OWN}
        own = f',"request_id":"{response.headers["x-request-id"]}"'
        return response.status_code, headers, response.content.replace(own.encode(), b"")

    async def happen_in_private(self) -> None:
        """All that ada can do with items of her own, and everything that is done with them by itself."""
        ada, database = {"user_id": self.people["ada"]}, self.gallery.runtime.database
        told = [self.acts[-1] + 1, self.acts[-1] + 2, self.recommended[-1] + 1]
        image = await self.gallery.image(self.picture(SECRET), user_id=ada["user_id"])
        secrets = [
            await self.gallery.item(
                ada["user_id"],
                path,
                title="secret",
                prompt="a secret",
                tags=["secret", "known", "below-known"],
                quality_score=0.99,
                item_metadata={"secret": 1},
                image=image["sha256"],
                is_private=True,
            )
            for path in ("/content", "/content-auto")
        ]
        assert [each["id"] for each in secrets] == self.known()["id"][:2]
        acts = [await self.act("ada", each, "rate", rating=1, duration=99) for each in secrets]
        await self.recommend("ada", secrets[0])
        assert [*acts, self.recommended[-1]] == told
        assert (await self.gallery.client.get(secrets[0]["path_thumb"])).status_code == 200
        await upkeep.fold_everything(database)
        now = self.gallery.clock.now
        self.gallery.clock.now += timedelta(days=1, hours=1)  # of which nothing public is
        own = f"?user_id={ada['user_id']}"
        for each in secrets:
            path = f"/content/{each['id']}"
            await self.gallery.put(path + own, {"title": "most secret", "tags": ["secret", "open", "more"]})
            await self.gallery.put(f"{path}/quality{own}", {"quality_score": 1})
            await self.act("ada", each, "like")
        await self.gallery.put(f"/interactions/{acts[0]}{own}", {"rating": 5})
        await self.gallery.post("/recommendations/served" + own, {"recommendation_ids": told[2:]}, status=200)
        await self.gallery.put(f"/recommendations/{told[2]}/feedback{own}", {"feedback": "like"})
        await upkeep.fold_everything(database)
        await self.recommend("ada", secrets[1])
        # What everybody saw for a moment, without a word that they had not known.
        shown = await self.gallery.item(ada["user_id"], tags=["known"], image=image["sha256"], is_private=True)
        await self.act("ada", shown, "like")
        for private in (False, True):
            await self.gallery.put(f"/content/{shown['id']}{own}", {"is_private": private})
            await upkeep.fold_everything(database)
        await self.gallery.delete(await self.gallery.item(ada["user_id"], tags=["secret"], is_private=True))
        assert not await upkeep.recount(database)
        self.gallery.clock.now = now

    async def liked_by_eve(self) -> list[dict[str, Any]]:
        """What she is generated, without what is new each time."""
        answer = await self.gallery.post("/recommendations/generate", {"user_id": self.people["eve"], "limit": 10})
        self.recommended += [each["id"] for each in answer["items"]]
        return [{**each, "id": None} for each in answer["items"]]


def next_cursor(answer: Answer) -> str | None:
    """Of a list that goes on."""
    body = json.loads(answer[2])
    return body["pagination"]["next_cursor"] if answer[0] == 200 and "pagination" in body else None


@pytest.fixture
async def town(still_gallery, picture) -> Town:
    town = Town(still_gallery, picture)
    await town.found()
    return town


async def test_nobody_else_can_tell_what_is_private(town) -> None:
    liked, known = await town.liked_by_eve(), town.known()
    before, own = await town.read(known, "bob", None), await town.read(known, "ada", varied=False)

    await town.happen_in_private()

    assert changed(before, await town.read(known, "bob", None)) == {}
    assert await town.liked_by_eve() == liked
    # All that is about items and asks who looks was asked so that it would have shown.
    seen = {each.route for each in changed(own, await town.read(known, "ada", varied=False)) if isinstance(each, Read)}
    about = {each.route for each in own if isinstance(each, Read) and dict(each.query).get("user_id")}
    assert {route for route in about - seen if not route.startswith("/api/v1/tags/")} == set()
    assert (len(liked), len(before) > 500) == (3, True)


async def test_a_cursor_is_no_use_to_anybody_else(town) -> None:
    ada, bob, known = town.people["ada"], town.people["bob"], town.known()
    await town.happen_in_private()
    routes = set()
    for each in reads(await town.document(), known, always={"user_id": ada}):
        query = dict(each.query)
        if query.keys() >= {"user_id", "page_size"} and (cursor := next_cursor(await town.answer("GET", each))):
            routes.add(each.route)
            query = {"page_size": 1, "cursor": cursor}
            for viewer in ({}, {"user_id": bob}):
                problem = await town.gallery.problem(
                    "GET", each.path.removeprefix("/api/v1"), params={**query, **viewer}
                )
                assert problem == (400, "INVALID_CURSOR"), each
    assert len(routes) > 15


def changed(before: dict[Any, Answer], after: dict[Any, Answer]) -> dict[Any, tuple[Answer | None, Answer | None]]:
    """The answers that are not the same."""
    asked = before.keys() | after.keys()
    return {each: (before.get(each), after.get(each)) for each in asked if before.get(each) != after.get(each)}
