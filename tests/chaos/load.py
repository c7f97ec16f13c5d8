"""People who use the platform, and remember what it promised them.

Whatever was answered with success is a promise: it is there from then on, for those who may see it and for nobody else.
What was answered with an error, or not at all, may have happened or not.
"""

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

TAGS = ("sea", "night-sky", "oil-painting", "portrait", "forest", "city")
TIMEOUT = 6.0
PEOPLE = 6
OK, NOT_FOUND, INVALID, INTERNAL_ERROR = 200, 404, 422, 500
ENDS = {"completed", "failed", "cancelled"}
WATCHED = 0.3
"""Of the jobs."""
MARKS = 20
AGAIN_SECONDS = 0.5
"""Before somebody whose stream broke comes back."""


@dataclass(frozen=True)
class Person:
    id: str
    told: bool
    """Wants notifications, and never changes their mind."""


@dataclass(frozen=True)
class Promise:
    """Something that was accepted."""

    id: int
    owner: Person
    private: bool


@dataclass
class Promises:
    """What was accepted, and what the platform did during the load that it must never do."""

    people: list[Person] = field(default_factory=list)
    jobs: dict[int, Promise] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)
    """Jobs whose cancel got no clear answer."""
    items: dict[int, Promise] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    """Users that nobody else has named, each of one request that was answered when all was well."""
    watched: int = 0
    """Jobs that somebody watched to their end."""
    answers: Counter[str] = field(default_factory=Counter)
    """By status code, or the name of the error of those that never came."""


def leave_marks(api: httpx.Client, promises: Promises) -> None:
    """Asks as people who do not exist, so that each request can be recognised where it is counted."""
    for _ in range(MARKS):
        mark = str(uuid4())
        api.get("/api/v1/notifications", params={"user_id": mark})
        promises.marks.append(mark)


