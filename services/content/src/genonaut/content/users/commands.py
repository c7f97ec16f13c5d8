"""Users, registered and changed: of those who want a name at once, one gets it, and the log says so in that order."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.users import queries
from genonaut.content.users.domain import USER, Change, Register
from genonaut.content.users.tables import EMAIL_KEY, USERNAME_KEY
from genonaut.platform.events import EventStore


class UsernameTakenError(Exception):
    """Somebody has this name, in whatever case."""


class EmailTakenError(Exception):
    """Somebody has this address."""


_TAKEN = {USERNAME_KEY: UsernameTakenError, EMAIL_KEY: EmailTakenError}

# Names are held before anything is appended. The unique indexes alone would let somebody take a name who was written
# into the log before the one who left it: a rebuild would find the name taken.


async def register(store: EventStore, user_id: UUID, username: str, email: str, preferences: Mapping[str, Any]) -> None:
    """There is this new user. Raises UsernameTakenError and EmailTakenError."""

    async def work(connection: AsyncConnection) -> None:
        await queries.hold_names(connection, [username, email])
        number = await queries.next_number(connection)
        register = Register(user_id, number, username, email, preferences)
        await store.execute_in(connection, USER, user_id, register, history=())  # the id is new

    await _first_come(store, work)


async def change(store: EventStore, user_id: UUID, change: Change) -> None:
    """The user is as `change` wants. Raises UnknownUserError, UsernameTakenError and EmailTakenError."""

    async def work(connection: AsyncConnection) -> None:
        history = await store.load(connection, USER.name, str(user_id))
        user = USER.initial
        for each in history:
            user = USER.evolve(user, each.event)
        if wanted := [name for name in (change.username, change.email) if name]:
            await queries.hold_names(connection, [user.username, user.email, *wanted])
        await store.execute_in(connection, USER, user_id, change, history=history)

    await _first_come(store, work)


async def _first_come(store: EventStore, work: Callable[[AsyncConnection], Awaitable[None]]) -> None:
    try:
        await store.database.transact(work)
    except IntegrityError as error:
        # By the name of the index, not by the message: that has the address in it, which may read like anything.
        driver_error = error.orig.__cause__ if error.orig else None
        if taken := _TAKEN.get(getattr(driver_error, "constraint_name", "")):
            raise taken from None
        raise
