"""Images, and who may see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.images.domain import Use
from genonaut.contracts.images import StoredImage


@dataclass(frozen=True)
class SeenImage:
    image: StoredImage
    public: bool
    """Everybody may see it, so every cache may keep it."""
    own: bool
    """The viewer has brought it, or made an item of it."""


async def seen_by(connection: AsyncConnection, sha256: str, viewer: UUID | None) -> SeenImage | None:
    """The image, or None when there is none or not for this viewer.

    An image is there for everybody as soon as one public item shows it. If only private items do, it is there for
    their creators and for those who brought the same bytes themselves. One that has never been in an item is there for
    all who know its hash.
    """
    row = (await connection.execute(text(_SEEN), {"sha256": sha256, "viewer": viewer})).one_or_none()
    if row is None or not (row.public or row.own or row.unused):
        return None
    image = StoredImage(
        sha256=sha256,
        media_type=row.media_type,
        width=row.width,
        height=row.height,
        size_bytes=row.size_bytes,
    )
    return SeenImage(image, public=row.public, own=row.own)


async def hold(connection: AsyncConnection, sha256: str) -> Use | None:
    """How much it is in use, None when it is not known.

    Until the transaction ends nobody else brings it, makes an item of it, retires it or removes it.
    """
    # Of the hash and not of a row: what is not there yet is held, too.
    await connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:sha256, :purpose))"),
        {"sha256": sha256, "purpose": _PURPOSE},
    )
    # A statement of its own, which sees what was committed while the first one waited.
    row = (await connection.execute(text(_USE), {"sha256": sha256})).one_or_none()
    return Use(row.shown_by, row.last_used_at, retired=row.retired) if row else None


async def unused(connection: AsyncConnection, before: datetime, *, limit: int) -> Sequence[str]:
    """Images that no item shows and that were last used before that, the longest first."""
    return list(await connection.scalars(text(_UNUSED), {"before": before, "limit": limit}))


async def retired(connection: AsyncConnection, *, limit: int) -> Sequence[str]:
    """Images whose bytes are to go, the longest first."""
    return list(await connection.scalars(text(_RETIRED), {"limit": limit}))


async def between(connection: AsyncConnection, first: str, end: str | None) -> dict[str, bool]:
    """The images with hashes from `first` up to `end`, and whether each is retired."""
    rows = await connection.execute(text(_BETWEEN), {"first": first, "end": end})
    return {row.sha256: row.retired for row in rows}


_PURPOSE = 7_305_804_402  # any number that no other lock of the service uses

_SEEN = """
SELECT i.media_type, i.width, i.height, i.size_bytes,
       EXISTS (SELECT FROM content_items_all c WHERE c.image_sha256 = i.sha256 AND NOT c.is_private) AS public,
       NOT i.was_shown AS unused,
       EXISTS (SELECT FROM content_items_all c
               WHERE c.image_sha256 = i.sha256 AND c.creator_id = CAST(:viewer AS uuid))
       OR EXISTS (SELECT FROM image_uploads u
                  WHERE u.sha256 = i.sha256 AND u.user_id = CAST(:viewer AS uuid)) AS own
FROM images i WHERE i.sha256 = :sha256 AND i.retired_at IS NULL
"""
_USE = "SELECT shown_by, last_used_at, retired_at IS NOT NULL AS retired FROM images WHERE sha256 = :sha256"
# The second look is at few rows, and the only one before bytes go that nothing brings back.
_UNUSED = """
SELECT sha256 FROM images WHERE shown_by = 0 AND retired_at IS NULL AND last_used_at < :before
AND NOT EXISTS (SELECT FROM content_items_all c WHERE c.image_sha256 = images.sha256)
ORDER BY last_used_at, sha256 LIMIT :limit
"""
_RETIRED = "SELECT sha256 FROM images WHERE retired_at IS NOT NULL ORDER BY retired_at, sha256 LIMIT :limit"
_BETWEEN = """
SELECT sha256, retired_at IS NOT NULL AS retired FROM images
WHERE sha256 >= :first AND (sha256 < CAST(:end AS text) OR CAST(:end AS text) IS NULL)
"""
