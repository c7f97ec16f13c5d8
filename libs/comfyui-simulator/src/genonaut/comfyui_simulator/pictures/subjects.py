"""Things to stand, float or fly in a scene, as outlines; and the words that call for them."""

import random
from dataclasses import dataclass, replace

from genonaut.comfyui_simulator.pictures.painting import Canvas, Outline, Point, height_at
from genonaut.comfyui_simulator.pictures.palettes import first_match, mix


@dataclass(frozen=True)
class Subject:
    """A silhouette: outlines and lit parts, x and y in its own height, the foot at (0, 0), up is positive."""

    tall: float
    outlines: tuple[str, ...]
    lights: tuple[str, ...] = ()
    place: str = "ground"


SUBJECTS = {
    "cat": Subject(
        0.15,
        (
            "-.26,0 -.28,.2 -.22,.42 -.13,.56 -.15,.68 -.19,.78 -.2,1 -.1,.9 0,.91 .09,1 .1,.8 .06,.68 .02,.6",
            "-.26,0 -.13,.56 .02,.6 .1,.46 .17,.26 .22,0",
            ".1,0 .3,0 .42,.04 .5,.14 .5,.28 .44,.38 .38,.36 .42,.28 .41,.18 .36,.1 .28,.07 .1,.08",
        ),
    ),
    "boat": Subject(
        0.17,
        (
            "-.42,.14 .46,.14 .34,0 -.3,0", "-.01,.12 .015,.12 .015,1 -.01,1", ".04,.2 .4,.22 .3,.42 .18,.68 .04,.97",
            "-.04,.2 -.32,.2 -.22,.42 -.12,.62 -.04,.85",
        ),
        place="water",
    ),
    "lighthouse": Subject(
        0.3,
        (
            "-.1,0 -.062,.76 .062,.76 .1,0", "-.09,.76 .09,.76 .09,.79 -.09,.79", "-.055,.79 -.055,.9 .055,.9 .055,.79",
            "-.075,.9 0,1 .075,.9",
        ),
        ("-.04,.805 -.04,.885 .04,.885 .04,.805",),
    ),
    "cabin": Subject(
        0.1,
        ("-.5,-.2 -.5,.45 .5,.45 .5,-.2", "-.62,.42 -.4,.9 .4,.9 .62,.42", ".2,.8 .2,1.08 .32,1.08 .32,.8"),
        ("-.34,.14 -.34,.33 -.14,.33 -.14,.14", ".14,.14 .14,.33 .34,.33 .34,.14"),
    ),
    "castle": Subject(
        0.26,
        (
            "-.42,-.14 -.42,.42 -.3,.42 -.3,.46 -.22,.46 -.22,.42 -.1,.42 .1,.42 .1,.46 .2,.46 .2,.42 .42,.42 .42,-.14",
            "-.46,-.14 -.46,.6 -.28,.6 -.28,-.14", "-.49,.6 -.37,.88 -.25,.6",
            ".26,-.14 .26,.56 .44,.56 .44,-.14", ".23,.56 .35,.82 .47,.56",
            "-.13,0 -.13,.76 .1,.76 .1,0", "-.17,.76 -.015,1.04 .14,.76",
        ),
        ("-.05,.56 -.05,.66 .02,.66 .02,.56", "-.39,.44 -.39,.51 -.35,.51 -.35,.44", ".33,.4 .33,.47 .37,.47 .37,.4"),
    ),
    "balloon": Subject(
        0.2,
        (
            "-.09,.3 -.24,.5 -.31,.68 -.29,.82 -.2,.93 -.07,.99 .07,.99 .2,.93 .29,.82 .31,.68 .24,.5 .09,.3",
            "-.085,.3 -.06,.12 -.05,.12 -.07,.3", ".085,.3 .06,.12 .05,.12 .07,.3", "-.075,0 -.085,.13 .085,.13 .075,0",
        ),
        ("-.03,.3 -.09,.6 -.08,.85 -.03,.985 .03,.985 .08,.85 .09,.6 .03,.3",),
        place="air",
    ),
    "figure": Subject(
        0.16,
        (
            "-.1,0 -.08,.25 -.11,.5 -.13,.74 -.09,.8 .09,.8 .13,.74 .11,.5 .08,.25 .1,0 .03,0 .01,.3 -.01,.3 -.03,0",
            "-.075,.9 -.055,.97 0,1 .055,.97 .075,.9 .055,.83 0,.8 -.055,.83",
        ),
    ),
    "deer": Subject(
        0.15,
        (
            "-.34,.62 -.37,.5 -.31,.4 -.32,.2 -.33,0 -.28,0 -.26,.22 -.2,.42 .08,.42 .22,.46 .29,.62 .1,.62",
            ".06,.43 .12,.2 .12,0 .17,0 .18,.22 .22,.46",
            ".1,.62 .22,.46 .29,.62 .33,.72 .44,.68 .45,.72 .36,.8 .31,.85 .25,.82 .2,.7",
            ".29,.82 .27,.94 .2,1.04 .22,1.05 .29,.97 .32,1.08 .34,1.07 .31,.95 .32,.84",
        ),
    ),
}  # fmt: skip

_LIT = 0.36  # of all windows
_ISLET = "-.75,-.08 -.5,.01 -.2,.04 .15,.035 .55,0 .8,-.08"

