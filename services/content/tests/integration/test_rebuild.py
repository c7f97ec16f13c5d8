"""Every projection rebuilt from the event log equals the live one, byte for byte."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from genonaut.content.images.sweep import sweep
from genonaut.content.interactions.counting import TYPES
from genonaut.content.jobs.projection import jobs_projection
from genonaut.content.search.upkeep import fold_everything
from genonaut.content.service import service
from genonaut.content.tags.domain import id_of
from genonaut.content.users.projection import users_projection
from genonaut.contracts.generation import JobCancelled, JobRequested, JobRequeued, JobStarted, SamplerParams
from genonaut.contracts.streams import CONTENT_JOB_COUNTS, GENERATION
from genonaut.platform.bus import Message
from genonaut.platform.replay import Rebuild
from genonaut.testkit.envelopes import enveloped

AWKWARD = {
    "numbers": [0, -0.0, 1e22, 1e-7, 0.1, 2**64 - 1, -(2**63), 1.5e300, 123456789.123456789],
    "text": "Ä \u2028 🙂 \\ \" '",
    "nested": [[], {}, {"b": None, "a": [True, False]}],
}

SHOWN = ["/content", "/content-auto", "/tags/hierarchy", f"/tags/{id_of('sky')}", "/tags/by-name/heaven"]


async def fill(gallery, picture) -> None:
    """Something of everything, partly at once."""
    ada, bob = await gallery.user("ada", preferences=AWKWARD), await gallery.user("bob")
    for changes in ({"theme": "dark"}, AWKWARD, {"theme": None}):
        gallery.clock.now += timedelta(milliseconds=1)
        await gallery.client.put(f"/api/v1/users/{bob}/preferences", json={"preferences": changes})
    await gallery.put(f"/users/{ada}", {"username": "Ada_2", "is_active": False})
    await gallery.put(f"/users/{ada}", {"email": "ada@example.com", "is_active": True})
    await say_jobs(gallery, UUID(ada), UUID(bob))
    await gallery.post("/tags", {"slug": "sky", "parents": ["nature", "air"]})
    await gallery.post("/tags", {"name": "Night Sky", "parents": ["sky", "night"]})
    sky, night = id_of("sky"), id_of("night")
    await gallery.client.delete(f"/api/v1/tags/{sky}/parents/{id_of('air')}")
    await gallery.post(f"/tags/{sky}/aliases", {"alias": "heaven"})
    await gallery.post(f"/tags/{night}/aliases", {"alias": "dark"})
    await gallery.client.delete(f"/api/v1/tags/{night}/aliases/dark")
    await gallery.post(f"/tags/{sky}/implications", {"implied": "nature"})
    await gallery.post(f"/tags/{sky}/implications", {"implied": "night"})
    await gallery.client.delete(f"/api/v1/tags/{sky}/implications/{night}")
    for tag in (sky, night):
        await asyncio.gather(
            *(gallery.done("POST", f"/tags/{tag}/rate", user_id=user, rating=4.5) for user in (ada, bob)),
            *(gallery.done("POST", f"/tags/{tag}/favorite", user_id=user) for user in (ada, bob)),
        )
    await gallery.done("POST", f"/tags/{sky}/rate", user_id=bob, rating=1)
    await gallery.done("DELETE", f"/tags/{sky}/rate", user_id=ada)
    await gallery.done("DELETE", f"/tags/{night}/favorite", user_id=ada)
    images = [await gallery.image(picture(n % 3 + 1), user_id=[None, ada, bob][n % 3]) for n in range(6)]
    await asyncio.gather(
        *(
            gallery.item(
                [ada, bob][number % 2],
                ["/content", "/content-auto"][number % 3 == 0],
                title=f"Title {number}",
                item_metadata=AWKWARD,
                tags=[f"tag-{number % 5}", "sky"],
                quality_score=number / 17,
                is_private=number % 4 == 0,
                # An image of a private item is its creator's.
                **({"image": images[0]["sha256"]} if number % 4 == 1 else {}),
            )
            for number in range(12)
        )
    )
    await interact(gallery, [ada, bob])
    await recommend(gallery, [ada, bob])
    ids = sorted(await gallery.ids("/content/unified", page_size=100))
    for number, item_id in enumerate(ids[:6]):
        gallery.clock.now += timedelta(milliseconds=1)
        changes = [{"title": "New"}, {"tags": ["sky", "new"]}, {"is_private": True}, {"item_metadata": AWKWARD}]
        response = await gallery.client.put(f"/api/v1/content/{item_id}", json=changes[number % 4])
        assert response.status_code == 200, response.text
    await gallery.client.put(f"/api/v1/content/{ids[1]}/quality", json={"quality_score": 0.9})
    await gallery.client.delete(f"/api/v1/content/{ids[0]}")


async def interact(gallery, users: list[str]) -> None:
    """All kinds of interactions with items of all kinds, some changed, some taken back; items come to other states."""
    items = {user: (await gallery.get("/content", user_id=user))["items"] for user in users}
    bodies = [
        {
            "user_id": user,
            "content_item_id": item["id"],
            "interaction_type": TYPES[number % 7],
            "rating": number % 5 + 1,
            "duration": number,
            "metadata": AWKWARD,
            "client_id": f"{number}",
        }
        for user in users
        for number, item in enumerate(items[user] * 2)
    ]
    gallery.clock.now += timedelta(hours=5)
    answer = await gallery.post("/interactions/bulk", bodies)
    for number, result in enumerate(answer["results"][::3]):
        gallery.clock.now += timedelta(hours=5)
        path = f"/api/v1/interactions/{result['id']}"
        user = bodies[number * 3]["user_id"]
        if number % 2:
            assert (await gallery.client.delete(path, params={"user_id": user})).status_code == 200
        else:
            changes = {"interaction_type": "like", "rating": None, "metadata": {"a": -0.0}}
            changed = await gallery.client.put(path, params={"user_id": user}, json=changes)
            assert changed.status_code == 200


async def recommend(gallery, users: list[str]) -> None:
    """Made by hand and generated, twice; served, judged, changed, deleted."""
    items = {user: (await gallery.get("/content", user_id=user))["items"] for user in users}
    made = []
    for user in users:
        facts = {"recommendation_score": 0.1, "algorithm_version": "hand@1", "metadata": AWKWARD}
        bodies = [{"user_id": user, "content_item_id": item["id"], **facts} for item in items[user]]
        gallery.clock.now += timedelta(hours=5)
        made += (await gallery.post("/recommendations/bulk", bodies))["items"]
        for limit in (3, 2):
            made += (await gallery.post("/recommendations/generate", {"user_id": user, "limit": limit}))["items"]
    ids = [each["id"] for each in made]
    await gallery.post("/recommendations/served", {"recommendation_ids": ids[::2]}, status=200)
    for number, recommendation_id in enumerate(ids):
        gallery.clock.now += timedelta(seconds=1)
        path = f"/api/v1/recommendations/{recommendation_id}"
        feedback = {"feedback": ["like", "dislike", "clicked"][number % 3]}
        if number % 4 == 0:
            await gallery.client.put(f"{path}/feedback", json=feedback)
        elif number % 4 == 1:
            await gallery.client.put(path, json={"recommendation_score": 1 / 3, "algorithm_version": "x"})
        elif number % 8 == 3:
            await gallery.client.delete(path)


async def say_jobs(gallery, *users: UUID) -> None:
    """Jobs in some states, and heard of; each event twice."""
    messages = []
    for job_id in range(1, 9):
        of = {"job_id": job_id, "user_id": users[job_id % len(users)]}
        story = [
            JobRequested(
                **of,
                job_type="image_generation",
                prompt="p",
                checkpoint_model="m",
                width=64,
                height=64,
                batch_size=1,
                sampler_params=SamplerParams(seed=1),
                is_private=job_id % 3 == 0,
            ),
            JobStarted(**of, attempt=1, worker="gpu-1", comfyui_prompt_id=UUID(int=job_id), queue_wait_ms=1),
            JobRequeued(**of, attempt=1, reason="worker_lost"),
            JobCancelled(**of, attempt=1, reason="", checkpoint_model="m"),
        ]
        for sequence, event in enumerate(story[: job_id % 4 + 1], start=1):
            envelope = enveloped(event, job_id, time=gallery.clock.now, sequence=sequence)
            address = GENERATION.subject(envelope.type, envelope.subject)
            messages += [Message(address, envelope.to_json(), f"{envelope.id}-{again}") for again in range(2)]
    random.Random(1).shuffle(messages)
    await gallery.platform.bus.publish(GENERATION.name, messages)
    await gallery.platform.settled(CONTENT_JOB_COUNTS)


async def rebuilt(gallery, owner, projection, *, swap=False):
    bus = gallery.platform.bus if projection.source else None
    return await Rebuild(projection, service="content", database=owner, bus=bus).run(
        swap=swap, progress=lambda *_: None
    )


async def use_and_forget(gallery, picture) -> None:
    """Images that are brought, shown, no longer shown, retired, removed and brought again, partly at once."""
    runtime = gallery.runtime
    ada = await gallery.user("ida")
    gallery.clock.now = datetime.now(UTC)
    hashes = [(await gallery.image(picture(seed), user_id=ada))["sha256"] for seed in range(10, 16)]
    items = [await gallery.item(ada, image=sha256) for sha256 in hashes for _ in range(2)]
    gone = [item["id"] for number, item in enumerate(items) if number % 4 or number < 4]
    await asyncio.gather(*(gallery.client.delete(f"/api/v1/content/{item_id}") for item_id in gone))
    gallery.clock.now += timedelta(days=2)
    await asyncio.gather(
        sweep(runtime), sweep(runtime), *(gallery.image(picture(seed), user_id=ada) for seed in (10, 11))
    )
    await asyncio.gather(sweep(runtime), *(gallery.image(picture(seed)) for seed in (11, 12)))


async def test_every_projection_rebuilt_equals_the_live_one(gallery, picture) -> None:
    await fill(gallery, picture)
    await use_and_forget(gallery, picture)

    async with gallery.platform.database("content", as_owner=True) as owner:
        for projection in service.projections:
            report = await rebuilt(gallery, owner, projection)

            assert report.equal, report
            assert all(table.live_rows == table.rebuilt_rows > 0 for table in report.tables), report


@pytest.mark.parametrize("folded", [False, True])
async def test_a_damaged_projection_is_repaired_by_its_rebuild(gallery, picture, folded) -> None:
    await fill(gallery, picture)
    if folded:
        await fold_everything(gallery.runtime.database)
    whole = [await gallery.get(path) for path in SHOWN]

    async with gallery.platform.database("content", as_owner=True) as owner:
        async with owner.transaction() as connection:
            await connection.execute(text("DELETE FROM content_items_all WHERE id % 3 = 0"))
            await connection.execute(text("UPDATE content_items_all SET title = 'x' WHERE id % 3 = 1"))
            await connection.execute(text("DELETE FROM tag_parents"))
            await connection.execute(text("DELETE FROM user_interactions WHERE id % 2 = 0"))
            await connection.execute(text("UPDATE interaction_totals SET total = total + 1"))
            await connection.execute(text("DELETE FROM item_popularity"))
            await connection.execute(text("DELETE FROM recommendations WHERE id % 2 = 0"))
            await connection.execute(text("UPDATE recommendation_totals SET total = total + 1"))
            await connection.execute(text("DELETE FROM recommendation_user_counts"))
            await connection.execute(text("DELETE FROM search_rows WHERE item_id % 3 = 0"))
            await connection.execute(text("UPDATE search_rows SET keys = '{2}' WHERE item_id % 3 = 1"))
            await connection.execute(text("UPDATE tag_cardinality_stats SET cardinality = 7"))
            await connection.execute(text("UPDATE users SET is_active = false, username = 'x' WHERE username = 'bob'"))
            await connection.execute(text("UPDATE tag_closure SET depth = depth + 1"))
            await connection.execute(text("DELETE FROM tag_aliases"))
            await connection.execute(text("UPDATE tag_rating_totals SET half_stars = 0"))
            await connection.execute(text("UPDATE user_job_counts SET running = running + 1"))
            await connection.execute(text("DELETE FROM user_jobs WHERE job_id = 1"))
        if folded:  # the index follows what is swapped in
            await fold_everything(gallery.runtime.database)
        for projection in service.projections:
            await rebuilt(gallery, owner, projection, swap=True)
            assert (await rebuilt(gallery, owner, projection)).equal

    assert [await gallery.get(path) for path in SHOWN] == whole
    partitions = await gallery.rows("SELECT DISTINCT tableoid::regclass::text, source_type FROM content_items_all")
    assert sorted(partitions) == [("content_items", "items"), ("content_items_auto", "auto")]


@pytest.mark.parametrize("seed", range(5))
async def test_any_commands_leave_live_tables_that_a_rebuild_makes_again(gallery, seed) -> None:
    """Half of them at once, and all after the same few names: most are refused, and some take what others leave."""
    choose = random.Random(seed)
    known = [await gallery.user(name) for name in ("ada", "bob", "eve", "Zoe")]
    names = ["ADA", "bob", "Eve", "zoe", "new-1", "new-2"]

    def command():
        gallery.clock.now += timedelta(milliseconds=1)
        user, name = f"/api/v1/users/{choose.choice(known)}", choose.choice(names)
        return choose.choice(
            [
                ("POST", "/api/v1/users", {"username": name, "email": f"{choose.choice(names)}@example.org"}),
                ("PUT", user, {"username": name}),
                ("PUT", user, {"email": f"{name}@Example.org", "is_active": choose.random() < 0.5}),
                ("PUT", user, {"username": name, "email": f"{name}@example.org"}),
                ("PUT", f"{user}/status", {"is_active": choose.random() < 0.5}),
                ("PUT", f"{user}/preferences", {"preferences": {choose.choice("ab"): choose.choice([0, False])}}),
                ("PUT", f"/internal/v1/users/{known[0]}/password", {"password": "correct horse"}),
                ("DELETE", user, None),
            ]
        )

    answers = set()
    for size in choose.choices([1, 2, 8], k=25):
        asked = [
            gallery.client.request(method, path, json=body) for method, path, body in (command() for _ in range(size))
        ]
        answers |= {answer.status_code for answer in await asyncio.gather(*asked)}

    assert {200, 409} <= answers <= {200, 201, 409}
    async with gallery.platform.database("content", as_owner=True) as owner:
        report = await rebuilt(gallery, owner, users_projection)
    assert report.equal, report
    assert report.failed == 0


async def test_job_counts_go_with_their_jobs_when_both_are_damaged(gallery) -> None:
    ada = await gallery.user("ada")
    await say_jobs(gallery, UUID(ada))
    whole = await gallery.get(f"/users/{ada}/stats", user_id=ada)
    assert whole["generation_jobs"] == {
        "pending": 4, "running": 2, "completed": 0, "failed": 0, "cancelled": 2, "total": 8,
    }  # fmt: skip
    stranger = await gallery.get(f"/users/{ada}/stats")
    assert stranger["generation_jobs"]["total"] == 6

    async with gallery.platform.database("content", as_owner=True) as owner:
        async with owner.transaction() as connection:
            await connection.execute(text("DELETE FROM user_job_counts"))
            await connection.execute(text("UPDATE user_jobs SET status = 'failed', sequence = 99"))
        assert not (await rebuilt(gallery, owner, jobs_projection)).equal
        assert (await rebuilt(gallery, owner, jobs_projection, swap=True)).swapped
    assert await gallery.get(f"/users/{ada}/stats", user_id=ada) == whole

    await say_jobs(gallery, UUID(ada))  # and nothing of it is counted again
    assert await gallery.get(f"/users/{ada}/stats", user_id=ada) == whole
