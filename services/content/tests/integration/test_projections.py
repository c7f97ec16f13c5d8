"""What each event does to the tables: given these events, then exactly these rows."""

import asyncio
import random
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import Table, select
from sqlalchemy.exc import IntegrityError

from genonaut.content.images.projection import images_projection
from genonaut.content.images.tables import image_uploads, images
from genonaut.content.interactions.counting import EVERYONE, POPULARITY, stripe_of_item, stripe_of_user
from genonaut.content.interactions.projection import interactions_projection
from genonaut.content.interactions.tables import (
    client_ids,
    interactions,
    item_counts,
    item_facts,
    pairs,
    popularity,
    totals,
    user_counts,
    user_creators,
)
from genonaut.content.items.projection import items_projection
from genonaut.content.items.tables import items
from genonaut.content.jobs.projection import jobs_projection
from genonaut.content.jobs.tables import user_job_counts, user_jobs
from genonaut.content.recommendations.projection import recommendations_projection
from genonaut.content.recommendations.tables import item_facts as recommendation_items
from genonaut.content.recommendations.tables import recommendations
from genonaut.content.recommendations.tables import totals as recommendation_totals
from genonaut.content.recommendations.tables import user_counts as recommendation_counts
from genonaut.content.tag_completion.projection import tag_completion_projection
from genonaut.content.tag_completion.tables import tag_word_revisions
from genonaut.content.tag_meanings.projection import tag_meanings_projection
from genonaut.content.tag_meanings.tables import tag_aliases, tag_implications
from genonaut.content.tag_opinions.projection import tag_opinions_projection
from genonaut.content.tag_opinions.tables import tag_favorites, tag_rating_totals, tag_ratings
from genonaut.content.tags.domain import id_of
from genonaut.content.tags.projection import tags_projection
from genonaut.content.tags.tables import tag_closure, tag_parents, tags
from genonaut.content.users.projection import users_projection
from genonaut.content.users.tables import users
from genonaut.contracts.content import (
    ImageRemoved,
    ImageRetired,
    ImageUploaded,
    ImpliedTag,
    InteractionChanged,
    InteractionDeleted,
    InteractionRecorded,
    ItemCreated,
    ItemDeleted,
    ItemEdited,
    ItemMadePrivate,
    ItemMadePublic,
    ItemQualityChanged,
    ItemRetagged,
    ItemTagsImplied,
    Reason,
    RecommendationChanged,
    RecommendationDeleted,
    RecommendationJudged,
    RecommendationMade,
    RecommendationServed,
    TagAliasAdded,
    TagAliasRemoved,
    TagCreated,
    TagFavorited,
    TagImplicationAdded,
    TagImplicationRemoved,
    TagParentAdded,
    TagParentRemoved,
    TagPublished,
    TagRated,
    TagRatingRemoved,
    TagUnfavorited,
    UserActivated,
    UserDeactivated,
    UserPreferencesChanged,
    UserProfileChanged,
    UserRegistered,
)
from genonaut.contracts.generation import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobRequested,
    JobRequeued,
    JobStarted,
    SamplerParams,
)
from genonaut.contracts.images import StoredImage
from genonaut.testkit.projections import at, minute

ADA, BOB = UUID(int=1), UUID(int=2)
SKY, SEA, NATURE = UUID(int=11), UUID(int=12), UUID(int=13)
PICTURE = StoredImage(sha256="a" * 64, media_type="image/png", width=3, height=2, size_bytes=2**40)


@pytest_asyncio.fixture
async def tables(tables_of):
    async with tables_of("content") as tables:
        yield tables


def registered(user_id, username, **preferences) -> UserRegistered:
    return UserRegistered(
        number=1, user_id=user_id, username=username, email=f"{username.lower()}@example.org", preferences=preferences
    )


def user(user_id, username, *, created_at, updated_at, **preferences):
    return {
        "id": user_id,
        "username": username,
        "email": f"{username.lower()}@example.org",
        "is_active": True,
        "preferences": preferences,
        "created_at": created_at,
        "updated_at": updated_at,
    }


async def test_users_are_as_they_registered_and_their_preferences_are_merged_key_by_key(tables) -> None:
    at_first = {"theme": "dark", "language": "en", "ui": {"wide": True, "big": 1}}
    await tables.given(users_projection, at(1, registered(ADA, "Ada", **at_first)), at(2, registered(BOB, "bob")))
    bob = user(BOB, "bob", created_at=minute(2), updated_at=minute(2))
    assert await tables.rows(users) == [
        user(ADA, "Ada", created_at=minute(1), updated_at=minute(1), **at_first),
        bob,
    ]

    changes = {"theme": None, "ui": {"wide": False}, "page_size": 50}
    await tables.given(users_projection, at(3, UserPreferencesChanged(user_id=ADA, changes=changes)))
    assert await tables.rows(users) == [
        user(ADA, "Ada", created_at=minute(1), updated_at=minute(3), language="en", **changes),
        bob,
    ]


