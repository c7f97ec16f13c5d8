"""Registrations into the table of known users."""

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts import Envelope
from genonaut.contracts.content import UserRegistered
from genonaut.contracts.streams import GENERATION_USERS
from genonaut.generation.users.tables import known_users
from genonaut.platform.projections import Projection

users_projection = Projection("known-users", known_users, source=GENERATION_USERS, keyed=True)


@users_projection.on(UserRegistered)
async def _registered(connection: AsyncConnection, event: UserRegistered, envelope: Envelope) -> None:
    user = insert(known_users).values(user_id=event.user_id, registered_at=envelope.time)
    await connection.execute(user.on_conflict_do_nothing())
