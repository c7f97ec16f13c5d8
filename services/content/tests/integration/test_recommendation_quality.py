"""Recommendations on people with tastes: better than what is popular, and never what must not be."""

import asyncio
import json
import random
from dataclasses import asdict
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from genonaut.content.commands import app
from genonaut.content.interactions.commands import record
from genonaut.content.interactions.domain import Draft, Facts
from genonaut.content.recommenders.algorithms import BEST, POPULAR, called
from genonaut.content.recommenders.evaluation import RANDOM, NothingToEvaluateError, evaluate
from genonaut.testkit.tastes import Tastes, play, user_id

NEW = 60
"""People who have done nothing yet."""

SMALL = Tastes(users=60, items=200, acts=1_500, creators=15, themes=8, seed=3)


async def evaluated(gallery, **more: Any):
    asked = {"split": 0.8, "k": 20, "users": 100} | more
    async with gallery.platform.database("content", as_owner=True) as owner:
        return await evaluate(owner, [BEST, POPULAR], **asked)


async def test_people_with_tastes_find_more_than_what_is_popular(gallery, monkeypatch) -> None:
    before = await gallery.rows("SELECT count(*) FROM user_interactions")
    await play(gallery.runtime.store, gallery.clock, SMALL)
    progress: list[tuple[int, int]] = []

    evaluation = await evaluated(gallery, progress=lambda *done: progress.append(done))

    results = {each.algorithm: each for each in evaluation.results}
    best, popular, chance = (results[name] for name in (called(BEST), called(POPULAR), RANDOM))
    assert best.recall >= 1.5 * popular.recall > 0
    assert popular.recall > chance.recall
    assert best.coverage > popular.coverage
    assert best.overlap < popular.overlap
    assert best.answered == popular.answered == 1.0
    assert progress[-1][0] == progress[-1][1]
    assert await gallery.rows("SELECT count(*) FROM user_interactions") == [(before[0][0] + SMALL.acts,)]

    # Promised is something for at least 95 % of them, of which a few people would say nothing.
    answers = [await gallery.post("/recommendations/generate", {"user_id": await gallery.user()}) for _ in range(NEW)]
    assert [answer["total"] for answer in answers] == [20] * NEW

    monkeypatch.setenv("DATABASE_ADMIN_URL", gallery.platform.admin_url())
    settings = {
        "APP_ENV": "test",
        "DATABASE_URL": gallery.platform.database_url("content"),
        "NATS_URL": gallery.platform.nats_url,
        "API_SECRET_KEY": "a test's secret key, long enough to sign with",
        "OBJECT_STORE_URL": gallery.platform.objects_url,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    shown = await in_thread(["evaluate-recommendations", "--users", "100", "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout) == asdict(evaluation)  # the same every time, and nothing is left of the first
    table = await in_thread(["evaluate-recommendations", "--users", "10", "--algorithm", "popular"])
    assert "recall@20" in table.stdout
    assert (await in_thread(["evaluate-recommendations", "--algorithm", "magic"])).exit_code == 2


async def in_thread(arguments: list[str]):
    """The command has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, arguments)


async def test_where_nobody_did_anything_there_is_nothing_to_evaluate(gallery) -> None:
    with pytest.raises(NothingToEvaluateError):
        await evaluated(gallery)


@pytest.mark.parametrize("seed", range(2))
async def test_nothing_private_own_seen_or_unwanted_is_ever_recommended(gallery, seed) -> None:
    """Whatever people do, and whatever becomes of items, in any order."""
    choose = random.Random(seed)
    tastes = Tastes(users=12, items=60, acts=150, creators=4, themes=3, seed=seed)
    await play(gallery.runtime.store, gallery.clock, tastes)
    users = [str(user_id(number)) for number in range(tastes.users)]
    makers = dict(await gallery.rows("SELECT id, creator_id FROM content_items_all"))
    private: set[int] = set()
    unwanted: dict[str, set[int]] = {user: set() for user in users}
    recommended = 0

    for _ in range(25):
        user, item_id = choose.choice(users), choose.choice(list(makers))
        owner = {"user_id": str(makers[item_id])}
        match choose.randrange(3):
            case 0:
                is_private = item_id not in private
                path = f"/api/v1/content/{item_id}"
                answer = await gallery.client.put(path, params=owner, json={"is_private": is_private})
                assert answer.status_code == 200
                private ^= {item_id}
            case 1:
                await gallery.done("DELETE", f"/content/{item_id}", **owner)
                del makers[item_id]
                private.discard(item_id)
            case _ if item_id not in private:
                draft = Draft(UUID(user), item_id, Facts("view"))
                await gallery.runtime.database.transact(
                    lambda connection, draft=draft: record(gallery.runtime.store, connection, [draft])
                )
        for asked in choose.sample(users, 2):
            answer = await gallery.post("/recommendations/generate", {"user_id": asked, "limit": 40})
            seen = {
                each
                for (each,) in await gallery.rows(
                    "SELECT content_item_id FROM user_interactions WHERE user_id = CAST(:user AS uuid)", user=asked
                )
            }
            items = {each["content_item_id"] for each in answer["items"]}
            recommended += len(items)
            assert items <= makers.keys() - private - seen - unwanted[asked]
            assert str(asked) not in {str(makers[each]) for each in items}
            assert all(each["content"] and each["reasons"] for each in answer["items"])
            if items:
                least = answer["items"][-1]
                await gallery.put(f"/recommendations/{least['id']}/feedback", {"feedback": "dislike"})
                unwanted[asked].add(least["content_item_id"])
    assert recommended > 100
