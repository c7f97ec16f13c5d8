"""Words choose colours: time and weather first, then the place; a seed only turns the hues a little."""

import colorsys
import random
import re
from dataclasses import dataclass, replace

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """The colours of one picture: the sky from zenith to horizon, light, land far and near, an accent."""

    sky: tuple[Colour, ...]
    light: Colour
    far: Colour
    near: Colour
    accent: Colour
    stars: float = 0.0
    weather: str = ""

    @property
    def haze(self) -> Colour:
        """The colour of the air at the horizon."""
        return self.sky[-1]

    @property
    def is_dark(self) -> bool:
        return self.stars > 0


def rgb(hexadecimal: str) -> Colour:
    """Return the colour written as `rrggbb`."""
    red, green, blue = bytes.fromhex(hexadecimal)
    return red, green, blue


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return `one` with a `share` (0..1) of `other` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _palette(colours: str, stars: float = 0, weather: str = "") -> Palette:
    *sky, light, far, near, accent = (rgb(colour) for colour in colours.split())
    return Palette(tuple(sky), light, far, near, accent, stars, weather)


PALETTES = {
    "sunset": _palette("2b1b4d 7a2f6b e0604f ffb35c ffe3a3 b0566e 1d1230 ff7f50", 0.15),
    "dawn": _palette("3a5a8c 8fa6c9 f3c6b4 ffe6c7 fff4d6 9aa3c0 22304a f2a490"),
    "day": _palette("2f7fc9 66aee0 a9d8ef e8f6f5 fffbe6 8fb9cc 1f4a4a f5c84c"),
    "night": _palette("050a1f 0d1b3f 1e3766 3f5f8c f2f4ff 2c466f 03060f ffd27a", 1.0),
    "forest": _palette("3f6f68 7fae95 c5d9ae f2ecc8 fff6cf 7fa58f 0d2420 e4b04a"),
    "sea": _palette("17527f 3c8fb5 8fcfd6 f4e9cf fff3cf 6da3b5 0c2b40 ff8f6b"),
    "desert": _palette("35607f 8fa3a8 ecc08f f9d9a0 fff0c4 d59a6a 5a2a1e e2673f"),
    "winter": _palette("5b7fa6 9db9d3 d5e2ec f7f5f2 ffffff b4c7d8 2a3d55 c8505a", 0, "snow"),
    "autumn": _palette("51516e a8788a e8a268 fbd896 fff0bf b87a5a 2b1418 d9481c"),
    "storm": _palette("1b222c 3a4552 6b7780 a9aea8 dfe6e2 59656d 0d1218 8fd0c9", 0, "rain"),
    "neon": _palette("0b0524 2a0a5e 8a1c9c ff5fa2 ffd1f0 5a1f8f 07021a 2ff3ff", 0.4),
    "blossom": _palette("7f9fd6 b9b6e3 f1c3d8 ffe9e4 fff7f0 b69cc4 3c2447 ff8fb8"),
    "space": _palette("05051a 141040 2d1a66 5b2d86 f6ecff 6a45a8 05030f ffb86b", 1.0),
    "aurora": _palette("04121f 07283a 0f4a55 2f7f74 eafff4 174b52 020a0e 5dffb0", 1.0, "aurora"),
}

_MOOD_WORDS = {
    "sunset": "sunset dusk evening twilight lava fire volcano flame",
    "dawn": "dawn sunrise morning misty mist fog foggy dreamy pastel",
    "day": "day daylight noon summer sunny",
    "night": "night midnight moon moonlit moonlight stars starry dark",
    "winter": "winter snow snowy ice icy frozen arctic glacier penguin",
    "autumn": "autumn fall october harvest pumpkin",
    "storm": "storm stormy rain rainy thunder gloomy noir",
    "neon": "neon cyberpunk synthwave vaporwave futuristic",
    "aurora": "aurora northern polar",
}

_PLACE_WORDS = {
    "sunset": "golden dragon hills",
    "dawn": "castle valley river lake",
    "day": "sky meadow cartoon hill field farm balloon",
    "night": "owl wolf cat city",
    "forest": "forest woods jungle tree trees pine bamboo moss fern cabin bear",
    "sea": "sea ocean beach wave waves island harbour harbor coast underwater whale fish boat ship lighthouse",
    "desert": "desert dune dunes sand canyon savanna sahara mars camel western pyramid",
    "autumn": "leaves fox maple deer",
    "storm": "ruin ruins",
    "neon": "robot cyber android arcade",
    "blossom": "blossom cherry spring flower flowers garden rose romantic fairy unicorn",
    "space": "space galaxy nebula cosmos cosmic planet astronaut universe alien spaceship",
    "aurora": "magic magical mystic mystical wizard",
}

_COLOUR_WORDS = {
    "red": "d8392b", "crimson": "b3122e", "scarlet": "e0321c", "orange": "f0862b", "amber": "f5a623",
    "gold": "e8b23a", "golden": "e8b23a", "yellow": "f4d03f", "lime": "9bd43b", "green": "3d9a4b",
    "emerald": "1fa06f", "teal": "1d8f8f", "turquoise": "2fc4b8", "cyan": "29c5e6", "azure": "3a8fe8",
    "blue": "2f62c9", "indigo": "3f3aa5", "violet": "7a3fc2", "purple": "8437b0", "lavender": "ab93d9",
    "magenta": "cf2f9e", "pink": "f07fb0", "brown": "7c5233", "silver": "b7bfc9", "white": "f2f2ee",
    "black": "15151a",
}  # fmt: skip


def words(prompt: str) -> list[str]:
    """Return the words of a prompt, lower case, in order."""
    return re.findall(r"[a-z]+", prompt.lower())


def first_match(prompt: str, table: dict[str, str]) -> str | None:
    """Return the key of `table` (key → words) that a word of the prompt names first, or None."""
    by_word = {word: key for key, listed in table.items() for word in listed.split()}
    return next((by_word[word] for word in words(prompt) if word in by_word), None)


def palette_for(prompt: str, rng: random.Random) -> Palette:
    """Return the prompt's palette: mood words choose before places, colours tint, `rng` turns the hues."""
    turn, surprise = rng.uniform(-0.025, 0.025), rng.choice(sorted(PALETTES))
    palette = PALETTES[first_match(prompt, _MOOD_WORDS) or first_match(prompt, _PLACE_WORDS) or surprise]
    tints = [rgb(_COLOUR_WORDS[word]) for word in words(prompt) if word in _COLOUR_WORDS]
    if tints:
        palette = _tinted(palette, tints[0], tints[-1])
    return _turned(palette, turn)


def _tinted(palette: Palette, tint: Colour, accent: Colour) -> Palette:
    shares = (0.18, 0.28, 0.28, 0.2)
    return replace(
        palette,
        sky=tuple(mix(colour, tint, share) for colour, share in zip(palette.sky, shares, strict=True)),
        far=mix(palette.far, tint, 0.45),
        near=mix(palette.near, tint, 0.12),
        accent=mix(palette.accent, accent, 0.7),
    )


def _turned(palette: Palette, turn: float) -> Palette:
    def turned(colour: Colour) -> Colour:
        hue, light, strength = colorsys.rgb_to_hls(*(channel / 255 for channel in colour))
        red, green, blue = (round(channel * 255) for channel in colorsys.hls_to_rgb((hue + turn) % 1, light, strength))
        return red, green, blue

    return replace(
        palette,
        sky=tuple(turned(colour) for colour in palette.sky),
        far=turned(palette.far),
        near=turned(palette.near),
        accent=turned(palette.accent),
    )
