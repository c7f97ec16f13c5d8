"""Images: known by the hash of their bytes, with the people who brought them."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.content import ImageUploaded
from genonaut.contracts.images import StoredImage
from genonaut.platform.aggregate import Aggregate


@dataclass(frozen=True)
class Image:
    uploaded_by: AbstractSet[UUID | None] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Upload:
    image: StoredImage
    user_id: UUID | None


def decide(command: Upload, image: Image) -> Sequence[Event]:
    """The same person bringing it again states nothing."""
    if command.user_id in image.uploaded_by:
        return []
    return [ImageUploaded(image=command.image, user_id=command.user_id)]


def evolve(image: Image, event: Event) -> Image:
    if isinstance(event, ImageUploaded):
        return Image(image.uploaded_by | {event.user_id})
    return image


IMAGE: Aggregate[Image, Upload] = Aggregate("image", Image(), decide, evolve)
