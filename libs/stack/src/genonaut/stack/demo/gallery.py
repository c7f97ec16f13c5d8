"""The demo gallery: four people, a small hierarchy of tags, a few hundred pictures, all made up from a fixed seed."""

import io
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from genonaut.stack.main_job import person

PICTURES = 240
WIDTH, HEIGHT = 416, 608

PEOPLE = ("ada", "grace", "katherine", "demo")
"""`demo` asks for the picture of the main job and wants to be told when it is done."""

TAGS: dict[str, Sequence[str]] = {
    "nature": (),
    "water": ("nature",),
    "sea": ("water",),
    "lake": ("water",),
    "forest": ("nature",),
    "mountains": ("nature",),
    "sky": ("nature",),
    "night-sky": ("sky",),
    "sunset": ("sky",),
    "city": (),
    "street": ("city",),
    "skyline": ("city", "sky"),
    "mood": (),
    "calm": ("mood",),
    "stormy": ("mood",),
    "dreamy": ("mood",),
    "style": (),
    "watercolour": ("style",),
    "ink": ("style",),
    "poster": ("style",),
}
"""Each tag with its parents, parents first. `skyline` has two: the hierarchy is not a tree."""

PLACES = {
    "a lighthouse by the sea": ("sea",),
    "a still lake between mountains": ("lake", "mountains"),
    "a path through an old forest": ("forest",),
    "the night sky over a desert": ("night-sky",),
    "a city skyline": ("skyline",),
    "a narrow street after rain": ("street",),
    "snowy mountains": ("mountains",),
    "sailing boats": ("sea",),
}
LIGHTS = {"at sunset": ("sunset",), "in the early morning": (), "under a full moon": ("night-sky",), "in autumn": ()}
MOODS = {"calm": ("calm",), "stormy": ("stormy",), "dreamy": ("dreamy",)}
STYLES = {"watercolour": ("watercolour",), "ink drawing": ("ink",), "travel poster": ("poster",)}


@dataclass(frozen=True)
class Picture:
    number: int
    title: str
    prompt: str
    seed: int
    creator: str
    automatic: bool
    private: bool
    tags: Sequence[str] = field(default_factory=tuple)


def pictures(count: int) -> Iterator[Picture]:
    """The same ones every time, each with a title of its own."""
    choose = random.Random(20260102)  # noqa: S311 - a picture, not a secret
    for number in range(1, count + 1):
        parts = [choose.choice(list(kinds)) for kinds in (PLACES, LIGHTS, MOODS, STYLES)]
        place, light, mood, style = parts
        tags = [*PLACES[place], *LIGHTS[light], *MOODS[mood], *STYLES[style]]
        yield Picture(
            number=number,
            title=f"{place[0].upper()}{place[1:]} {light}, no. {number}",
            prompt=f"{place} {light}, {mood}, {style}",
            seed=choose.randrange(2**32),
            creator=choose.choice(PEOPLE[:3]),
            automatic=number % 4 == 0,
            private=number % 15 == 0,
            tags=tuple(dict.fromkeys(tags)),
        )


def seed(api: httpx.Client, count: int, on_progress: Callable[[int], None]) -> dict[str, str]:
    """Makes whatever is missing of the gallery's first `count` pictures; `on_progress` hears how many hang.

    Returns the people's ids by name. Raises httpx.HTTPStatusError.
    """
    people = {name: person(api, name, told=name == "demo") for name in PEOPLE}
    hanging = _titles(api, people)
    missing = [picture for picture in pictures(count) if picture.title not in hanging]
    if missing:
        for tag, parents in TAGS.items():
            _accept(api.post("/api/v1/tags", json={"slug": tag, "parents": list(parents)}), also=409)
    done = count - len(missing)
    on_progress(done)
    with ThreadPoolExecutor(3) as threads:
        for _ in threads.map(lambda picture: _hang(api, picture, people), missing):
            done += 1
            on_progress(done)
    return people


def _titles(api: httpx.Client, people: dict[str, str]) -> set[str]:
    titles: set[str] = set()
    for user_id in people.values():
        page: dict[str, str | int] = {"creator_id": user_id, "user_id": user_id, "page_size": 1000}
        for path in ("/api/v1/content", "/api/v1/content-auto"):
            titles.update(item["title"] for item in _accept(api.get(path, params=page)).json()["items"])
    return titles


def _hang(api: httpx.Client, picture: Picture, people: dict[str, str]) -> None:
    uploaded = _accept(api.post("/api/v1/images", content=_draw(picture), headers={"Content-Type": "image/png"})).json()
    body: dict[str, Any] = {
        "title": picture.title,
        "content_type": "image",
        "content_data": picture.prompt,
        "prompt": picture.prompt,
        "creator_id": people[picture.creator],
        "tags": list(picture.tags),
        "is_private": picture.private,
        "image": uploaded["sha256"],
        "item_metadata": {"seed": picture.seed, "width": WIDTH, "height": HEIGHT, "demo": picture.number},
    }
    _accept(api.post("/api/v1/content-auto" if picture.automatic else "/api/v1/content", json=body))


def _draw(picture: Picture) -> bytes:
    from genonaut.comfyui_simulator.pictures import draw  # noqa: PLC0415 - Pillow, for the first demo only

    out = io.BytesIO()
    draw(picture.prompt, picture.seed, WIDTH, HEIGHT).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _accept(answer: httpx.Response, *, also: int = 0) -> httpx.Response:
    if answer.status_code != also:
        answer.raise_for_status()
    return answer
