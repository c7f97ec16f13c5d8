"""A canvas in unit coordinates: the same strokes give the same picture at every size.

Positions are shares of the width and height from the top left; radii are shares of the shorter edge. Chance never
depends on the size, so a preview is the picture, only smaller.
"""

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from PIL import Image, ImageChops, ImageDraw

from genonaut.comfyui_simulator.pictures.palettes import Colour, Palette, mix

Point = tuple[float, float]
Outline = Sequence[Point]
Dot = tuple[float, float, float, float, float]
"""An ellipse: centre x, y; half width and half height in shares of the shorter edge; opacity 0..1."""

_FINER = 2  # edges are drawn this much larger, then reduced, because Pillow draws them hard
_RIM = 181  # the value of `distance` in the middle of its edges


def gradient(size: tuple[int, int], stops: Sequence[Colour]) -> Image.Image:
    """Return a picture running through two or more `stops` from top to bottom."""
    strip = Image.frombytes("RGB", (1, len(stops)), bytes(channel for stop in stops for channel in stop))
    return strip.resize(size, Image.Resampling.BILINEAR, box=(0, 0.5, 1, len(stops) - 0.5))


def fade(size: tuple[int, int], stops: Sequence[float]) -> Image.Image:
    """Return a mask running through opacities (0..1) from top to bottom."""
    greys = [round(255 * stop) for stop in stops]
    return gradient(size, [(grey, grey, grey) for grey in greys]).getchannel("R")


def noise(size: tuple[int, int], cells: tuple[int, int], octaves: int, rng: random.Random) -> Image.Image:
    """Return grey clouds: `cells` of chance across and down, each octave twice as fine and half as strong."""
    columns, rows = cells
    result = Image.new("L", size)
    for octave in range(octaves):
        grid = (columns << octave, rows << octave)
        layer = Image.frombytes("L", grid, rng.randbytes(grid[0] * grid[1]))
        smooth = layer.resize(size, Image.Resampling.BICUBIC)
        result = Image.blend(result, smooth, 0.5**octave)
    return result


def levels(mask: Image.Image, low: float, high: float, strength: float = 1.0) -> Image.Image:
    """Return `mask` with `low` (0..1) made black and `high` made `strength`."""
    start, span = low * 255, (high - low) * 255
    return mask.point([round(min(max((value - start) / span, 0), 1) * 255 * strength) for value in range(256)])


def dimmed(mask: Image.Image, strength: float) -> Image.Image:
    """Return `mask` at `strength` (0..1)."""
    return mask.point([round(value * strength) for value in range(256)])


@lru_cache(maxsize=1)
def distance() -> Image.Image:
    """Return a mask that is black in the middle, 0.71 at its edges and white in its corners; never paint on it."""
    return Image.radial_gradient("L")


def soft_disc(diameter: int, falloff: float) -> Image.Image:
    """Return a mask that is white in the middle and black from its rim on; a larger `falloff` fades sooner."""
    curve = [round(255 * max(1 - value / _RIM, 0) ** falloff) for value in range(256)]
    return distance().point(curve).resize((diameter, diameter), Image.Resampling.BICUBIC)


