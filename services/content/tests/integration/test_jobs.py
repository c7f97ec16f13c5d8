"""A completed generation job becomes one item for each image: all of them, once, however often it is said."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from genonaut.content.items import commands
from genonaut.content.users.domain import USER, Register
from genonaut.contracts import Envelope
from genonaut.contracts.content import ItemCreated
from genonaut.contracts.generation import JobCompleted
from genonaut.contracts.images import StoredImage
from genonaut.contracts.streams import CONTENT_JOBS
from genonaut.platform import dead_letters
from genonaut.platform.bus import Message
from genonaut.platform.images import store_image
from genonaut.platform.redrive import redrive
from genonaut.testkit.envelopes import enveloped
from genonaut.testkit.waiting import eventually

JOB = 7


async def stored(gallery, picture, count: int = 2) -> list[StoredImage]:
    """Images as a driver leaves them."""
    return [
        await store_image(gallery.runtime.objects, gallery.runtime.pictures, picture(number + 1))
        for number in range(count)
    ]


def completed(user: str, images: Sequence[StoredImage], **more: Any) -> JobCompleted:
    facts: dict[str, Any] = {
        "job_id": JOB,
        "user_id": UUID(user),
        "attempt": 1,
        "images": list(images),
        "generation_ms": 5000,
        "title": "A lighthouse",
        "prompt": "a lighthouse at dusk",
        "tags": ["Night Sky", "sea"],
        "checkpoint_model": "model.safetensors",
        "item_metadata": {"steps": 28, "cfg": 5.5, "seed": 2**64 - 1},
    }
    return JobCompleted(**(facts | more))


def completed_envelope(gallery, event: JobCompleted) -> Envelope:
    return enveloped(event, event.job_id, time=gallery.clock.now, sequence=3)


async def say(gallery, envelope: Envelope, *, message_id: str | None = None) -> None:
    """Put it on the bus; with a `message_id` of its own, JetStream does not see that it is a repeat."""
    subject = f"generation.job.completed.{envelope.subject}"
    message = Message(subject, envelope.to_json(), message_id or str(envelope.id))
    await gallery.platform.bus.publish("GENERATION", [message])


async def published(gallery) -> list[ItemCreated]:
    """What the bus was told, in its order."""
    jetstream = gallery.platform.bus.jetstream
    last = (await jetstream.stream_info("CONTENT")).state.last_seq
    envelopes = [Envelope.from_json((await jetstream.get_msg("CONTENT", seq=n + 1)).data) for n in range(last)]
    return [event for envelope in envelopes if isinstance(event := envelope.event(), ItemCreated)]


async def test_every_image_becomes_an_item(gallery, picture) -> None:
    ada = await gallery.user("ada")
    images = await stored(gallery, picture)
    envelope = completed_envelope(gallery, completed(ada, images))

    await say(gallery, envelope)
    await gallery.platform.settled(CONTENT_JOBS)

    items = sorted((await gallery.get("/content"))["items"], key=lambda item: item["id"])
    assert [item["image"]["sha256"] for item in items] == [image.sha256 for image in images]
    for item in items:
        assert (item["title"], item["prompt"], item["creator_username"]) == (
            "A lighthouse",
            "a lighthouse at dusk",
            "ada",
        )
        assert (item["tags"], item["job_id"], item["is_public"]) == (["night-sky", "sea"], JOB, True)
        assert (item["quality_score"], item["source_type"], item["content_type"]) == (0.5, "regular", "image")
        assert item["item_metadata"] == {"steps": 28, "cfg": 5.5, "seed": 2**64 - 1}
        assert item["path_thumb"] == f"/api/v1/images/{item['image']['sha256']}?size=300"
        assert (await gallery.client.get(item["path_thumb"])).status_code == 200
    causes = await gallery.rows("SELECT DISTINCT causation_id, correlation_id FROM events WHERE stream LIKE 'item-%'")
    assert causes == [(envelope.id, "request-1")]


async def test_generation_is_told_which_items_they_are(gallery, picture) -> None:
    ada = await gallery.user()
    images = await stored(gallery, picture, count=3)

    await say(gallery, completed_envelope(gallery, completed(ada, images)))

    told = await eventually(lambda: _told(gallery, 3))
    assert [(event.job_id, event.image_index, event.image_count) for event in told] == [(JOB, n, 3) for n in range(3)]
    assert [event.image for event in told] == images


async def _told(gallery, count: int) -> list[ItemCreated] | None:
    told = await published(gallery)
    return told if len(told) == count else None


async def test_a_redelivered_a_doubled_and_a_restated_completion_change_nothing(gallery, picture) -> None:
    ada = await gallery.user()
    event = completed(ada, await stored(gallery, picture))
    envelope = completed_envelope(gallery, event)

    await say(gallery, envelope)
    await say(gallery, envelope, message_id="the same event under another message id")
    await say(gallery, completed_envelope(gallery, event))
    await gallery.platform.settled(CONTENT_JOBS)

    assert await gallery.rows("SELECT job_id, image_index FROM content_items_all ORDER BY id") == [(JOB, 0), (JOB, 1)]
    assert await gallery.rows("SELECT count(*) FROM events WHERE type = 'content.item.created'") == [(2,)]
    assert await gallery.rows("SELECT count(*) FROM inbox") == [(2,)]


async def test_it_is_all_of_them_or_none(gallery, picture, monkeypatch) -> None:
    """The second image fails at first; no reader ever sees the first alone."""
    ada = await gallery.user()
    monkeypatch.setattr("random.uniform", lambda *_: 0.01)
    create, calls = commands.create, []

    async def failing(*arguments: Any) -> int:
        calls.append(await gallery.rows("SELECT count(*) FROM content_items_all"))
        if len(calls) == 2:
            raise RuntimeError("not yet")
        return await create(*arguments)

    monkeypatch.setattr(commands, "create", failing)
    await say(gallery, completed_envelope(gallery, completed(ada, await stored(gallery, picture))))
    await gallery.platform.settled(CONTENT_JOBS)

    assert calls == [[(0,)]] * 4
    assert await gallery.rows("SELECT count(*) FROM content_items_all") == [(2,)]


async def test_a_private_job_makes_private_items(gallery, picture) -> None:
    ada = await gallery.user()

    await say(gallery, completed_envelope(gallery, completed(ada, await stored(gallery, picture, 1), is_private=True)))
    await gallery.platform.settled(CONTENT_JOBS)

    assert await gallery.ids("/content") == []
    (item,) = (await gallery.get("/content", user_id=ada))["items"]
    assert (await gallery.client.get(item["path_thumb"])).status_code == 200
    assert (await gallery.client.get(item["path_thumb"].partition("&")[0])).status_code == 404


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["a/b", "sea", str(uuid4()), "Sea"], ["sea"]),
        ([f"t{number}" for number in range(105)], [f"t{number}" for number in range(100)]),
    ],
)
async def test_a_picture_is_not_lost_to_a_word(gallery, picture, given, kept) -> None:
    ada = await gallery.user()
    event = completed(ada, await stored(gallery, picture, 1), tags=given, title="  ", prompt="p" * 300)

    await say(gallery, completed_envelope(gallery, event))
    await gallery.platform.settled(CONTENT_JOBS)

    (item,) = (await gallery.get("/content"))["items"]
    assert (item["tags"], item["title"]) == (kept, "p" * 255)


async def test_a_job_of_nobody_is_parked_and_redriven_when_there_is_somebody(gallery, picture, monkeypatch) -> None:
    monkeypatch.setattr("random.uniform", lambda *_: 0.01)
    stranger = uuid4()
    event = completed(str(stranger), await stored(gallery, picture, 1))

    await say(gallery, completed_envelope(gallery, event))
    letter = (await eventually(lambda: _letters(gallery)))[0]
    assert letter.error.startswith("UnknownCreatorError")
    assert await gallery.ids("/content") == []

    await gallery.runtime.store.execute(USER, stranger, Register(stranger, 1, "late", "late@example.org"))
    assert await redrive(gallery.runtime, letter.id) is None

    assert [item["creator_username"] for item in (await gallery.get("/content"))["items"]] == ["late"]
    assert await _letters(gallery) == []


async def _letters(gallery) -> list[dead_letters.DeadLetter]:
    async with gallery.runtime.database.reading() as connection:
        return list(await dead_letters.waiting(connection))
