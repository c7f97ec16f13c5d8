"""Images, and who may see them."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.contracts.images import StoredImage


@dataclass(frozen=True)
class SeenImage:
    image: StoredImage
    public: bool
    """Everybody may see it, so every cache may keep it."""


async def seen_by(connection: AsyncConnection, sha256: str, viewer: UUID | None) -> SeenImage | None:
    """The image, or None when there is none or not for this viewer.

    An image is there for everybody as soon as one public item shows it. If only private items do, it is there for
    their creators and for those who brought the same bytes themselves. One that is in no item yet is there for all who
    know its hash.
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
    return SeenImage(image, public=row.public)


_SEEN = """
SELECT i.media_type, i.width, i.height, i.size_bytes,
       EXISTS (SELECT FROM content_items_all c WHERE c.image_sha256 = i.sha256 AND NOT c.is_private) AS public,
       NOT EXISTS (SELECT FROM content_items_all c WHERE c.image_sha256 = i.sha256) AS unused,
       EXISTS (SELECT FROM content_items_all c
               WHERE c.image_sha256 = i.sha256 AND c.creator_id = CAST(:viewer AS uuid))
       OR EXISTS (SELECT FROM image_uploads u
                  WHERE u.sha256 = i.sha256 AND u.user_id = CAST(:viewer AS uuid)) AS own
FROM images i WHERE i.sha256 = :sha256
"""