async def test_a_user_name_or_an_address_that_is_taken_is_refused(tables) -> None:
    await tables.given(users_projection, at(1, registered(ADA, "Ada")))
    same_name = UserRegistered(number=1, user_id=BOB, username="aDA", email="bob@example.org")
    same_address = UserRegistered(number=1, user_id=BOB, username="bob", email="ada@example.org")

    for event, index in ((same_name, "ix_users_username"), (same_address, "ix_users_email")):
        with pytest.raises(IntegrityError, match=index):
            await tables.given(users_projection, at(2, event))

    assert await tables.rows(users) == [user(ADA, "Ada", created_at=minute(1), updated_at=minute(1))]


async def test_a_change_of_name_address_or_activity_changes_what_it_names_and_nothing_else(tables) -> None:
    await tables.given(users_projection, at(1, registered(ADA, "Ada", theme="dark")), at(2, registered(BOB, "bob")))
    ada = user(ADA, "Ada", created_at=minute(1), updated_at=minute(1), theme="dark")
    bob = user(BOB, "bob", created_at=minute(2), updated_at=minute(2))
    assert await tables.rows(users) == [ada, bob]

    for event, change in (
        (UserProfileChanged(user_id=ADA, username="Eve"), {"username": "Eve"}),
        (UserProfileChanged(user_id=ADA, email="eve@example.org"), {"email": "eve@example.org"}),
        (UserDeactivated(user_id=ADA), {"is_active": False}),
        (UserActivated(user_id=ADA), {"is_active": True}),
    ):
        number = ada["updated_at"].minute + 2
        await tables.given(users_projection, at(number, event))
        ada |= change | {"updated_at": minute(number)}
        assert await tables.rows(users) == [ada, bob]


async def test_a_name_that_was_left_may_be_taken_and_a_taken_one_may_not(tables) -> None:
    await tables.given(users_projection, at(1, registered(ADA, "ada")), at(2, registered(BOB, "bob")))
    takes = at(4, UserProfileChanged(user_id=BOB, username="ADA"))
    with pytest.raises(IntegrityError, match="ix_users_username"):
        await tables.given(users_projection, takes)

    await tables.given(users_projection, at(3, UserProfileChanged(user_id=ADA, username="eve")), takes)

    assert [row["username"] for row in await tables.rows(users)] == ["eve", "ADA"]


def job_events(job_id, user_id, *, is_private=False):
    """Each of them by a word."""
    of = {"job_id": job_id, "user_id": user_id}
    return {
        "requested": JobRequested(
            **of,
            job_type="image_generation",
            prompt="a lighthouse",
            checkpoint_model="model",
            width=64,
            height=64,
            batch_size=1,
            sampler_params=SamplerParams(seed=1),
            is_private=is_private,
        ),
        "started": JobStarted(**of, attempt=1, worker="gpu-1", comfyui_prompt_id=UUID(int=9), queue_wait_ms=5),
        "requeued": JobRequeued(**of, attempt=1, reason="worker_lost"),
        "completed": JobCompleted(
            **of,
            attempt=1,
            images=[PICTURE],
            generation_ms=5,
            title="A lighthouse",
            prompt="a lighthouse",
            is_private=is_private,
            checkpoint_model="model",
        ),
        "failed": JobFailed(
            **of, attempt=1, error_type="x", error_message="x", generation_ms=5, checkpoint_model="model"
        ),
        "cancelled": JobCancelled(**of, attempt=1, reason="", checkpoint_model="model"),
    }


def job_story(job_id, user_id, *words, is_private=False):
    events = job_events(job_id, user_id, is_private=is_private)
    return [at(number, events[word], subject=job_id) for number, word in enumerate(words, start=1)]


def job_counts(user_id, *, is_private, **counts):
    none = dict.fromkeys(("pending", "running", "completed", "failed", "cancelled"), 0)
    return {"user_id": user_id, "is_private": is_private, **none, **counts}


STORIES = [
    *job_story(1, ADA, "requested"),
    *job_story(2, ADA, "requested", "started"),
    *job_story(3, ADA, "requested", "started", "requeued"),
    *job_story(4, ADA, "requested", "started", "requeued", "started", "completed", is_private=True),
    *job_story(5, ADA, "requested", "cancelled"),
    *job_story(6, BOB, "requested", "started", "failed"),
    *job_story(7, BOB, "requested", "started", "completed"),
]
COUNTED = [
    job_counts(ADA, is_private=False, pending=2, running=1, cancelled=1),
    job_counts(ADA, is_private=True, completed=1),
    job_counts(BOB, is_private=False, completed=1, failed=1),
]


