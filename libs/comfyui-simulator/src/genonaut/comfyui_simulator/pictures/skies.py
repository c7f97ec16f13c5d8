"""What is up there: sun or moon, stars, clouds, northern lights, birds, and what falls."""

from PIL import ImageChops

from genonaut.comfyui_simulator.pictures.painting import Canvas, Point, fade, levels, noise
from genonaut.comfyui_simulator.pictures.palettes import mix

_BRIGHTEST = 0.965  # of the chances that are stars' sizes: these shine


def heavens(canvas: Canvas, *, low: float, high: float, clouds: float = 0.5) -> Point:
    """Paint the whole sky with its sun or moon between the heights `low` and `high`; return where that is."""
    stars(canvas)
    if canvas.palette.weather == "aurora":
        _northern_lights(canvas)
    centre = _sun_or_moon(canvas, low, high)
    _clouds(canvas, clouds)
    return centre


def stars(canvas: Canvas, floor: float = 0.75, share: float | None = None) -> None:
    """Paint up to 150 stars above `floor`, as many as `share` or the palette say."""
    rng, palette = canvas.rng, canvas.palette
    places = [(rng.random(), rng.random() ** 1.3 * floor, rng.random()) for _ in range(150)]
    shown = places[: round(150 * (palette.stars if share is None else share))]
    smallest = max(0.0013, 0.5 / canvas.short)
    radius = [smallest * (0.5 + 1.6 * size**6) for _, _, size in shown]
    canvas.dots(
        [(x, y, r, r, 0.35 + 0.65 * size) for (x, y, size), r in zip(shown, radius, strict=True)], (255, 255, 255)
    )
    for x, y, size in shown:
        if size > _BRIGHTEST:
            canvas.glow((x, y), 0.03, palette.light, strength=0.8, falloff=4)


def _sun_or_moon(canvas: Canvas, low: float, high: float) -> Point:
    rng, palette = canvas.rng, canvas.palette
    centre = (rng.uniform(0.18, 0.82), rng.uniform(low, high))
    radius, phase, crescent = rng.uniform(0.04, 0.08), rng.uniform(0.3, 0.55), rng.random() < palette.stars * 0.6
    canvas.glow(centre, radius * 10, mix(palette.light, palette.haze, 0.5), strength=0.6)
    canvas.glow(centre, radius * 3.2, palette.light, strength=0.45)
    away = (
        centre[0] + 1.3 * phase * radius * canvas.short / canvas.width,
        centre[1] - phase * radius * canvas.short / canvas.height,
    )
    dark_side = canvas.image.copy()
    canvas.disc(centre, radius, palette.light)
    if crescent:
        canvas.dots([(*away, radius * 0.97, radius * 0.97, 1.0)], dark_side)
    return centre


def _clouds(canvas: Canvas, strength: float) -> None:
    rng, palette = canvas.rng, canvas.palette
    cover = rng.uniform(0.42, 0.6)
    mask = levels(noise(canvas.size, (3, 7), 4, rng), cover, cover + 0.4, strength)
    mask = ImageChops.multiply(mask, fade(canvas.size, (0.8, 1.0, 0.3, 0.0)))
    canvas.veil(mix(palette.haze, palette.light, 0.5), mask)


def _northern_lights(canvas: Canvas) -> None:
    rng, palette = canvas.rng, canvas.palette
    for colour, strength in ((palette.accent, 0.75), (mix(palette.accent, (150, 90, 255), 0.7), 0.6)):
        curtains = levels(noise(canvas.size, (5, 1), 4, rng), 0.45, 0.85, strength)
        rays = levels(noise(canvas.size, (40, 1), 2, rng), 0.1, 0.9)
        band = fade(canvas.size, (0.1, 0.7, 1.0, 0.15, 0.0, 0.0))
        canvas.light(colour, ImageChops.multiply(ImageChops.multiply(curtains, rays), band))


def birds(canvas: Canvas) -> None:
    """Paint a flock, in daylight only."""
    rng, palette = canvas.rng, canvas.palette
    x, y, count = rng.uniform(0.2, 0.75), rng.uniform(0.16, 0.36), rng.randrange(3, 8)
    flock = []
    for _ in range(count):
        bx, by = x + rng.uniform(-0.13, 0.13), y + rng.uniform(-0.06, 0.06)
        span, flap = rng.uniform(0.009, 0.02), rng.uniform(0.3, 0.7)
        wing = span * canvas.width / canvas.height * flap
        flock.append([(bx - span, by - wing), (bx, by), (bx + span, by - wing), (bx, by + wing * 0.5)])
    if not palette.is_dark:
        canvas.shape(flock, mix(palette.near, palette.sky[-2], 0.25), strength=0.8)


def weather(canvas: Canvas) -> None:
    """Paint what falls: snow or rain, if the palette has any."""
    rng, palette = canvas.rng, canvas.palette
    drops = [(rng.random(), rng.random(), rng.random()) for _ in range(220)]
    if palette.weather == "snow":
        flakes = [(x, y, 0.0016 + 0.006 * size**4, 0.0016 + 0.006 * size**4, 0.4 + 0.5 * size) for x, y, size in drops]
        canvas.dots(flakes, (255, 255, 255))
    elif palette.weather == "rain":
        thin = 0.0012
        lines = [
            [(x, y), (x + thin, y), (x - 0.012 - thin, y + 0.03 + 0.05 * size), (x - 0.012, y + 0.03 + 0.05 * size)]
            for x, y, size in drops
        ]
        canvas.shape(lines, mix(palette.light, palette.haze, 0.3), strength=0.3)
