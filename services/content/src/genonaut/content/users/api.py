"""Users: register, look up, search, change, count what they have."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends, Path, Query
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.interactions.queries import totals_of_user
from genonaut.content.jobs.queries import jobs_of
from genonaut.content.unified.queries import counts
from genonaut.content.users import commands, queries
from genonaut.content.users.domain import USER, Change, ChangePreferences, UnknownUserError
from genonaut.content.users.schemas import (
    ContentCounts,
    JobCounts,
    NewPreferences,
    NewStatus,
    NewUser,
    User,
    UserChange,
    UserStats,
)
from genonaut.content.users.tables import users
from genonaut.platform.http.actions import Done
from genonaut.platform.http.errors import ConflictError, InvalidError, NotFoundError
from genonaut.platform.http.lists import ListBody, ListQuery, fetch_list, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep

router = Router(prefix="/api/v1/users", tags=["users"])

UserId = Annotated[UUID, Path(alias="id")]
Viewer = Annotated[UUID | None, Query(alias="user_id", description="Who looks: what is private counts for its user.")]
Listed = Annotated[
    ListQuery,
    Depends(
        list_query(
            {"created_at": users.c.created_at, "updated_at": users.c.updated_at, "username": users.c.username},
            key=users.c.id,
        )
    ),
]
Responses = dict[int | str, dict[str, Any]]

UNKNOWN: Responses = {404: {"description": "No such user"}}
TAKEN: Responses = {409: {"description": "The user name or e-mail address is taken"}}


@router.post("", status_code=201, responses=TAKEN)
async def create_user(body: NewUser, runtime: RuntimeDep) -> User:
    """Register a user.

    The name has 3 to 50 of `A-Z a-z 0-9 _ -`; neither it nor the e-mail address may be somebody else's in any case.
    """
    user_id = uuid4()
    with _refusals(user_id):
        await commands.register(runtime.store, user_id, body.username, body.email, body.preferences)
    return await get_user(user_id, runtime)


@router.get("/search")
async def search_users(
    *,
    query: Listed,
    runtime: RuntimeDep,
    username: Annotated[str | None, Query(max_length=50, description="Part of the name, in any case.")] = None,
    email: Annotated[str | None, Query(max_length=254, description="Part of the address, in any case.")] = None,
    is_active: bool | None = None,
    preference_key: Annotated[
        str | None, Query(max_length=200, description="Users who have said something about this.", examples=["theme"])
    ] = None,
    preference_value: Annotated[
        str | None,
        Query(
            max_length=1000,
            description="And who have said this: a text, or any JSON. Of an object or a list a part is enough.",
            examples=["dark"],
        ),
    ] = None,
) -> ListBody[User]:
    """Users by parts of their name or address, whether they are active, and what they prefer."""
    if preference_value is not None and preference_key is None:
        raise InvalidError("preference_value needs preference_key", loc=("query", "preference_value"))
    wanted = queries.Wanted(
        username=username, email=email, active=is_active, preference=preference_key, value=preference_value
    )
    async with runtime.database.reading() as connection:
        await queries.plan_by_values(connection)
        return await fetch_list(connection, queries.found(wanted), query, User.model_validate)


@router.get("/{id}", responses=UNKNOWN)
async def get_user(user_id: UserId, runtime: RuntimeDep) -> User:
    """A user's profile."""
    async with runtime.database.reading() as connection:
        row = await queries.by_id(connection, user_id)
    if row is None:
        raise _unknown(user_id)
    return User.model_validate(row)


@router.put("/{id}", responses={**UNKNOWN, **TAKEN})
async def change_user(user_id: UserId, body: UserChange, runtime: RuntimeDep) -> User:
    """Change a user's name, address, or whether they are active. What is not given stays as it is."""
    with _refusals(user_id):
        change = Change(username=body.username, email=body.email, is_active=body.is_active)
        await commands.change(runtime.store, user_id, change)
    return await get_user(user_id, runtime)


@router.put("/{id}/status", responses=UNKNOWN)
async def change_status(user_id: UserId, body: NewStatus, runtime: RuntimeDep) -> User:
    """Activate or deactivate a user. One who is not active can create nothing; what they have made stays."""
    return await change_user(user_id, UserChange(is_active=body.is_active), runtime)


@router.delete("/{id}", responses=UNKNOWN)
async def delete_user(user_id: UserId, runtime: RuntimeDep) -> Done:
    """Deactivate a user. What they have made stays, and so do their name and address. Twice is as good as once."""
    with _refusals(user_id):
        await commands.change(runtime.store, user_id, Change(is_active=False))
    return Done(message=f"User {user_id} is deleted")


@router.put("/{id}/preferences", responses=UNKNOWN)
async def change_preferences(user_id: UserId, body: NewPreferences, runtime: RuntimeDep) -> User:
    """Merge preferences into a user's: keys that are given replace, the others stay."""
    with _refusals(user_id):
        await runtime.store.execute(USER, user_id, ChangePreferences(body.preferences))
    return await get_user(user_id, runtime)


@router.get("/{id}/stats", responses=UNKNOWN)
async def get_stats(user_id: UserId, runtime: RuntimeDep, viewer: Viewer = None) -> UserStats:
    """What there is of a user. Their private items and jobs, and what is done with such, count for themselves."""
    async with runtime.database.reading() as connection:
        if await queries.is_active(connection, user_id) is None:
            raise _unknown(user_id)
        own = viewer == user_id
        content = await _content(connection, user_id, own=own)
        acts = await totals_of_user(connection, user_id, viewer=viewer)
        jobs = await jobs_of(connection, user_id, own=own)
    return UserStats(user_id=user_id, content=content, **acts, generation_jobs=JobCounts.of(jobs))


async def _content(connection: AsyncConnection, user_id: UUID, *, own: bool) -> ContentCounts:
    theirs = await counts(connection, user_id)
    if own:
        return ContentCounts.of(theirs["user_regular_count"], theirs["user_auto_count"])
    everybodys = await counts(connection, None)
    # What is public, without what is public of all others.
    return ContentCounts.of(
        *(everybodys[key] - theirs[key] for key in ("community_regular_count", "community_auto_count"))
    )


@contextmanager
def _refusals(user_id: UUID) -> Iterator[None]:
    """What is no user, and what is somebody else's, as problems."""
    try:
        yield
    except UnknownUserError:
        raise _unknown(user_id) from None
    except commands.UsernameTakenError:
        raise ConflictError("This user name is taken", error_code="USERNAME_TAKEN") from None
    except commands.EmailTakenError:
        raise ConflictError("This e-mail address is in use", error_code="EMAIL_TAKEN") from None


def _unknown(user_id: UUID) -> NotFoundError:
    return NotFoundError(f"There is no user {user_id}")