@pytest.mark.parametrize("seed", range(12))
async def test_a_job_counts_once_in_its_latest_state_in_whatever_order_and_batches_it_is_heard(tables, seed) -> None:
    choose = random.Random(seed)
    heard = [*STORIES, *choose.choices(STORIES, k=seed)]
    if seed:
        choose.shuffle(heard)
    while heard:
        size = choose.choice([1, 2, 5, len(heard)])
        await tables.given(jobs_projection, *heard[:size])
        heard = heard[size:]

    assert await tables.rows(user_job_counts) == COUNTED
    assert [(row["job_id"], row["status"], row["sequence"]) for row in await tables.rows(user_jobs)] == [
        *[(1, "pending", 1), (2, "running", 2), (3, "pending", 3), (4, "completed", 5), (5, "cancelled", 2)],
        *[(6, "failed", 3), (7, "completed", 3)],
    ]


@pytest.mark.parametrize("seed", range(4))
async def test_processes_that_hear_of_the_same_jobs_at_once_count_them_once(gallery, seed) -> None:
    choose, database = random.Random(seed), gallery.runtime.database

    async def hear() -> None:
        heard = choose.sample(STORIES, k=len(STORIES))
        for start in range(0, len(heard), 4):
            batch = heard[start : start + 4]
            await database.transact(lambda connection, batch=batch: jobs_projection.apply(connection, batch))

    await asyncio.gather(*(hear() for _ in range(6)))

    async with database.reading() as connection:
        rows = await connection.execute(select(user_job_counts).order_by(*user_job_counts.primary_key))
        assert [dict(row) for row in rows.mappings()] == COUNTED


async def test_a_job_of_which_nobody_has_said_whether_it_is_private_is_not_counted(tables) -> None:
    requested, started = job_story(1, ADA, "requested", "started")
    await tables.given(jobs_projection, started)
    assert await tables.rows(user_job_counts) == []

    await tables.given(jobs_projection, requested)
    assert await tables.rows(user_job_counts) == [job_counts(ADA, is_private=False, running=1)]


def tag(tag_id, slug, *, is_private=False, created_at, updated_at):
    return {
        "id": tag_id,
        "slug": slug,
        "name": slug.title(),
        "is_private": is_private,
        "created_at": created_at,
        "updated_at": updated_at,
    }


def tag_created(tag_id, slug, *, is_private=False) -> TagCreated:
    return TagCreated(number=1, tag_id=tag_id, slug=slug, name=slug.title(), is_private=is_private)


async def test_a_tag_is_for_everybody_as_old_and_called_as_its_publication_says(tables) -> None:
    await tables.given(
        tags_projection,
        at(1, tag_created(SKY, "sky", is_private=True)),
        at(2, tag_created(SEA, "sea", is_private=True)),
        at(3, tag_created(NATURE, "nature")),
    )
    sea = tag(SEA, "sea", is_private=True, created_at=minute(2), updated_at=minute(2))
    nature = tag(NATURE, "nature", created_at=minute(3), updated_at=minute(3))
    private = tag(SKY, "sky", is_private=True, created_at=minute(1), updated_at=minute(1))
    assert await tables.rows(tags) == [private, sea, nature]

    await tables.given(tags_projection, at(4, TagPublished(tag_id=SKY, name="The Sky")))
    shown = tag(SKY, "sky", created_at=minute(4), updated_at=minute(4)) | {"name": "The Sky"}
    assert await tables.rows(tags) == [shown, sea, nature]


async def test_a_tag_has_every_parent_that_it_was_given_and_has_changed_when_it_got_one(tables) -> None:
    await tables.given(
        tags_projection,
        at(1, tag_created(SKY, "sky")),
        at(2, tag_created(SEA, "sea")),
        at(3, TagParentAdded(tag_id=SKY, parent_id=NATURE)),
        at(4, TagParentAdded(tag_id=SKY, parent_id=SEA)),
    )

    assert await tables.rows(tags) == [
        tag(SKY, "sky", created_at=minute(1), updated_at=minute(4)),
        tag(SEA, "sea", created_at=minute(2), updated_at=minute(2)),
    ]
    assert await tables.rows(tag_parents) == [
        {"tag_id": SKY, "parent_id": SEA},
        {"tag_id": SKY, "parent_id": NATURE},
    ]


