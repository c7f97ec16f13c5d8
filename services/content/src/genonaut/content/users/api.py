"""Users: register, look up, search, change preferences."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, Path, Query
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.users import queries
from genonaut.content.users.domain import USER, ChangePreferences, Register, UnknownUserError
from genonaut.content.users.schemas import NewPreferences, NewUser, User
from genonaut.content.users.tables import EMAIL_KEY, USERNAME_KEY, users
from genonaut.platform.http.errors import ConflictError, NotFoundError
from genonaut.platform.http.lists import ListBody, ListQuery, fetch_list, list_query
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep

router = Router(prefix="/api/v1/users", tags=["users"])

UserId = Annotated[UUID, Path(alias="id")]
Listed = Annotated[
    ListQuery,
    Depends(
        list_query(
            {"created_at": users.c.created_at, "updated_at": users.c.updated_at, "username": users.c.username},
            key=users.c.id,
        )
    ),
]

TAKEN = {
    USERNAME_KEY: ("This user name is taken", "USERNAME_TAKEN"),
    EMAIL_KEY: ("This e-mail address is in use", "EMAIL_TAKEN"),
}


@router.post("", status_code=201, responses={409: {"description": "The user name or e-mail address is taken"}})
async def create_user(body: NewUser, runtime: RuntimeDep) -> User:
    """Register a user.

    The name has 3 to 50 of `A-Z a-z 0-9 _ -`; neither it nor the e-mail address may be somebody else's in any case.
    """
    user_id = uuid4()

    async def work(connection: AsyncConnection) -> None:
        number = await queries.next_number(connection)
        register = Register(user_id, number, body.username, body.email, body.preferences)
        await runtime.store.execute_in(connection, USER, user_id, register, history=())  # the id is new

    try:
        await runtime.database.transact(work)
    except IntegrityError as error:
        for key, (detail, code) in TAKEN.items():
            if key in str(error.orig):
                raise ConflictError(detail, error_code=code) from None
        raise
    return await get_user(user_id, runtime)


@router.get("/search")
async def search_users(
    *,
    query: Listed,
    runtime: RuntimeDep,
    username: Annotated[str | None, Query(max_length=50, description="Part of the name.")] = None,
    email: Annotated[str | None, Query(max_length=254, description="Part of the address.")] = None,
    is_active: bool | None = None,
) -> ListBody[User]:
    """Users by parts of their name or address, in any case."""
    async with runtime.database.reading() as connection:
        return await fetch_list(
            connection, queries.found(username, email, active=is_active), query, User.model_validate
        )


@router.get("/{id}", responses={404: {"description": "No such user"}})
async def get_user(user_id: UserId, runtime: RuntimeDep) -> User:
    """A user's profile."""
    async with runtime.database.reading() as connection:
        row = await queries.by_id(connection, user_id)
    if row is None:
        raise _unknown(user_id)
    return User.model_validate(row)


@router.put("/{id}/preferences", responses={404: {"description": "No such user"}})
async def change_preferences(user_id: UserId, body: NewPreferences, runtime: RuntimeDep) -> User:
    """Merge preferences into a user's: keys that are given replace, the others stay."""
    try:
        await runtime.store.execute(USER, user_id, ChangePreferences(body.preferences))
    except UnknownUserError:
        raise _unknown(user_id) from None
    return await get_user(user_id, runtime)


def _unknown(user_id: UUID) -> NotFoundError:
    return NotFoundError(f"There is no user {user_id}")
