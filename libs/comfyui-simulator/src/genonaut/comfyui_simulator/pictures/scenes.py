"""Compositions: what is in the picture. A scene word of the prompt chooses one, else the seed does.

A scene returns where a subject may stand, or None when there is no such place.
"""

import math
import random
from collections.abc import Callable

from genonaut.comfyui_simulator.pictures.painting import Canvas, Dot, Outline, fade, height_at
from genonaut.comfyui_simulator.pictures.palettes import first_match, mix
from genonaut.comfyui_simulator.pictures.skies import birds, heavens
from genonaut.comfyui_simulator.pictures.space import nebula
from genonaut.comfyui_simulator.pictures.subjects import Stand, conifer, tower_block
from genonaut.comfyui_simulator.pictures.terrain import Ridge, dune, facets, jagged, rolling, water

Scene = Callable[[Canvas], Stand | None]

_SCENE_WORDS = {
    "mountains": "mountain mountains peak peaks alps valley cliff hill hills volcano castle dragon canyon aurora",
    "sea": "sea ocean beach wave waves island harbour harbor lake coast lighthouse boat boats ship sail river whale"
    " fish sailing",
    "forest": "forest woods jungle tree trees pine bamboo deer fox owl wolf fairy cabin bear",
    "dunes": "desert dune dunes sand savanna sahara camel cactus pyramid mars",
    "city": "city skyline street town tokyo skyscraper cyberpunk neon robot car building buildings rooftop",
    "space": "space galaxy nebula cosmos cosmic planet universe astronaut alien spaceship",
    "meadow": "meadow flower flowers garden field spring farm balloon horse rabbit bee cottage village",
    "ribbons": "abstract flow flowing pattern music dream ribbons ribbon silk texture waveform",
}


def mountains(canvas: Canvas) -> Stand:
    """Ranges behind ranges, firs on the nearest."""
    rng, palette = canvas.rng, canvas.palette
    heavens(canvas, low=0.16, high=0.42)
    layers = rng.randrange(5, 7)
    ridge: Ridge = []
    for layer in range(layers):
        share = layer / (layers - 1)
        is_near = layer >= layers - 2
        base, height = 0.5 + 0.37 * share + rng.uniform(-0.02, 0.02), 0.14 * (1 - share) ** 1.3 + 0.045
        ridge = rolling(rng, base, height) if is_near else jagged(rng, base, height)
        colour = mix(mix(palette.far, palette.haze, 0.4), palette.near, share**1.3)
        foot = mix(colour, palette.haze, 0.55 * (1 - share))
        trees: list[Outline] = []
        if is_near:
            for x in sorted(rng.uniform(0, 1) for _ in range(rng.randrange(14, 34))):
                trees += conifer(rng, (x, height_at(ridge, x) + 0.01), rng.uniform(0.05, 0.11), canvas)
        canvas.land(ridge, colour, foot, trees)
        if not is_near:
            facets(canvas, ridge, mix(colour, palette.near, 0.45), 0.3 * (1 - share))
        if layer == 0:
            birds(canvas)
    return Stand(ridge)


def forest(canvas: Canvas) -> Stand:
    """Rows of firs coming out of the mist, a clearing towards the light."""
    rng, palette = canvas.rng, canvas.palette
    light = heavens(canvas, low=0.2, high=0.42, clouds=0.35)
    canvas.land(jagged(rng, 0.5, 0.12), mix(palette.far, palette.haze, 0.5), palette.haze)
    rows, clearing = 4, 0.2
    ridge: Ridge = []
    for row in range(rows):
        share = row / (rows - 1)
        ridge = rolling(rng, 0.62 + 0.3 * share, 0.03 + 0.02 * share, 1.1)
        colour = mix(mix(palette.far, palette.haze, 0.3), palette.near, share**0.8)
        foot = mix(colour, mix(palette.haze, palette.light, 0.3), 0.6 * (1 - share) + 0.03)
        count, size = round(46 - 26 * share), 0.11 + 0.3 * share**1.5
        trees: list[Outline] = []
        for index in range(count):
            x, tall = (index + rng.uniform(-0.4, 1.2)) / count, size * rng.uniform(0.65, 1.15)
            if row < rows - 1 or abs(x - light[0]) > clearing:
                trees += conifer(rng, (x, height_at(ridge, x) + 0.02), tall, canvas)
        canvas.land(ridge, colour, foot, trees)
    canvas.glow(light, 0.8, palette.light, strength=0.25)
    birds(canvas)
    return Stand(ridge)