async def test_the_closure_has_the_shortest_ways_and_forgets_those_that_are_gone(tables) -> None:
    await tables.given(
        tags_projection,
        at(1, tag_created(SKY, "sky")),
        at(2, TagParentAdded(tag_id=SKY, parent_id=SEA)),
        at(3, TagParentAdded(tag_id=SEA, parent_id=NATURE)),
    )
    far = {"ancestor_id": NATURE, "descendant_id": SKY, "depth": 2}
    near = [
        {"ancestor_id": SEA, "descendant_id": SKY, "depth": 1},
        {"ancestor_id": NATURE, "descendant_id": SEA, "depth": 1},
    ]
    assert await tables.rows(tag_closure) == [near[0], far, near[1]]

    await tables.given(tags_projection, at(4, TagParentAdded(tag_id=SKY, parent_id=NATURE)))
    assert await tables.rows(tag_closure) == [near[0], far | {"depth": 1}, near[1]]

    await tables.given(tags_projection, at(5, TagParentRemoved(tag_id=SKY, parent_id=NATURE)))
    assert await tables.rows(tag_closure) == [near[0], far, near[1]]
    assert (await tables.rows(tags))[0]["updated_at"] == minute(5)

    await tables.given(tags_projection, at(6, TagParentRemoved(tag_id=SKY, parent_id=SEA)))
    assert await tables.rows(tag_closure) == [near[1]]
    assert await tables.rows(tag_parents) == [{"tag_id": SEA, "parent_id": NATURE}]


async def test_an_alias_is_of_one_tag_until_it_is_removed(tables) -> None:
    await tables.given(
        tag_meanings_projection,
        at(1, TagAliasAdded(tag_id=SKY, alias="heaven")),
        at(2, TagAliasAdded(tag_id=SKY, alias="firmament")),
        at(3, TagAliasRemoved(tag_id=SKY, alias="heaven")),
    )
    assert await tables.rows(tag_aliases) == [{"alias_id": id_of("firmament"), "alias": "firmament", "tag_id": SKY}]

    with pytest.raises(IntegrityError, match="tag_aliases_pkey"):
        await tables.given(tag_meanings_projection, at(4, TagAliasAdded(tag_id=SEA, alias="firmament")))


async def test_a_tag_implies_what_was_added_and_not_removed(tables) -> None:
    await tables.given(
        tag_meanings_projection,
        at(1, TagImplicationAdded(tag_id=SKY, implied_id=SEA)),
        at(2, TagImplicationAdded(tag_id=SKY, implied_id=NATURE)),
        at(3, TagImplicationAdded(tag_id=SEA, implied_id=NATURE)),
        at(4, TagImplicationRemoved(tag_id=SKY, implied_id=NATURE)),
    )

    assert await tables.rows(tag_implications) == [
        {"tag_id": SKY, "implied_id": SEA},
        {"tag_id": SEA, "implied_id": NATURE},
    ]


async def test_the_totals_of_a_tag_are_those_of_the_ratings_that_stand(tables) -> None:
    await tables.given(
        tag_opinions_projection,
        at(1, TagRated(tag_id=SKY, user_id=ADA, half_stars=9)),
        at(2, TagRated(tag_id=SKY, user_id=BOB, half_stars=4)),
        at(3, TagRated(tag_id=SEA, user_id=ADA, half_stars=2)),
        at(4, TagRated(tag_id=SKY, user_id=ADA, half_stars=10)),
    )
    bobs = {"user_id": BOB, "tag_id": SKY, "half_stars": 4}
    assert await tables.rows(tag_ratings) == [
        {"user_id": ADA, "tag_id": SKY, "half_stars": 10},
        {"user_id": ADA, "tag_id": SEA, "half_stars": 2},
        bobs,
    ]
    assert await tables.rows(tag_rating_totals) == [
        {"tag_id": SKY, "rating_count": 2, "half_stars": 14},
        {"tag_id": SEA, "rating_count": 1, "half_stars": 2},
    ]

    removed = [TagRatingRemoved(tag_id=tag_id, user_id=ADA) for tag_id in (SKY, SEA)]
    await tables.given(tag_opinions_projection, *(at(5, event) for event in removed))
    assert await tables.rows(tag_ratings) == [bobs]
    assert await tables.rows(tag_rating_totals) == [
        {"tag_id": SKY, "rating_count": 1, "half_stars": 4},
        {"tag_id": SEA, "rating_count": 0, "half_stars": 0},
    ]


async def test_a_favorite_is_one_until_it_is_none(tables) -> None:
    await tables.given(
        tag_opinions_projection,
        at(1, TagFavorited(tag_id=SKY, user_id=ADA)),
        at(2, TagFavorited(tag_id=SKY, user_id=BOB)),
        at(3, TagUnfavorited(tag_id=SKY, user_id=ADA)),
    )

    assert await tables.rows(tag_favorites) == [{"user_id": BOB, "tag_id": SKY}]


async def test_every_change_of_the_words_that_everybody_sees_is_counted_where_its_tag_is(tables) -> None:
    last = UUID(int=2**128 - 1)
    await tables.given(
        tag_completion_projection,
        at(1, tag_created(SKY, "sky")),
        at(2, tag_created(SEA, "sea", is_private=True)),
        at(3, tag_created(last, "last", is_private=True)),
    )
    assert await tables.rows(tag_word_revisions) == [{"shard": 0, "revision": 1}]

    await tables.given(
        tag_completion_projection,
        at(4, TagPublished(tag_id=last, name="Last")),
        at(5, TagAliasAdded(tag_id=SKY, alias="heaven")),
        at(6, TagAliasRemoved(tag_id=SKY, alias="heaven")),
    )
    assert await tables.rows(tag_word_revisions) == [{"shard": 0, "revision": 3}, {"shard": 63, "revision": 1}]