class Canvas:
    """An RGB picture being painted, with its palette and its source of chance."""

    def __init__(self, size: tuple[int, int], palette: Palette, rng: random.Random) -> None:
        self.size = self.width, self.height = size
        self.short = min(size)
        self.palette = palette
        self.rng = rng
        self.image = gradient(size, palette.sky)

    def glow(
        self, centre: Point, radius: float, colour: Colour, *, strength: float = 1.0, falloff: float = 2.0
    ) -> None:
        """Add light around `centre`."""
        reach = max(round(radius * self.short), 1)
        left, top = round(centre[0] * self.width) - reach, round(centre[1] * self.height) - reach
        box = (max(left, 0), max(top, 0), min(left + 2 * reach, self.width), min(top + 2 * reach, self.height))
        if box[0] >= box[2] or box[1] >= box[3]:
            return
        mask = soft_disc(2 * reach, falloff).crop((box[0] - left, box[1] - top, box[2] - left, box[3] - top))
        self.light(colour, dimmed(mask, strength), box[:2])

    def light(self, colour: Colour, mask: Image.Image, corner: tuple[int, int] = (0, 0)) -> None:
        """Add `colour` as light where `mask`, placed at `corner`, is white."""
        box = (*corner, corner[0] + mask.width, corner[1] + mask.height)
        lit = Image.composite(Image.new("RGB", mask.size, colour), Image.new("RGB", mask.size), mask)
        self.image.paste(ImageChops.screen(self.image.crop(box), lit), corner)

    def veil(self, colour: Colour, mask: Image.Image) -> None:
        """Lay `colour` over the picture where `mask` is white."""
        self.image.paste(colour, (0, 0), mask)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        self.dots([(*centre, radius, radius, 1.0)], colour)

    def dots(self, dots: Sequence[Dot], paint: Colour | Image.Image) -> None:
        """Paint ellipses in a colour or cut out of a picture of the canvas's size; the last opacity counts."""
        boxes = []
        for x, y, wide, tall, _ in dots:
            middle, centre, half, rise = x * self.width, y * self.height, wide * self.short, tall * self.short
            boxes.append((middle - half, centre - rise, middle + half, centre + rise))
        placed = self._mask(boxes)
        if placed:
            mask, corner, draw = placed
            for box, dot in zip(boxes, dots, strict=True):
                draw.ellipse(_finer(box, corner), fill=round(255 * dot[4]))
            mask = mask.reduce(_FINER)
            if isinstance(paint, Image.Image):
                paint = paint.crop((*corner, corner[0] + mask.width, corner[1] + mask.height))
            self.image.paste(paint, corner, mask)

    def shape(self, outlines: Sequence[Outline], colour: Colour, *, strength: float = 1.0) -> None:
        """Paint closed outlines."""
        pixels = [[(x * self.width, y * self.height) for x, y in outline] for outline in outlines]
        placed = self._mask([_bounds(outline) for outline in pixels])
        if placed:
            mask, corner, draw = placed
            for outline in pixels:
                draw.polygon(_finer([value for point in outline for value in point], corner), fill=255)
            self.image.paste(colour, corner, dimmed(mask.reduce(_FINER), strength))

    def land(self, ridge: Outline, colour: Colour, foot: Colour, standing: Sequence[Outline] = ()) -> None:
        """Paint all below `ridge`, from `colour` quickly down to `foot`, with outlines standing on it."""
        outlines = [[(ridge[0][0], 1.0), *ridge, (ridge[-1][0], 1.0)], *standing]
        pixels = [[(x * self.width, y * self.height) for x, y in outline] for outline in outlines]
        placed = self._mask([_bounds(outline) for outline in pixels])
        if placed:
            mask, corner, draw = placed
            for outline in pixels:
                draw.polygon(_finer([value for point in outline for value in point], corner), fill=255)
            size = (mask.width // _FINER, mask.height // _FINER)
            middle = mix(colour, foot, 0.75)
            self.image.paste(gradient(size, (colour, middle, foot)), corner, mask.reduce(_FINER))

    def _mask(
        self, boxes: Sequence[tuple[float, float, float, float]]
    ) -> tuple[Image.Image, tuple[int, int], ImageDraw.ImageDraw] | None:
        """Return an empty fine mask around `boxes` (pixels), its corner and its pen; None when all is outside."""
        if not boxes:
            return None
        left, top, right, bottom = (list(values) for values in zip(*boxes, strict=True))
        corner = (max(math.floor(min(left)), 0), max(math.floor(min(top)), 0))
        size = (
            min(math.ceil(max(right)) + 1, self.width) - corner[0],
            min(math.ceil(max(bottom)) + 1, self.height) - corner[1],
        )
        if min(size) < 1:
            return None
        mask = Image.new("L", (size[0] * _FINER, size[1] * _FINER))
        return mask, corner, ImageDraw.Draw(mask)


def _bounds(outline: Outline) -> tuple[float, float, float, float]:
    across, down = [x for x, _ in outline], [y for _, y in outline]
    return min(across), min(down), max(across), max(down)


def _finer(flat: Sequence[float], corner: tuple[int, int]) -> list[float]:
    return [(value - corner[index % 2]) * _FINER for index, value in enumerate(flat)]


def height_at(ridge: Outline, x: float) -> float:
    """Return the height of a ridge (its points sorted by x) at `x`."""
    for (x1, y1), (x2, y2) in pairwise(ridge):
        if x1 <= x <= x2:
            return y1 + (y2 - y1) * (x - x1) / ((x2 - x1) or 1)
    return ridge[-1][1]
