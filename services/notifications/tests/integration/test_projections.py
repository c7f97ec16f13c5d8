"""What each event does to the tables: given these events, then exactly these rows."""

from itertools import permutations
from uuid import UUID

import pytest
import pytest_asyncio

from genonaut.contracts.content import UserPreferencesChanged, UserRegistered
from genonaut.contracts.notifications import NotificationCreated, NotificationRead
from genonaut.notifications.feed.projection import feed_projection
from genonaut.notifications.feed.tables import notifications
from genonaut.notifications.recipients.projection import recipients_projection
from genonaut.notifications.recipients.tables import recipients
from genonaut.testkit.projections import at, minute

ADA, BOB = UUID(int=1), UUID(int=2)


@pytest_asyncio.fixture
async def tables(tables_of):
    async with tables_of("notifications") as tables:
        yield tables


def registered(user_id=ADA, **preferences) -> UserRegistered:
    return UserRegistered(number=1, user_id=user_id, username="ada", email="ada@example.org", preferences=preferences)


def changed(user_id=ADA, **changes) -> UserPreferencesChanged:
    return UserPreferencesChanged(user_id=user_id, changes=changes)


def recipient(user_id=ADA, username="ada", *, enabled, decided_by):
    return {"user_id": user_id, "username": username, "notifications_enabled": enabled, "decided_by": decided_by}


async def test_recipients_get_what_they_last_decided_whatever_comes_late(tables) -> None:
    bob = at(1, registered(BOB, notifications_enabled=True))
    yes, theme, no = (
        at(2, changed(notifications_enabled=True)),
        at(3, changed(theme="dark")),
        at(4, changed(notifications_enabled=False)),
    )
    untouched = recipient(BOB, enabled=True, decided_by=1)
    for heard, row in [
        ([bob, yes], recipient(username=None, enabled=True, decided_by=2)),
        ([no], recipient(username=None, enabled=False, decided_by=4)),
        ([yes, theme], recipient(username=None, enabled=False, decided_by=4)),
        ([at(1, registered(notifications_enabled=True))], recipient(enabled=False, decided_by=4)),
        ([no, yes, theme, bob], recipient(enabled=False, decided_by=4)),
        ([at(5, changed(notifications_enabled=True))], recipient(enabled=True, decided_by=5)),
    ]:
        await tables.given(recipients_projection, *heard)
        assert await tables.rows(recipients) == [row, untouched]


async def test_who_only_changed_something_else_is_no_recipient_yet(tables) -> None:
    await tables.given(recipients_projection, at(2, changed(theme="dark")))

    assert await tables.rows(recipients) == []


@pytest.mark.parametrize(
    ("events", "enabled", "decided_by"),
    [
        ([registered()], False, 1),
        ([registered(notifications_enabled=True)], True, 1),
        ([registered(notifications_enabled="yes")], False, 1),
        ([registered(notifications_enabled=True), changed(notifications_enabled=None)], False, 2),
        ([registered(), changed(notifications_enabled=True), changed(theme="dark")], True, 2),
        (
            [
                registered(),
                changed(notifications_enabled=True),
                changed(notifications_enabled=False),
                changed(theme="dark"),
            ],
            False,
            3,
        ),
        (
            [
                registered(notifications_enabled=True),
                changed(notifications_enabled=False),
                changed(notifications_enabled=True),
            ],
            True,
            3,
        ),
    ],
)
async def test_the_newest_event_that_names_the_preference_holds_in_every_order(
    tables, events, enabled, decided_by
) -> None:
    orders = list(permutations(range(len(events))))
    for user, order in enumerate(orders, start=1):
        own = [each.model_copy(update={"user_id": UUID(int=user)}) for each in events]
        heard = [at(place + 1, own[place]) for place in order]
        await tables.given(recipients_projection, *heard, heard[0])

    assert await tables.rows(recipients) == [
        recipient(UUID(int=user), enabled=enabled, decided_by=decided_by) for user in range(1, len(orders) + 1)
    ]


async def test_a_notification_is_unread_until_its_own_event_says_otherwise(tables) -> None:
    created = NotificationCreated(
        notification_id=5,
        user_id=ADA,
        title="Your image is ready",
        message="A lighthouse",
        notification_type="job_completed",
        related_job_id=7,
        related_content_id=70,
    )
    bare = NotificationCreated(
        notification_id=6, user_id=BOB, title="Maintenance", message="Tonight.", notification_type="system"
    )
    unread = {
        "id": 5,
        "user_id": ADA,
        "cause": "cause-1",
        "title": "Your image is ready",
        "message": "A lighthouse",
        "notification_type": "job_completed",
        "read_status": False,
        "related_job_id": 7,
        "related_content_id": 70,
        "created_at": minute(1),
        "read_at": None,
    }
    other = {
        "id": 6,
        "user_id": BOB,
        "cause": "cause-2",
        "title": "Maintenance",
        "message": "Tonight.",
        "notification_type": "system",
        "read_status": False,
        "related_job_id": None,
        "related_content_id": None,
        "created_at": minute(2),
        "read_at": None,
    }

    await tables.given(feed_projection, at(1, created, subject="cause-1"), at(2, bare, subject="cause-2"))
    assert await tables.rows(notifications) == [unread, other]

    await tables.given(feed_projection, at(3, NotificationRead(notification_id=5, user_id=ADA), subject="cause-1"))
    assert await tables.rows(notifications) == [unread | {"read_status": True, "read_at": minute(3)}, other]