def item_created(item_id, **more) -> ItemCreated:
    return ItemCreated(
        item_id=item_id,
        **{"title": "A lighthouse", "content_type": "image", "prompt": "a lighthouse", "creator_id": ADA} | more,
    )


async def test_what_is_known_of_an_image_does_not_depend_on_who_spoke_first(tables) -> None:
    for letter, order in zip("abcdef", permutations(range(3)), strict=True):
        picture = PICTURE.model_copy(update={"sha256": letter * 64})
        events = [
            at(1, ImageUploaded(image=picture, user_id=ADA)),
            at(2, ImageUploaded(image=picture, user_id=BOB)),
            at(3, item_created(1, image=picture)),
        ]
        await tables.given(images_projection, *(events[place] for place in order))

    shown = {
        "media_type": "image/png",
        "width": 3,
        "height": 2,
        "size_bytes": 2**40,
        "created_at": minute(1),
        "last_used_at": minute(3),
        "shown_by": 1,
        "was_shown": True,
        "retired_at": None,
    }
    assert await tables.rows(images) == [{"sha256": letter * 64, **shown} for letter in "abcdef"]
    assert await tables.rows(image_uploads) == [
        {"sha256": letter * 64, "user_id": user_id} for letter in "abcdef" for user_id in (ADA, BOB)
    ]


async def test_an_image_is_nobodys_when_nobody_says_that_it_is_theirs(tables) -> None:
    await tables.given(
        images_projection,
        at(1, ImageUploaded(image=PICTURE)),
        at(2, item_created(1, image=PICTURE.model_copy(update={"sha256": "b" * 64}))),
        at(3, item_created(2)),
    )

    assert [(row["sha256"], row["created_at"]) for row in await tables.rows(images)] == [
        ("a" * 64, minute(1)),
        ("b" * 64, minute(2)),
    ]
    assert await tables.rows(image_uploads) == []


async def test_how_much_an_image_is_in_use_does_not_depend_on_the_order_either(tables) -> None:
    first = at(1, ImageUploaded(image=PICTURE, user_id=ADA)), at(2, item_created(1, image=PICTURE))
    await tables.given(images_projection, *first)
    later = (
        at(3, item_created(2, image=PICTURE)),
        at(4, ItemDeleted(item_id=1, creator_id=ADA, image_sha256=PICTURE.sha256)),
        at(5, ImageUploaded(image=PICTURE, user_id=ADA)),
        at(6, item_created(3)),
        at(7, ItemDeleted(item_id=3, creator_id=ADA)),
    )
    for order in permutations(later):
        async with tables.connection.begin_nested() as savepoint:
            await tables.given(images_projection, *order)
            (row,) = await tables.rows(images)
            assert (row["shown_by"], row["was_shown"], row["last_used_at"]) == (1, True, minute(5))
            assert len(await tables.rows(image_uploads)) == 1
            await savepoint.rollback()


async def test_an_image_is_retired_and_removed_and_brought_again(tables) -> None:
    sha256 = PICTURE.sha256
    other = PICTURE.model_copy(update={"sha256": "b" * 64})
    await tables.given(
        images_projection,
        at(1, ImageUploaded(image=PICTURE, user_id=ADA)),
        at(2, ImageUploaded(image=other, user_id=BOB)),
        at(3, item_created(1, image=PICTURE)),
        at(4, ItemDeleted(item_id=1, creator_id=ADA, image_sha256=sha256)),
        at(5, ImageRetired(sha256=sha256)),
    )
    row, untouched = await tables.rows(images)
    assert (row["shown_by"], row["was_shown"], row["retired_at"]) == (0, False, minute(5))
    assert untouched["retired_at"] is None
    assert [row["user_id"] for row in await tables.rows(image_uploads)] == [BOB]

    await tables.given(images_projection, at(6, ImageUploaded(image=PICTURE, user_id=BOB)))
    row, _ = await tables.rows(images)
    assert (row["retired_at"], row["created_at"], row["last_used_at"]) == (None, minute(1), minute(6))

    await tables.given(images_projection, at(7, ImageRetired(sha256=sha256)), at(8, ImageRemoved(sha256=sha256)))
    assert await tables.rows(images) == [untouched]

    await tables.given(images_projection, at(9, item_created(2, image=PICTURE)))
    row, _ = await tables.rows(images)
    assert (row["created_at"], row["shown_by"], row["was_shown"]) == (minute(9), 1, True)