_SUBJECT_WORDS = {
    "cat": "cat cats kitten kitty",
    "boat": "boat boats ship sail sailing sailboat yacht harbour harbor",
    "lighthouse": "lighthouse beacon",
    "cabin": "cabin house cottage hut farm home village barn",
    "castle": "castle palace fortress kingdom ruins temple",
    "balloon": "balloon balloons airship",
    "figure": "man woman girl boy person astronaut wizard knight samurai portrait hero robot wanderer elf",
    "deer": "deer stag elk reindeer moose unicorn",
}


def subject_for(prompt: str) -> Subject | None:
    """Return the thing that a word of the prompt names first."""
    name = first_match(prompt, _SUBJECT_WORDS)
    return SUBJECTS[name] if name else None


@dataclass(frozen=True)
class Stand:
    """Where a subject may be: a ridge or waterline, and how much larger than usual it is there."""

    ridge: Outline
    scale: float = 1.0
    is_water: bool = False


def place(canvas: Canvas, subject: Subject, stand: Stand) -> None:
    """Paint `subject` somewhere on `stand`, near and dark, its lights lit."""
    palette, rng, ridge = canvas.palette, canvas.rng, stand.ridge
    x = min(max(rng.uniform(0.2, 0.8), ridge[0][0]), ridge[-1][0])
    foot = (x, rng.uniform(0.3, 0.5) if subject.place == "air" else height_at(ridge, x) + 0.012)
    subject = replace(subject, tall=subject.tall * stand.scale)
    if stand.is_water and subject.place == "ground":
        subject = replace(subject, outlines=(*subject.outlines, _ISLET))
    if palette.is_dark:
        middle = (foot[0], foot[1] - subject.tall / 2 * canvas.short / canvas.height)
        canvas.glow(middle, subject.tall, mix(palette.haze, palette.accent, 0.3), strength=0.6)
    mirrored = rng.choice((True, False))
    colour = mix(palette.near, palette.accent, 0.75) if subject.place == "air" else mix(palette.near, palette.far, 0.06)
    canvas.shape(_placed(canvas, subject, subject.outlines, foot, mirrored=mirrored), colour)
    lit = mix(palette.light, palette.accent, 0.35)
    canvas.shape(_placed(canvas, subject, subject.lights, foot, mirrored=mirrored), lit)
    if subject.lights and subject.place == "ground":
        x, y = _placed(canvas, subject, subject.lights[:1], foot, mirrored=mirrored)[0][0]
        canvas.glow((x, y), subject.tall * 0.6, palette.accent, strength=0.5, falloff=3)


def _placed(
    canvas: Canvas, subject: Subject, outlines: tuple[str, ...], foot: Point, *, mirrored: bool
) -> list[Outline]:
    up = subject.tall * canvas.short / canvas.height
    across = subject.tall * canvas.short / canvas.width * (-1 if mirrored else 1)
    points = ([map(float, pair.split(",")) for pair in outline.split()] for outline in outlines)
    return [[(foot[0] + x * across, foot[1] - y * up) for x, y in outline] for outline in points]


def conifer(rng: random.Random, foot: Point, tall: float, canvas: Canvas) -> list[Outline]:
    """Return the outlines of a fir on `foot`, `tall` in shares of the height."""
    x, y = foot
    wide = tall * rng.uniform(0.17, 0.25) * canvas.height / canvas.width
    tiers = 5
    left: list[Point] = []
    right: list[Point] = []
    for tier in range(tiers):
        upper, lower = y - tall * (1 - tier / tiers * 0.92), y - tall * (1 - (tier + 1.2) / tiers * 0.92)
        reach = wide * (tier + 1) / tiers
        notch = reach * 0.35 if tier else 0
        left += [(x - notch, upper), (x - reach * rng.uniform(0.85, 1.1), lower)]
        right += [(x + notch, upper), (x + reach * rng.uniform(0.85, 1.1), lower)]
    trunk = wide * 0.12
    return [
        [*left, *reversed(right)],
        [(x - trunk, y - tall * 0.2), (x + trunk, y - tall * 0.2), (x + trunk, y), (x - trunk, y)],
    ]


def tower_block(rng: random.Random, foot: Point, wide: float, tall: float) -> tuple[list[Outline], list[Outline]]:
    """Return the outlines of a tower with its left foot at `foot`, and those of its lit windows."""
    x, y = foot
    top = y - tall
    roofs: list[Outline] = [
        [(x + wide * 0.46, top), (x + wide * 0.5, top - tall * 0.22), (x + wide * 0.54, top)],
        _box(x + wide * 0.2, top - 0.03, x + wide * 0.8, top + 0.01),
        [(x, top), (x + wide, top - tall * 0.1), (x + wide, top)],
        _box(x, top, x + wide, top),
    ]
    outlines: list[Outline] = [_box(x, top, x + wide, y), rng.choice(roofs)]
    columns, rows = max(round(wide / 0.016), 2), max(round(tall / 0.026), 3)
    windows: list[Outline] = []
    for row in range(rows):
        for column in range(columns):
            if rng.random() < _LIT:
                left, upper = x + wide * (column + 0.28) / columns, top + tall * (row + 0.3) / rows
                windows.append(_box(left, upper, left + wide * 0.42 / columns, upper + tall * 0.42 / rows))
    return outlines, windows


def _box(left: float, top: float, right: float, bottom: float) -> Outline:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]
