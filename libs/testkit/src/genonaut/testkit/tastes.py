"""A gallery whose people have tastes, as a log of events: what recommendations can be tried and measured on.

What there is to find is put in here on purpose, and nothing else:

- Tags belong to themes. An item has a theme: some of that theme's tags, and now and then a tag of any theme. Its appeal
  is drawn from a log-normal distribution, so that a few items are what everybody looks at.
- A creator makes items of two themes.
- A user likes `themes_liked` themes and `creators_liked` creators of those. When they do something, they take an item
  that is there already and that they do not know yet: with `noise` any, in proportion to its appeal; otherwise of a
  theme they like, in proportion to its appeal, and `creator_boost` times as likely when they like its creator.
- What they do with it is a view, or with `liking` something that shows that they like it. What is there by noise they
  only look at, or rate 2.

The same parameters give the same events.
"""

import random
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate, islice
from uuid import UUID

from genonaut.contracts import Event
from genonaut.contracts.content import (
    InteractionRecorded,
    InteractionType,
    ItemCreated,
    TagCreated,
    UserRegistered,
)
from genonaut.platform.events import Addition, EventStore
from genonaut.testkit.platforms import FakeClock

FIRST_NUMBER = 1_000_000
"""Far from those that a running service gives to whatever it numbers."""
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PERIOD = timedelta(days=90)


@dataclass(frozen=True)
class Tastes:
    users: int = 1_000
    items: int = 3_000
    acts: int = 30_000
    creators: int = 60
    """They are the first of the users."""
    themes: int = 12
    tags_of_theme: int = 6
    tags_of_item: int = 3
    stray_tags: float = 0.2
    """How often an item has a tag of any theme, too."""
    themes_liked: int = 2
    creators_liked: int = 2
    creator_boost: float = 4.0
    noise: float = 0.2
    appeal: float = 1.0
    """The standard deviation of the appeal's logarithm."""
    liking: float = 0.4
    at_first: float = 0.5
    """The share of the items that are there when people come. The others are made all along."""
    seed: int = 1


@dataclass(frozen=True)
class _Item:
    item_id: int
    creator: int
    appeal: float


class _Shelf:
    """Items to draw from in proportion to a weight."""

    def __init__(self) -> None:
        self.items: list[_Item] = []
        self._weights: list[float] = []

    def add(self, item: _Item) -> None:
        self.items.append(item)
        self._weights.append((self._weights[-1] if self._weights else 0.0) + item.appeal)

    def draw(self, choose: random.Random) -> _Item:
        return self.items[bisect(self._weights, choose.random() * self._weights[-1])]


def user_id(number: int) -> UUID:
    return UUID(int=(number + 1 << 64) + number + 1)


def tag_id(number: int) -> UUID:
    return UUID(int=(1 << 100) + number)


def history(tastes: Tastes) -> Iterator[tuple[str, str, datetime, Event]]:
    """Aggregate, its id, the time and the event; each the first of its stream."""
    choose = random.Random(tastes.seed)  # noqa: S311 - the same every time
    for number in range(tastes.users):
        name = f"taste-{number}"
        registered = UserRegistered(
            user_id=user_id(number), number=FIRST_NUMBER + number, username=name, email=f"{name}@example.org"
        )
        yield "user", str(user_id(number)), BEGIN, registered
    for number in range(tastes.themes * tastes.tags_of_theme):
        slug = f"theme-{number // tastes.tags_of_theme}-{number % tastes.tags_of_theme}"
        yield (
            "tag",
            str(tag_id(number)),
            BEGIN,
            TagCreated(tag_id=tag_id(number), number=FIRST_NUMBER + number, slug=slug, name=slug),
        )
    yield from _life(tastes, choose)