async def test_an_item_is_what_its_event_says(tables) -> None:
    generated = item_created(
        7,
        source_type="auto",
        title="The  Lighthouse",
        prompt="Fog,\n DUSK",
        content_data="kept",
        tag_ids=[SEA, SKY],
        item_metadata={"steps": 28, "loras": []},
        quality_score=0.75,
        is_private=True,
        image=PICTURE,
        job_id=5,
        image_index=1,
        image_count=2,
    )

    await tables.given(items_projection, at(1, generated), at(2, item_created(8, content_type="text", creator_id=BOB)))

    assert await tables.rows(items) == [
        {
            "id": 7,
            "source_type": "auto",
            "title": "The  Lighthouse",
            "content_type": "image",
            "content_data": "kept",
            "prompt": "Fog,\n DUSK",
            "creator_id": ADA,
            "item_metadata": {"steps": 28, "loras": []},
            "quality_score": 0.75,
            "is_private": True,
            "path_thumb": f"/api/v1/images/{'a' * 64}?size=300",
            "image_sha256": "a" * 64,
            "job_id": 5,
            "image_index": 1,
            "search_text": "the lighthouse\nfog, dusk",
            "created_at": minute(1),
            "updated_at": minute(1),
        },
        {
            "id": 8,
            "source_type": "items",
            "title": "A lighthouse",
            "content_type": "text",
            "content_data": None,
            "prompt": "a lighthouse",
            "creator_id": BOB,
            "item_metadata": {},
            "quality_score": 0.5,
            "is_private": False,
            "path_thumb": None,
            "image_sha256": None,
            "job_id": None,
            "image_index": None,
            "search_text": "a lighthouse\na lighthouse",
            "created_at": minute(2),
            "updated_at": minute(2),
        },
    ]


def counts(*rows: tuple[Any, ...], table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns.keys(), row, strict=True)) for row in sorted(rows)]


async def test_an_interaction_is_in_its_row_and_in_every_counter(tables) -> None:
    rated = InteractionRecorded(
        interaction_id=5,
        user_id=BOB,
        content_item_id=7,
        interaction_type="rate",
        rating=4,
        duration=30,
        metadata={"a": [1]},
        client_id="x",
    )
    await tables.given(
        interactions_projection,
        at(1, item_created(7, source_type="auto")),
        at(2, item_created(8, is_private=True)),
        at(3, rated),
        at(4, InteractionRecorded(interaction_id=6, user_id=ADA, content_item_id=8, interaction_type="view")),
    )

    row = {"id": 5, "user_id": BOB, "content_item_id": 7, "interaction_type": "rate", "rating": 4, "duration": 30}
    at_three = {"metadata": {"a": [1]}, "audience": EVERYONE, "created_at": minute(3), "updated_at": minute(3)}
    assert (await tables.rows(interactions))[0] == row | at_three
    assert (await tables.rows(interactions))[1]["audience"] == ADA
    assert await tables.rows(client_ids) == [{"user_id": BOB, "client_id": "x", "interaction_id": 5}]
    assert await tables.rows(item_facts) == [
        {"item_id": 7, "creator_id": ADA, "kind": "auto/image", "audience": EVERYONE},
        {"item_id": 8, "creator_id": ADA, "kind": "items/image", "audience": ADA},
    ]
    facets = {
        BOB: [
            *(("all", "", 1), ("type", "rate", 1), ("day", "2026-01-02", 1), ("rating", "4", 1)),
            *(("duration", "count", 1), ("duration", "seconds", 30), ("kind", "auto/image", 1)),
            *(("hour", "3", 1), ("weekday", "4", 1)),
        ],
        ADA: [
            *(("all", "", 1), ("type", "view", 1), ("day", "2026-01-02", 1), ("kind", "items/image", 1)),
            *(("hour", "3", 1), ("weekday", "4", 1)),
        ],
    }
    assert await tables.rows(user_counts) == counts(
        *((BOB, facet, value, count, count) for facet, value, count in facets[BOB]),
        *((ADA, facet, value, 0, count) for facet, value, count in facets[ADA]),
        table=user_counts,
    )
    assert await tables.rows(pairs) == counts((ADA, 8, 0, 1), (BOB, 7, 1, 1), table=pairs)
    assert await tables.rows(user_creators) == counts((ADA, ADA, 0, 1), (BOB, ADA, 1, 1), table=user_creators)
    of_item = [(facet, value, count) for facet, value, count in facets[BOB] if facet not in {"kind", "hour", "weekday"}]
    assert await tables.rows(item_counts) == counts(
        *((7, *each) for each in (*of_item, ("users", "", 1))),
        *((8, *each) for each in (("all", "", 1), ("type", "view", 1), ("day", "2026-01-02", 1), ("users", "", 1))),
        table=item_counts,
    )
    ours = stripe_of_user(BOB)
    assert await tables.rows(totals) == counts(
        (ADA, "type", "view", stripe_of_user(ADA), 1),
        (EVERYONE, "day", "2026-01-02", ours, 1),
        (EVERYONE, "items", "", stripe_of_item(7), 1),
        (EVERYONE, "rating", "4", ours, 1),
        (EVERYONE, "type", "rate", ours, 1),
        (EVERYONE, "users", "", ours, 1),
        table=totals,
    )
    assert await tables.rows(popularity) == counts((7, POPULARITY["rate"]), (8, POPULARITY["view"]), table=popularity)


