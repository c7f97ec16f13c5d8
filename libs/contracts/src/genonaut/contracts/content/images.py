"""Images that people brought, and those that nobody needs any more."""

from uuid import UUID

from genonaut.contracts.event import Event
from genonaut.contracts.images import Sha256, StoredImage


class ImageUploaded(Event, type="content.image.uploaded"):
    """Somebody gave the platform an image that it can show. It need not be in any item yet."""

    image: StoredImage
    user_id: UUID | None = None
    """Who says that it is theirs; None when nobody did."""


class ImageRemoved(Event, type="content.image.removed"):
    """No item shows it any more. Its bytes and those of its thumbnails are deleted."""

    sha256: Sha256
