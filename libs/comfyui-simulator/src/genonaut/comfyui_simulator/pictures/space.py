"""Deep space: a nebula, stars, planets."""

from PIL import Image, ImageChops, ImageDraw

from genonaut.comfyui_simulator.pictures.painting import Canvas, Point, distance, levels, noise
from genonaut.comfyui_simulator.pictures.palettes import mix
from genonaut.comfyui_simulator.pictures.skies import stars

_FINE = 3


def nebula(canvas: Canvas) -> None:
    """Glowing gas, dark lanes, stars, one planet or two."""
    rng, palette = canvas.rng, canvas.palette
    canvas.image.paste(mix(palette.near, palette.sky[0], 0.35), (0, 0, *canvas.size))
    for hue in (palette.sky[1], palette.far, palette.accent, palette.sky[-1], palette.light):
        low = rng.uniform(0.36, 0.52)
        strength = rng.uniform(0.2, 0.4) if hue == palette.light else rng.uniform(0.45, 0.95)
        canvas.light(hue, levels(noise(canvas.size, (2, 2), 5, rng), low, low + 0.36, strength))
    canvas.veil(mix(palette.near, (0, 0, 0), 0.5), levels(noise(canvas.size, (3, 3), 4, rng), 0.56, 0.82, 0.85))
    stars(canvas, floor=1.0, share=1.0)
    _planet(canvas, (rng.uniform(0.25, 0.75), rng.uniform(0.35, 0.68)), rng.uniform(0.13, 0.25), rings=0.55)
    for _ in range(rng.randrange(3)):
        _planet(canvas, (rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.3)), rng.uniform(0.015, 0.05), rings=0)


def _planet(canvas: Canvas, centre: Point, radius: float, *, rings: float) -> None:
    rng, palette = canvas.rng, canvas.palette
    base, band = mix(palette.accent, palette.far, rng.random()), mix(palette.light, palette.accent, 0.4)
    tilt, ringed = rng.uniform(-25, 25), rng.random() < rings
    reach = max(round(radius * canvas.short), 2)
    size = (2 * reach, 2 * reach)
    bands = levels(noise(size, (2, 7), 3, rng), 0.35, 0.7, 0.75)
    body = Image.composite(Image.new("RGB", size, band), Image.new("RGB", size, base), bands)
    body = body.rotate(tilt, Image.Resampling.BICUBIC, fillcolor=base)
    body.paste(mix(palette.near, (0, 0, 0), 0.3), (0, 0), _shade(reach))
    canvas.glow(centre, radius * 1.6, palette.light, strength=0.35)
    x, y = round(centre[0] * canvas.width), round(centre[1] * canvas.height)
    ring, colour = _ring(reach, tilt), mix(palette.light, base, 0.3)
    corner = (x - ring.width // 2, y - ring.height // 2)
    if ringed:
        canvas.image.paste(colour, corner, ring)
    canvas.image.paste(body, (x - reach, y - reach), _round(reach))
    if ringed:
        canvas.image.paste(colour, corner, ImageChops.multiply(ring, _front_half(ring.size, tilt)))


def _shade(reach: int) -> Image.Image:
    """Return the night side: the light comes from the upper left."""
    wide = distance().resize((4 * reach, 4 * reach), Image.Resampling.BICUBIC)
    part = wide.crop((round(1.35 * reach), round(1.4 * reach), round(3.35 * reach), round(3.4 * reach)))
    dark = [round(min(value / 255 * 1.9, 1) ** 1.5 * 245) for value in range(256)]
    return part.point(dark).resize((2 * reach, 2 * reach))


def _round(reach: int) -> Image.Image:
    edge = 2 * reach * _FINE
    mask = Image.new("L", (edge, edge))
    ImageDraw.Draw(mask).ellipse([_FINE, _FINE, edge - _FINE, edge - _FINE], fill=255)
    return mask.reduce(_FINE)


def _ring(reach: int, tilt: float) -> Image.Image:
    edge = round(reach * 4.6)
    mask = Image.new("L", (edge * _FINE, edge * _FINE))
    draw, middle = ImageDraw.Draw(mask), edge * _FINE / 2
    for outer, opacity in ((2.15, 120), (2.02, 0), (1.96, 190), (1.62, 90), (1.45, 0)):
        wide, tall = outer * reach * _FINE, outer * reach * _FINE * 0.26
        draw.ellipse([middle - wide, middle - tall, middle + wide, middle + tall], fill=opacity)
    return mask.reduce(_FINE).rotate(tilt, Image.Resampling.BICUBIC)


def _front_half(size: tuple[int, int], tilt: float) -> Image.Image:
    half = Image.new("L", size)
    half.paste(255, (0, size[1] // 2, *size))
    return half.rotate(tilt, fillcolor=0)