async def test_what_was_changed_counts_as_it_is_and_what_was_deleted_not_at_all(tables) -> None:
    who = {"interaction_id": 5, "user_id": BOB, "content_item_id": 7}
    await tables.given(
        interactions_projection,
        at(1, item_created(7)),
        at(2, InteractionRecorded(**who, interaction_type="rate", rating=4, client_id="x")),
        at(3, InteractionChanged(**who, interaction_type="like", metadata={"b": 1})),
    )
    (row,) = await tables.rows(interactions)
    assert (row["interaction_type"], row["rating"], row["metadata"]) == ("like", None, {"b": 1})
    assert (row["created_at"], row["updated_at"]) == (minute(2), minute(3))
    facets = {(each["facet"], each["value"]): each["total"] for each in await tables.rows(item_counts)}
    assert facets == {("all", ""): 1, ("type", "like"): 1, ("day", "2026-01-02"): 1, ("users", ""): 1}
    assert await tables.rows(popularity) == [{"item_id": 7, "popularity": POPULARITY["like"]}]

    await tables.given(interactions_projection, at(4, ItemDeleted(item_id=7, creator_id=ADA)))
    assert await tables.rows(popularity) == []
    assert len(await tables.rows(interactions)) == 1

    await tables.given(interactions_projection, at(5, InteractionDeleted(**who)))
    for table in (interactions, user_counts, pairs, user_creators, item_counts, totals, popularity):
        assert await tables.rows(table) == []
    assert await tables.rows(client_ids) == [{"user_id": BOB, "client_id": "x", "interaction_id": 5}]


async def test_what_was_done_with_an_item_goes_where_the_item_goes(tables) -> None:
    acted = InteractionRecorded(interaction_id=5, user_id=BOB, content_item_id=7, interaction_type="like")
    await tables.given(interactions_projection, at(1, item_created(7)), at(2, acted))
    names = (interactions, item_facts, user_counts, pairs, user_creators, item_counts, totals, popularity)
    public = [await tables.rows(table) for table in names]

    await tables.given(interactions_projection, at(3, ItemMadePrivate(item_id=7)))
    assert [row["audience"] for row in await tables.rows(interactions)] == [ADA]
    assert {row["shown"] for table in (user_counts, pairs, user_creators) for row in await tables.rows(table)} == {0}
    assert await tables.rows(totals) == counts((ADA, "type", "like", stripe_of_user(BOB), 1), table=totals)
    private = [await tables.rows(table) for table in names]
    await tables.given(interactions_projection, at(4, ItemMadePrivate(item_id=7)))
    assert [await tables.rows(table) for table in names] == private

    await tables.given(interactions_projection, at(5, ItemMadePublic(item_id=7)))
    assert [await tables.rows(table) for table in names] == public


WHO = {"recommendation_id": 5, "user_id": BOB, "content_item_id": 7}


def recommended(**more: Any) -> RecommendationMade:
    facts = {"score": 0.25, "algorithm_version": "blend@1", "metadata": {"a": [1]}}
    return RecommendationMade(**(WHO | facts | {"reasons": [Reason(kind="popular")], "generated": True} | more))