class Load:
    """`rate` actions a second, drawn with `seed`. `run` ends when `over` is set."""

    def __init__(self, api: str, *, seed: int, rate: float = 12.0, steps: int = 6) -> None:
        self.promises = Promises()
        self._api = api
        self._pace = random.Random(seed)
        """Of its own, so that how fast answers come does not change what is asked for next."""
        self._random = random.Random(seed)
        self._rate = rate
        self._steps = steps
        self._numbers = itertools.count(1)
        self._actions: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._request_job, 30),
            (self._cancel_job, 5),
            (self._create_item, 12),
            (self._change_preferences, 5),
            (self._read_notifications, 8),
            (self._look_up_own, 20),
            (self._look_up_anothers, 10),
            (self._look_at_gallery, 10),
            (self._look_at_analytics, 5),
        ]

    async def register(self) -> None:
        """Half of them want notifications. Needs a whole platform."""
        async with self._client() as self._http:
            for number in range(PEOPLE + 1):
                name = f"p{uuid4().hex[:12]}"
                told = number % 2 == 0
                body = {
                    "username": name,
                    "email": f"{name}@example.org",
                    "preferences": {"notifications_enabled": told},
                }
                answer = await self._http.post("/api/v1/users", json=body)
                answer.raise_for_status()
                self.promises.people.append(Person(answer.json()["id"], told))
        self._fickle = self.promises.people.pop()  # asks for nothing, so that it matters to nobody what they want

    async def run(self, over: asyncio.Event) -> None:
        self._over = over
        actions, weights = zip(*self._actions, strict=True)
        async with self._client() as self._http, asyncio.TaskGroup() as tasks:
            while not over.is_set():
                (action,) = self._pace.choices(actions, weights)
                tasks.create_task(action())
                await asyncio.sleep(self._pace.expovariate(self._rate))

    def _client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=200)
        return httpx.AsyncClient(base_url=self._api, timeout=TIMEOUT, limits=limits)

    # What they do

    async def _request_job(self) -> None:
        owner = self._anybody()
        private = self._random.random() < 0.3
        body = {
            "user_id": owner.id,
            "job_type": "image_generation" if self._random.random() < 0.95 else "video_generation",
            "prompt": f"a lighthouse by the sea, number {next(self._numbers)}",
            "width": 64,
            "height": 64,
            "batch_size": self._random.choice((1, 1, 2)),
            "tags": self._random.sample(TAGS, 2),
            "is_private": private,
            "sampler_params": {"steps": self._steps, "seed": next(self._numbers)},
        }
        if answer := await self._ask("POST", "/api/v1/generation-jobs", json=body):
            job_id = answer["id"]
            self.promises.jobs[job_id] = Promise(job_id, owner, private)
            if self._random.random() < WATCHED:
                await self._follow(self.promises.jobs[job_id])

    async def _cancel_job(self) -> None:
        """One of the latest, which has hardly begun."""
        if promise := self._any(dict(list(self.promises.jobs.items())[-2:])):
            self.promises.doubtful.add(promise.id)
            path = f"/api/v1/generation-jobs/{promise.id}/cancel"
            query = {"user_id": promise.owner.id}
            if await self._ask("POST", path, params=query, json={}, refusals={409}):
                self.promises.cancelled.add(promise.id)

    async def _create_item(self) -> None:
        owner, private = self._anybody(), self._random.random() < 0.5
        body = {
            "title": f"Item {next(self._numbers)}",
            "content_type": "text",
            "content_data": "some words",
            "prompt": "words",
            "creator_id": owner.id,
            "tags": self._random.sample(TAGS, 1),
            "is_private": private,
        }
        if answer := await self._ask("POST", "/api/v1/content", json=body):
            self.promises.items[answer["id"]] = Promise(answer["id"], owner, private)

    async def _change_preferences(self) -> None:
        preferences = {"notifications_enabled": self._random.random() < 0.5, "number": next(self._numbers)}
        path = f"/api/v1/users/{self._fickle.id}/preferences"
        await self._ask("PUT", path, json={"preferences": preferences})

    async def _read_notifications(self) -> None:
        owner = self._anybody()
        told = await self._ask("GET", "/api/v1/notifications", params={"user_id": owner.id})
        if told and told["items"]:
            path = f"/api/v1/notifications/{told['items'][0]['id']}/read"
            await self._ask("PUT", path, params={"user_id": owner.id})

    async def _look_up_own(self) -> None:
        if promise := self._any(self.promises.jobs):
            path = f"/api/v1/generation-jobs/{promise.id}"
            await self._ask("GET", path, params={"user_id": promise.owner.id}, promised=True)
        if promise := self._any(self.promises.items):
            path = f"/api/v1/content/{promise.id}"
            await self._ask("GET", path, params={"user_id": promise.owner.id}, promised=True)

    async def _look_up_anothers(self) -> None:
        private = {promise.id: promise for promise in self.promises.items.values() if promise.private}
        if promise := self._any(private):
            another = next(person for person in self.promises.people if person != promise.owner)
            path = f"/api/v1/content/{promise.id}"
            if await self._ask("GET", path, params={"user_id": another.id}, refusals={NOT_FOUND}):
                self.promises.broken.append(f"{another.id} was shown the private item {promise.id}")

    async def _look_at_gallery(self) -> None:
        viewer = self._anybody()
        seen = await self._ask("GET", "/api/v1/content/unified", params={"user_id": viewer.id, "page_size": 50})
        theirs = [item["id"] for item in seen["items"]] if seen else []
        for item_id in theirs:
            promise = self.promises.items.get(item_id)
            if promise and promise.private and promise.owner != viewer:
                self.promises.broken.append(f"the gallery showed {viewer.id} the private item {item_id}")

    async def _look_at_analytics(self) -> None:
        await self._ask("GET", "/api/v1/analytics/generation/overview", params={"days": 1})

    async def _follow(self, promise: Promise) -> None:
        """Watches the job's log as it happens, from connection to connection, until it ends or the load does."""
        seen = _Seen(f"/api/v1/generation-jobs/{promise.id}/events")
        while not (self._over.is_set() or seen.ended):
            try:
                await self._watch(seen, viewer=promise.owner)
            except httpx.TransportError as error:
                self.promises.answers[f"watching: {type(error).__name__}"] += 1
            if not seen.ended:
                await asyncio.sleep(AGAIN_SECONDS)
        self.promises.broken += seen.broken
        self.promises.watched += seen.ended

    async def _watch(self, seen: "_Seen", *, viewer: Person) -> None:
        """One connection."""
        headers = {"Last-Event-ID": str(seen.position)}
        query = {"user_id": viewer.id}
        async with self._http.stream("GET", seen.path, params=query, headers=headers) as answer:
            self.promises.answers[f"watching: {answer.status_code}"] += 1
            if answer.status_code == NOT_FOUND:
                seen.broken.append(f"{seen.path} was accepted and is not there")
            if answer.status_code == OK:
                async for line in answer.aiter_lines():
                    seen.hear(line)

    # How they ask

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        refusals: frozenset[int] | set[int] = frozenset(),
        promised: bool = False,
        **request: Any,
    ) -> dict[str, Any] | None:
        """The body of a success, else None. Notes what no answer may be, whatever is broken behind it.

        `promised` means that it was accepted, so it cannot be missing.
        """
        try:
            answer = await self._http.request(method, path, **request)
        except httpx.TransportError as error:
            self.promises.answers[type(error).__name__] += 1
            return None
        status = answer.status_code
        self.promises.answers[str(status)] += 1
        if answer.is_success:
            body: dict[str, Any] = answer.json()
            return body
        if promised and status == NOT_FOUND:
            self.promises.broken.append(f"{path} was accepted and is not there")
        elif status == INTERNAL_ERROR:
            self.promises.broken.append(f"{method} {path} got 500: {answer.text[:300]}")
        elif status < INTERNAL_ERROR and status not in refusals:
            self.promises.broken.append(f"{method} {path} was refused with {status}: {answer.text[:300]}")
        return None

    def _anybody(self) -> Person:
        return self._random.choice(self.promises.people)

    def _any(self, promises: dict[int, Promise]) -> Promise | None:
        return promises[self._random.choice(list(promises))] if promises else None


@dataclass
class _Seen:
    """What somebody has been told of a job who watches it."""

    path: str
    position: int = 0
    ended: bool = False
    broken: list[str] = field(default_factory=list)

    def hear(self, line: str) -> None:
        """A line of Server-Sent Events. Every event of the log comes once, in order; progress has no place there."""
        name, _, value = line.partition(": ")
        if name == "id":
            if int(value) != self.position + 1:
                self.broken.append(f"{self.path} told {value} after {self.position}")
            self.position = int(value)
        if name == "data" and "sequence" in (told := json.loads(value)):
            self.ended |= told["status"] in ENDS
