"""Ridges and water: the shapes of the ground."""

import math
import random
from itertools import pairwise

from PIL import Image, ImageChops

from genonaut.comfyui_simulator.pictures.painting import Canvas, Dot, Point, fade, gradient, levels, noise
from genonaut.comfyui_simulator.pictures.palettes import Colour, mix

Ridge = list[Point]


def rolling(rng: random.Random, base: float, height: float, waves: float = 1.6) -> Ridge:
    """Return soft hills around `base`, up to `height` above and below."""
    parts = [(waves * 1.9**k, rng.uniform(0, math.tau), 0.5**k) for k in range(4)]
    return [
        (x / 96, base - height * sum(a * math.sin(x / 96 * math.tau * f + p) for f, p, a in parts) / 1.4)
        for x in range(-2, 100)
    ]


def jagged(rng: random.Random, base: float, height: float) -> Ridge:
    """Return peaks around `base`, about `height` above and below: midpoints moved again and again."""
    heights = [rng.uniform(-1, 1) for _ in range(4)]
    spread = 0.75
    for _ in range(6):
        middles = [(a + b) / 2 + rng.uniform(-spread, spread) for a, b in pairwise(heights)]
        heights = [h for pair in zip(heights, [*middles, 0.0], strict=True) for h in pair][:-1]
        spread *= 0.5
    last = len(heights) - 1
    return [(1.04 * index / last - 0.02, base - height * h) for index, h in enumerate(heights)]


def facets(canvas: Canvas, ridge: Ridge, shade: Colour, strength: float) -> None:
    """Shade the sides of peaks that are turned from the light."""
    rng, reach = canvas.rng, 9
    for i in range(reach, len(ridge) - reach):
        x, y = ridge[i]
        if y > min(height for _, height in ridge[i - reach : i + reach + 1]):
            continue
        higher = next((j for j in range(i + 1, len(ridge)) if ridge[j][1] < y), len(ridge))
        far = max(range(i, higher), key=lambda j: ridge[j][1])
        drop = min(ridge[far][1] - y, 0.12) + 0.02
        edge = [(x + 0.35 * drop * t / 9 + rng.uniform(0, 0.025) * (t > 0), y + drop * t / 9) for t in range(10)]
        canvas.shape([[*ridge[i : far + 1], *reversed(edge)]], shade, strength=strength)


def dune(canvas: Canvas, base: float, height: float, depth: float) -> Ridge:
    """Paint sand waves, nearer for a greater `depth` (0..1), with shade behind every crest; return their ridge."""
    rng, palette = canvas.rng, canvas.palette
    ridge = rolling(rng, base, height, rng.uniform(0.6, 1.0))
    lit = mix(mix(palette.far, palette.light, 0.5 - 0.35 * depth), palette.near, 0.35 * depth)
    canvas.land(ridge, lit, mix(lit, palette.near, 0.25 + 0.15 * depth))
    shade = mix(lit, palette.near, 0.5)
    crests = [i for i in range(2, len(ridge) - 2) if ridge[i - 1][1] >= ridge[i][1] < ridge[i + 1][1]]
    for crest in crests:
        valley = next((i for i in range(crest + 1, len(ridge) - 1) if ridge[i + 1][1] < ridge[i][1]), len(ridge) - 1)
        (x, y), (far, _) = ridge[crest], ridge[valley]
        drop, swing = 0.16 + 0.1 * depth, rng.uniform(0.02, 0.05)
        edge = [
            (x + swing * math.sin(t / 12 * math.pi * 1.6) + (far - x) * 0.5 * (t / 12) ** 2, y + drop * t / 12)
            for t in range(13)
        ]
        canvas.shape([[*ridge[crest : valley + 1], (far + 0.1, y + drop), *reversed(edge)]], shade, strength=0.55)
    return ridge


def water(canvas: Canvas, horizon: float, light_at: float) -> None:
    """Paint water below `horizon`: the mirrored scene, deeper towards us, and the light's path under x `light_at`."""
    rng, palette, image = canvas.rng, canvas.palette, canvas.image
    top = round(horizon * canvas.height)
    size = (canvas.width, canvas.height - top)
    mirror = image.crop((0, max(top - size[1], 0), canvas.width, top)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    surface = _rippled(mirror.resize(size, Image.Resampling.BICUBIC), [rng.uniform(-1, 1) for _ in range(64)])
    deep = gradient(size, (mix(palette.sky[1], palette.near, 0.25), mix(palette.near, palette.sky[0], 0.25)))
    surface.paste(deep, (0, 0), fade(size, (0.35, 0.6, 0.85)))
    streaks = levels(noise(size, (3, 26), 2, rng), 0.55, 0.95, 0.28)
    surface.paste(mix(palette.haze, palette.light, 0.4), (0, 0), streaks)
    image.paste(surface, (0, top))
    glints: list[Dot] = []
    for _ in range(130):
        near = rng.random() ** 1.6
        wide = rng.uniform(0.004, 0.03) * (0.4 + near * 1.6)
        place = (light_at + rng.gauss(0, 0.01 + 0.08 * near), horizon + (1 - horizon) * near)
        glints.append((*place, wide, 0.0009 + 0.0022 * near, 0.25 + 0.65 * rng.random()))
    canvas.dots(glints, palette.light)


def _rippled(mirror: Image.Image, sway: list[float]) -> Image.Image:
    rippled = mirror.copy()
    edges = [round(mirror.height * (i / len(sway)) ** 1.7) for i in range(len(sway) + 1)]
    for index, shift in enumerate(sway):
        upper, lower = edges[index], edges[index + 1]
        if lower > upper:
            strip = mirror.crop((0, upper, mirror.width, lower))
            pixels = round(shift * mirror.width * 0.02 * (0.3 + index / len(sway)))
            rippled.paste(ImageChops.offset(strip, pixels, 0), (0, upper))
    return rippled