def dunes(canvas: Canvas) -> Stand:
    """Sand, one side lit."""
    rng, palette = canvas.rng, canvas.palette
    heavens(canvas, low=0.16, high=0.42, clouds=0.4)
    canvas.land(jagged(rng, 0.55, 0.06), mix(palette.far, palette.haze, 0.6), palette.haze)
    birds(canvas)
    ridge: Ridge = []
    for layer in range(4):
        ridge = dune(canvas, 0.62 + 0.095 * layer, 0.035 + 0.014 * layer, layer / 3)
    return Stand(ridge)


def sea(canvas: Canvas) -> Stand:
    """A horizon, islands, the light on the water; the subject's ridge is the waterline."""
    rng, palette = canvas.rng, canvas.palette
    horizon = rng.uniform(0.54, 0.64)
    light = heavens(canvas, low=horizon - 0.34, high=horizon - 0.06, clouds=0.6)
    for share in (0.0, 0.5):
        left, island = rng.choice((True, False)), jagged(rng, horizon, 0.06 - 0.02 * share)
        slope = [(x, y + (x if left else 1 - x) * 0.22 - 0.04) for x, y in island]
        colour = mix(palette.far, palette.near, 0.15 + share * 0.5)
        canvas.land(slope, colour, mix(colour, palette.haze, 0.4))
    water(canvas, horizon, light[0])
    birds(canvas)
    return Stand([(0.0, horizon + 0.13), (1.0, horizon + 0.13)], is_water=True)


def city(canvas: Canvas) -> Stand:
    """Towers with lit windows, their light on the water."""
    rng, palette = canvas.rng, canvas.palette
    light = heavens(canvas, low=0.18, high=0.5, clouds=0.4)
    quay = 0.84
    for row in range(3):
        share = row / 2
        colour = mix(mix(palette.far, palette.sky[-2], 0.4), palette.near, 0.15 + 0.75 * share)
        x = -0.02
        blocks: list[Outline] = []
        windows: list[Outline] = []
        while x < 1.0:
            wide = rng.uniform(0.05, 0.11) * (0.7 + share * 0.5)
            tall = rng.uniform(0.14, 0.5) * (1 - 0.35 * share) + 0.08
            outlines, lit = tower_block(rng, (x, quay), wide, tall)
            blocks += outlines
            windows += lit
            x += wide * rng.uniform(0.95, 1.25)
        canvas.land([(-0.1, quay), (1.1, quay)], colour, mix(colour, palette.haze, 0.35 * (1 - share)), blocks)
        warm = mix(palette.light, palette.accent, 0.25)
        strength = (0.3 + 0.5 * share) * (1 if palette.is_dark else 0.7)
        canvas.shape([w for i, w in enumerate(windows) if i % 5], warm, strength=strength)
        canvas.shape([w for i, w in enumerate(windows) if not i % 5], palette.accent, strength=strength)
    water(canvas, quay, light[0])
    ledge = 0.93
    roof = mix(palette.near, (0, 0, 0), 0.3)
    canvas.land([(-0.02, ledge), (1.02, ledge)], roof, roof)
    return Stand([(0.1, ledge), (0.9, ledge)], scale=2.2)


def meadow(canvas: Canvas) -> Stand:
    """Hills and a field in bloom."""
    rng, palette = canvas.rng, canvas.palette
    heavens(canvas, low=0.14, high=0.36, clouds=0.8)
    canvas.land(jagged(rng, 0.5, 0.07), mix(palette.far, palette.haze, 0.35), mix(palette.far, palette.haze, 0.8))
    green = mix(palette.near, (112, 168, 72), 0.2 if palette.is_dark else 0.68)
    ridge: Ridge = []
    for layer in range(4):
        share = layer / 3
        ridge = rolling(rng, 0.57 + 0.15 * share, 0.035, 0.9)
        lit = mix(mix(green, palette.haze, 0.5), green, share)
        canvas.land(ridge, mix(lit, palette.light, 0.2), mix(lit, palette.near, 0.35 * share))
    _bloom(canvas)
    birds(canvas)
    return Stand(ridge)


