"""Passwords, for the gateway alone: these paths are in no public document, and no route leads to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from genonaut.content.credentials import commands
from genonaut.content.credentials.hashing import Hashing, NoRoomError, Parameters, hashing
from genonaut.content.credentials.schemas import Identity, NewPassword, SignIn
from genonaut.content.users.domain import UnknownUserError
from genonaut.platform.http.actions import Done
from genonaut.platform.http.errors import NotFoundError, UnauthorizedError, UnavailableError
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep

router = Router(prefix="/internal/v1", include_in_schema=False)


# A coroutine, because FastAPI sends plain functions to a thread.
async def _hashing(runtime: RuntimeDep) -> Hashing:
    of = runtime.settings
    return hashing(Parameters(of.password_memory_kib, of.password_passes, of.password_lanes))


HashingDep = Annotated[Hashing, Depends(_hashing)]


@router.put("/users/{id}/password")
async def set_password(
    user_id: Annotated[UUID, Path(alias="id")], body: NewPassword, runtime: RuntimeDep, hashing: HashingDep
) -> Done:
    """Give a user a password; the one they had is none any more."""
    with _no_room():
        try:
            await commands.set_password(runtime.store, hashing, user_id, body.password.get_secret_value())
        except UnknownUserError:
            raise NotFoundError(f"There is no user {user_id}") from None
    return Done(message="The password is changed")


@router.post("/credentials/verify")
async def verify(body: SignIn, runtime: RuntimeDep, hashing: HashingDep) -> Identity:
    """Whose user name or e-mail address and password these are. Nobody learns which of them was wrong."""
    with _no_room():
        found = await commands.verify(runtime.database, hashing, body.login, body.password.get_secret_value())
    if found is None:
        raise UnauthorizedError("These are nobody's name and password", error_code="INVALID_CREDENTIALS")
    return Identity(user_id=found.user_id, username=found.username, is_active=found.is_active)


@contextmanager
def _no_room() -> Iterator[None]:
    try:
        yield
    except NoRoomError:
        raise UnavailableError("Too many people are signing in. Try again soon.", error_code="NO_ROOM") from None
