"""Images: known by the hash of their bytes, with the people who brought them, until nobody needs them."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.content import ImageRemoved, ImageRetired, ImageUploaded
from genonaut.contracts.images import StoredImage
from genonaut.platform.aggregate import Aggregate


@dataclass(frozen=True)
class Image:
    uploaded_by: AbstractSet[UUID | None] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Use:
    """How much an image is in use, as whoever holds it sees it."""

    shown_by: int
    """Items."""
    last_used_at: datetime
    retired: bool = False


@dataclass(frozen=True)
class Upload:
    image: StoredImage
    user_id: UUID | None
    renews: bool = False
    """It has not been used for a while, and is to count as used now."""


@dataclass(frozen=True)
class Retire:
    sha256: str
    use: Use
    unused_since: datetime
    """What was used after this is left alone."""


@dataclass(frozen=True)
class Remove:
    """Its bytes are deleted."""

    sha256: str


Command = Upload | Retire | Remove


def decide(command: Command, image: Image) -> Sequence[Event]:
    """The same person bringing it again states nothing, unless that renews it; what is in use is not retired."""
    match command:
        case Upload(brought, user_id, renews):
            known = user_id in image.uploaded_by and not renews
            return [] if known else [ImageUploaded(image=brought, user_id=user_id)]
        case Retire(sha256, use, unused_since):
            needed = use.retired or use.shown_by > 0 or use.last_used_at >= unused_since
            return [] if needed else [ImageRetired(sha256=sha256)]
        case Remove(sha256):
            return [ImageRemoved(sha256=sha256)]


def evolve(image: Image, event: Event) -> Image:
    if isinstance(event, ImageUploaded):
        return Image(image.uploaded_by | {event.user_id})
    if isinstance(event, ImageRetired):
        return Image()
    return image


IMAGE: Aggregate[Image, Command] = Aggregate("image", Image(), decide, evolve)