def _bloom(canvas: Canvas) -> None:
    rng, palette = canvas.rng, canvas.palette
    hues = [
        palette.accent, mix(palette.accent, palette.light, 0.6), palette.light, mix(palette.accent, palette.far, 0.5),
    ]  # fmt: skip
    beds: list[list[Dot]] = [[] for _ in hues]
    drifts = [(rng.random(), rng.random() ** 0.8, rng.randrange(len(hues))) for _ in range(26)]
    for _ in range(700):
        centre, depth, hue = rng.choice(drifts)
        near = min(max(depth + rng.gauss(0, 0.06), 0), 1)
        size = (0.0014 + 0.0085 * near**2) * rng.uniform(0.6, 1.3)
        beds[hue].append((centre + rng.gauss(0, 0.05 + 0.07 * near), 0.735 + 0.27 * near, size, size * 0.75, 0.95))
    for colour, flowers in zip(hues, beds, strict=True):
        canvas.dots(flowers, colour)


def ribbons(canvas: Canvas) -> None:
    """Bands of light flowing through each other."""
    rng, palette = canvas.rng, canvas.palette
    canvas.glow((rng.random(), rng.random()), 1.0, palette.accent, strength=0.5)
    canvas.glow((rng.random(), rng.random()), 0.8, palette.light, strength=0.35)
    phase, swing = rng.uniform(0, math.tau), rng.uniform(0.1, 0.2)
    speed, drift, twist = rng.uniform(0.5, 1.1), rng.uniform(-0.3, 0.3), rng.uniform(1.2, 2.6)
    hues = [palette.light, palette.accent, palette.far, palette.sky[1], palette.near]
    count = rng.randrange(11, 17)
    for index in range(count):
        share = index / (count - 1)
        hue = mix(hues[index % len(hues)], hues[(index + 1) % len(hues)], rng.random())
        thick, bend = rng.uniform(0.03, 0.12), phase + share * twist
        upper: Ridge = []
        lower: Ridge = []
        for x in (step / 60 for step in range(-1, 62)):
            wave = math.sin(x * math.tau * speed + bend) + 0.35 * math.sin(x * math.tau * speed * 2.3 + bend * 1.7)
            middle = 0.12 + 0.8 * share + swing * wave + drift * (x - 0.5)
            upper.append((x, middle - thick * (0.35 + 0.65 * math.sin(x * math.pi * 0.9 + bend) ** 2)))
            lower.append((x, middle + thick * 0.5))
        canvas.shape([[*upper, *reversed(lower)]], hue, strength=rng.uniform(0.35, 0.7))
        rim = [*upper, *[(x, y + 0.005) for x, y in reversed(upper)]]
        canvas.shape([rim], mix(hue, (255, 255, 255), 0.6), strength=0.6)
    for _ in range(rng.randrange(5, 12)):
        canvas.glow((rng.random(), rng.random()), rng.uniform(0.02, 0.08), palette.light, strength=0.6, falloff=3)
    canvas.veil(palette.near, fade(canvas.size, (0.35, 0.0, 0.0, 0.45)))


SCENES: dict[str, Scene] = {
    "mountains": mountains, "sea": sea, "forest": forest, "dunes": dunes, "city": city, "space": nebula,
    "meadow": meadow, "ribbons": ribbons,
}  # fmt: skip


def scene_for(prompt: str, rng: random.Random, *, with_stand: bool) -> Scene:
    """Return the scene that the prompt's words name, else one by chance (where a subject can stand, if it must)."""
    surprise = rng.choice(["mountains", "sea", "forest", "meadow"] if with_stand else sorted(SCENES))
    return SCENES[first_match(prompt, _SCENE_WORDS) or surprise]