def _life(tastes: Tastes, choose: random.Random) -> Iterator[tuple[str, str, datetime, Event]]:
    specialities = [choose.sample(range(tastes.themes), 2) for _ in range(tastes.creators)]
    likes = [_liked(tastes, specialities, choose) for _ in range(tastes.users)]
    shelves = [_Shelf() for _ in range(tastes.themes)]
    everything = _Shelf()
    known: list[set[int]] = [set() for _ in range(tastes.users)]
    begun = int(tastes.items * tastes.at_first)
    busy = list(accumulate(choose.paretovariate(2) for _ in range(tastes.users)))
    made = done = 0
    while done < tastes.acts:
        time = BEGIN + PERIOD * (done / tastes.acts)
        due = begun + (tastes.items - begun) * done // tastes.acts
        while made < due:
            made += 1
            creator = choose.randrange(tastes.creators)
            theme = choose.choice(specialities[creator])
            item = _Item(FIRST_NUMBER + made, creator, choose.lognormvariate(0, tastes.appeal))
            shelves[theme].add(item)
            everything.add(item)
            yield "item", str(item.item_id), time, _created(tastes, item, theme, choose)
        user = bisect(busy, choose.random() * busy[-1])
        themes, creators = likes[user]
        by_noise = choose.random() < tastes.noise
        shelf = everything if by_noise else shelves[choose.choice(themes)]
        item = shelf.draw(choose) if shelf.items else everything.draw(choose)
        if item.item_id in known[user] or item.creator == user:
            continue
        if not by_noise and item.creator not in creators and choose.random() * tastes.creator_boost > 1:
            continue
        known[user].add(item.item_id)
        done += 1
        kind, rating = _act(tastes, by_noise, choose)
        acted = InteractionRecorded(
            interaction_id=FIRST_NUMBER + done,
            user_id=user_id(user),
            content_item_id=item.item_id,
            interaction_type=kind,
            rating=rating,
        )
        yield "interaction", str(acted.interaction_id), time, acted


def _liked(tastes: Tastes, specialities: list[list[int]], choose: random.Random) -> tuple[list[int], set[int]]:
    themes = choose.sample(range(tastes.themes), tastes.themes_liked)
    fitting = [creator for creator, made in enumerate(specialities) if set(made) & set(themes)]
    return themes, set(choose.sample(fitting, min(tastes.creators_liked, len(fitting))))


def _created(tastes: Tastes, item: _Item, theme: int, choose: random.Random) -> ItemCreated:
    tags = [
        tag_id(theme * tastes.tags_of_theme + each)
        for each in choose.sample(range(tastes.tags_of_theme), tastes.tags_of_item)
    ]
    if choose.random() < tastes.stray_tags:
        tags.append(tag_id(choose.randrange(tastes.themes * tastes.tags_of_theme)))
    return ItemCreated(
        item_id=item.item_id,
        title=f"Item {item.item_id}",
        content_type="image",
        prompt="a picture",
        creator_id=user_id(item.creator),
        tag_ids=list(dict.fromkeys(tags)),
    )


def _act(tastes: Tastes, by_noise: bool, choose: random.Random) -> tuple[InteractionType, int | None]:
    if by_noise:
        return ("rate", 2) if choose.random() < tastes.liking / 4 else ("view", None)
    if choose.random() < tastes.liking:
        kind: InteractionType = choose.choice(["like", "bookmark", "download", "share", "comment", "rate"])
        return kind, choose.choice([4, 5]) if kind == "rate" else None
    return "view", None


async def play(store: EventStore, clock: FakeClock, tastes: Tastes, *, size: int = 2_000) -> None:
    """Appends it to a log that has none of it, so many events at a time. `clock` is the store's."""
    events = history(tastes)
    while chunk := list(islice(events, size)):
        clock.now = chunk[0][2]
        for name in ("user", "tag", "item", "interaction"):  # what the later ones speak of comes first
            additions = [Addition(subject, 0, [event]) for kind, subject, _, event in chunk if kind == name]
            if additions:
                await store.database.transact(partial(store.append_all, name=name, additions=additions))
