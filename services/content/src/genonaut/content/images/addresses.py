"""Where images are: for everybody, or signed, for one viewer and a while, when not everybody may see them.

Who has a signed address needs nothing else to see that image in that rendition until it expires; no part of it can be
changed. It holds the viewer's id, so that the image is shown for as long as they themselves may see it.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends

from genonaut.contracts.images import image_path
from genonaut.platform.clock import Clock
from genonaut.platform.images import RenditionFormat
from genonaut.platform.service import Runtime, RuntimeDep

LIFETIME_SECONDS = 3600
"""At least half of it is left of an address when it is given out."""

_ID_BYTES, _MAC_BYTES = 16, 16


@dataclass(frozen=True)
class Rendition:
    """What an address is of, as its parameters say it."""

    sha256: str
    size: int | None = None
    format: RenditionFormat | None = None
    metadata: str | None = None


class Addresses:
    """Writes and reads them. `secret` is the service's API_SECRET_KEY."""

    def __init__(self, secret: str, clock: Clock) -> None:
        # A key of its own, so that an address is never a valid signature of anything else made with the secret.
        self._key = hmac.digest(secret.encode(), b"genonaut image addresses", "sha256")
        self._clock = clock

    def of(self, sha256: str, *, size: int | None = None, viewer: UUID | None = None) -> str:
        """Path and query of the image; `viewer` where not everybody may see it."""
        path = image_path(sha256, size=size)
        if viewer is None:
            return path
        # The same for half an hour, so that a browser that lists again has it already.
        expires = (self.period() + 2) * (LIFETIME_SECONDS // 2)
        signature = self._signed(Rendition(sha256, size), viewer, expires)
        return f"{path}{'&' if size else '?'}expires={expires}&signature={signature}"

    def viewer(self, rendition: Rendition, *, expires: int, signature: str) -> UUID | None:
        """For whom the address was made; None when it is not one of ours, or not any more."""
        try:
            viewer = UUID(bytes=urlsafe_b64decode(signature.encode("ascii") + b"==")[:_ID_BYTES])
        except ValueError:
            return None
        # Compared as text: base64 has spare bits, and a signature has exactly one spelling.
        ours = hmac.compare_digest(self._signed(rendition, viewer, expires), signature)
        return viewer if ours and expires > self._clock().timestamp() else None

    def period(self) -> int:
        """The number of the half hour that it is: addresses made in the same one are the same."""
        return int(self._clock().timestamp()) // (LIFETIME_SECONDS // 2)

    def seconds_left(self, expires: int) -> int:
        return int(expires - self._clock().timestamp())

    def _signed(self, rendition: Rendition, viewer: UUID, expires: int) -> str:
        words = (rendition.sha256, rendition.size, rendition.format, rendition.metadata, expires)
        said = viewer.bytes + "\n".join("" if word is None else str(word) for word in words).encode()
        mac = hmac.digest(self._key, said, "sha256")[:_MAC_BYTES]
        return urlsafe_b64encode(viewer.bytes + mac).decode().rstrip("=")


def addresses_of(runtime: Runtime[Any]) -> Addresses:
    return Addresses(runtime.settings.api_secret_key.get_secret_value(), runtime.clock)


# A coroutine, because FastAPI sends plain functions to a thread.
async def _addresses(runtime: RuntimeDep) -> Addresses:
    return addresses_of(runtime)


AddressesDep = Annotated[Addresses, Depends(_addresses)]