async def test_a_recommendation_is_in_its_row_and_in_every_counter(tables) -> None:
    await tables.given(
        recommendations_projection,
        at(1, item_created(7)),
        at(2, item_created(8, is_private=True)),
        at(3, recommended()),
        at(4, recommended(recommendation_id=6, user_id=ADA, content_item_id=8, algorithm_version="hand", score=1)),
        at(5, RecommendationServed(**WHO)),
        at(6, RecommendationJudged(**WHO, feedback="like", comment="yes")),
    )

    first, second = await tables.rows(recommendations)
    assert first == {
        "id": 5,
        "user_id": BOB,
        "content_item_id": 7,
        "recommendation_score": 0.25,
        "algorithm": "blend",
        "algorithm_version": "blend@1",
        "metadata": {"a": [1]},
        "reasons": [{"kind": "popular", "interaction_type": None, "content_item_id": None, "tags": []}],
        "generated": True,
        "shown": True,
        "feedback": "like",
        "comment": "yes",
        "served_at": minute(5),
        "created_at": minute(3),
        "updated_at": minute(6),
    }
    assert (second["shown"], second["algorithm"], second["served_at"]) == (False, "hand", None)
    assert await tables.rows(recommendation_items) == [
        {"item_id": 7, "is_private": False},
        {"item_id": 8, "is_private": True},
    ]
    facets = [
        *(("algorithm", "blend@1", 1), ("all", "", 1), ("feedback", "like", 1), ("like_by", "blend@1", 1)),
        *(("score", "millionths", 250_000), ("served", "", 1), ("served_by", "blend@1", 1)),
    ]
    assert await tables.rows(recommendation_counts) == counts(
        *((BOB, facet, value, count, count) for facet, value, count in facets),
        *((ADA, "algorithm", "hand", 0, 1), (ADA, "all", "", 0, 1), (ADA, "score", "millionths", 0, 1_000_000)),
        table=recommendation_counts,
    )
    assert await tables.rows(recommendation_totals) == counts(
        *((facet, value, stripe_of_user(BOB), count) for facet, value, count in (*facets, ("users", "", 1))),
        table=recommendation_totals,
    )


async def test_a_recommendation_that_is_changed_or_deleted_counts_as_it_is(tables) -> None:
    await tables.given(recommendations_projection, at(1, item_created(7)), at(2, recommended()))
    before = [await tables.rows(table) for table in (recommendation_counts, recommendation_totals)]
    changed = {"score": 0.5, "algorithm_version": "x@2", "metadata": {}}
    await tables.given(recommendations_projection, at(3, RecommendationChanged(**WHO, **changed)))
    (row,) = await tables.rows(recommendations)
    assert (row["recommendation_score"], row["algorithm"], row["metadata"]) == (0.5, "x", {})
    assert (row["created_at"], row["updated_at"]) == (minute(2), minute(3))
    assert [await tables.rows(table) for table in (recommendation_counts, recommendation_totals)] != before

    await tables.given(
        recommendations_projection, at(4, RecommendationServed(**WHO)), at(5, RecommendationDeleted(**WHO))
    )
    for table in (recommendations, recommendation_counts, recommendation_totals):
        assert await tables.rows(table) == []


async def test_recommendations_are_hidden_and_shown_with_their_item(tables) -> None:
    await tables.given(recommendations_projection, at(1, item_created(7)), at(2, recommended()))
    names = (recommendations, recommendation_items, recommendation_counts, recommendation_totals)
    public = [await tables.rows(table) for table in names]

    for number in (3, 4):
        await tables.given(recommendations_projection, at(number, ItemMadePrivate(item_id=7)))
        assert [row["shown"] for row in await tables.rows(recommendations)] == [False]
        assert {row["shown"] for row in await tables.rows(recommendation_counts)} == {0}
        assert await tables.rows(recommendation_totals) == []
    await tables.given(recommendations_projection, at(5, ItemMadePublic(item_id=7)))
    assert [await tables.rows(table) for table in names] == public


async def test_an_item_is_changed_as_its_events_say_and_is_as_new_as_the_last_of_them(tables) -> None:
    await tables.given(
        items_projection,
        at(1, item_created(7, item_metadata={"a": 1})),
        at(2, ItemEdited(item_id=7, changes={"title": "The SEA", "item_metadata": {"b": 2}, "content_data": "kept"})),
        at(3, ItemQualityChanged(item_id=7, quality_score=0.25)),
        at(4, ItemMadePrivate(item_id=7)),
    )
    (row,) = await tables.rows(items)
    assert (row["title"], row["item_metadata"], row["content_data"]) == ("The SEA", {"b": 2}, "kept")
    assert (row["search_text"], row["quality_score"], row["is_private"]) == ("the sea\na lighthouse", 0.25, True)
    assert (row["created_at"], row["updated_at"]) == (minute(1), minute(4))

    await tables.given(items_projection, at(5, ItemMadePublic(item_id=7)))
    (row,) = await tables.rows(items)
    assert (row["is_private"], row["updated_at"]) == (False, minute(5))


async def test_an_item_is_as_new_as_its_tags(tables) -> None:
    await tables.given(
        items_projection,
        at(1, item_created(7)),
        at(2, item_created(8)),
        at(3, ItemRetagged(item_id=7, tag_ids=[SEA])),
        at(4, ItemTagsImplied(item_id=8, implied=[ImpliedTag(tag_id=SKY, because_of=SEA)])),
    )

    assert [row["updated_at"] for row in await tables.rows(items)] == [minute(3), minute(4)]


async def test_a_deleted_item_is_gone(tables) -> None:
    await tables.given(items_projection, at(1, item_created(7)), at(2, item_created(8)))
    await tables.given(items_projection, at(3, ItemDeleted(item_id=7, creator_id=ADA)))

    assert [row["id"] for row in await tables.rows(items)] == [8]
