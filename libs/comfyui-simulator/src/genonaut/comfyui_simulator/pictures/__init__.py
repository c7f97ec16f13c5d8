"""Pictures drawn from a prompt and a seed: the same two give the same bytes, at every size the same composition."""

import random
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from genonaut.comfyui_simulator.pictures.painting import Canvas, dimmed, distance, levels
from genonaut.comfyui_simulator.pictures.palettes import palette_for
from genonaut.comfyui_simulator.pictures.scenes import scene_for
from genonaut.comfyui_simulator.pictures.skies import weather
from genonaut.comfyui_simulator.pictures.subjects import place, subject_for

_SMALLEST_WITH_TEXT = 96
_LARGEST_PREVIEW = 192


def draw(prompt: str, seed: int, width: int, height: int) -> Image.Image:
    """Return the RGB picture of `prompt` and `seed`, signed "simulated" with the prompt's first words.

    Both edges have at least 16 pixels; below 96 there is no room for the signature.
    """
    picture = _scene(prompt, seed, (width, height)).copy()
    if min(width, height) >= _SMALLEST_WITH_TEXT:
        _sign(picture, prompt)
    return picture


def preview(prompt: str, seed: int, width: int, height: int, done: float) -> Image.Image:
    """Return the picture as it comes out of the noise when a share `done` (0..1) of the sampling is over.

    Its longer edge is at most 192 pixels.
    """
    scale = min(_LARGEST_PREVIEW / max(width, height), 1)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    picture = _scene(prompt, seed, size).filter(ImageFilter.GaussianBlur((1 - done) * max(size) / 24))
    rng = _chance(f"{seed} {done}")
    grid = ((size[0] + 3) // 4, (size[1] + 3) // 4)
    grains = Image.frombytes("RGB", grid, rng.randbytes(3 * grid[0] * grid[1])).resize(size)
    return Image.blend(picture, grains, (1 - done) ** 1.5 * 0.85)


def _chance(key: str) -> random.Random:
    return random.Random(key)  # noqa: S311 - pictures must repeat; nothing here is a secret


@lru_cache(maxsize=1)  # a small picture is its own preview: drawn once for both
def _scene(prompt: str, seed: int, size: tuple[int, int]) -> Image.Image:
    rng = _chance(f"{seed} {prompt}")
    canvas = Canvas(size, palette_for(prompt, rng), rng)
    subject = subject_for(prompt)
    stand = scene_for(prompt, rng, with_stand=subject is not None)(canvas)
    if subject and stand:
        place(canvas, subject, stand)
    weather(canvas)
    dark_corners = distance().resize(size, Image.Resampling.BICUBIC)
    canvas.veil((0, 0, 0), levels(dark_corners, 0.5, 1.0, 0.28))
    return canvas.image


def _sign(picture: Image.Image, prompt: str) -> None:
    size = max(round(min(picture.size) / 40), 9)
    font = _font(size)
    text = _shortened(f"simulated · {' '.join(prompt.split())}", font, picture.width - 2 * size)
    mask = Image.new("L", (picture.width, 2 * size))
    ImageDraw.Draw(mask).text((size, size), text, fill=255, font=font, anchor="ls")
    corner = (0, picture.height - 2 * size)
    picture.paste((0, 0, 0), (corner[0] + 1, corner[1] + 1), dimmed(mask, 0.45))
    picture.paste((255, 255, 255), corner, dimmed(mask, 0.7))


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> str:
    text = text[:120].rstrip(" ·")
    while font.getlength(text) > room and len(text) > len("simulated"):
        text = text.removesuffix("…")[:-1].rstrip() + "…"
    return text


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
