"""Images that people brought, and those that nobody needs any more."""

from uuid import UUID

from genonaut.contracts.event import Event
from genonaut.contracts.images import Sha256, StoredImage


class ImageUploaded(Event, type="content.image.uploaded"):
    """Somebody gave the platform an image that it can show. It need not be in any item yet."""

    image: StoredImage
    user_id: UUID | None = None
    """Who says that it is theirs; None when nobody did."""


class ImageRetired(Event, type="content.image.retired"):
    """No item has shown it for a while. It is there for nobody until somebody brings it again; its bytes may go."""

    sha256: Sha256


class ImageRemoved(Event, type="content.image.removed"):
    """After it was retired: its bytes and all that was made of them are deleted."""

    sha256: Sha256
