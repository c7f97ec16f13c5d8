"""What flows through links. A picture stays a description until it is saved, so caching a node costs no memory."""

import io
from dataclasses import dataclass
from typing import Protocol

from PIL import Image, ImageOps

from genonaut.comfyui_simulator import pictures


@dataclass(frozen=True)
class Handle:
    """A loaded thing that only passes through: a MODEL, a CLIP, a VAE."""

    kind: str
    name: str


@dataclass(frozen=True)
class Conditioning:
    """An encoded prompt."""

    text: str


class Picture(Protocol):
    """A picture that can be made."""

    def render(self) -> Image.Image: ...


@dataclass(frozen=True)
class Drawing:
    """A picture drawn from a prompt and a seed."""

    prompt: str
    seed: int
    width: int
    height: int

    def render(self) -> Image.Image:
        return pictures.draw(self.prompt, self.seed, self.width, self.height)

    def preview(self, done: float) -> bytes:
        """Return the JPEG of the picture when a share `done` (0..1) of its steps is over."""
        buffer = io.BytesIO()
        pictures.preview(self.prompt, self.seed, self.width, self.height, done).save(buffer, "JPEG", quality=80)
        return buffer.getvalue()


@dataclass(frozen=True)
class Blank:
    """A picture of one colour (0xrrggbb)."""

    width: int
    height: int
    colour: int

    def render(self) -> Image.Image:
        red_green, blue = divmod(self.colour, 256)
        return Image.new("RGB", (self.width, self.height), (*divmod(red_green, 256), blue))


@dataclass(frozen=True)
class Inverted:
    """The negative of a picture."""

    original: Picture

    def render(self) -> Image.Image:
        return ImageOps.invert(self.original.render())


@dataclass(frozen=True)
class Latent:
    """A batch of pictures on their way, grey until they are sampled."""

    width: int
    height: int
    batch: tuple[Picture, ...]
