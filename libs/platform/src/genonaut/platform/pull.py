"""Pull requests: how the messages of one durable come here.

nats-py's own `fetch` knows the answers to its requests by their order on one inbox. A late "no messages" to one request
is taken for the answer to the next, which then stays open at the server and collects messages nobody looks at until it
runs out: measured, 5 of 100 messages that came near the end of a fetch waited for all of the next. Here the end of
every request has a subject of its own, and whatever comes is fetched, whichever request it answers.
"""

import asyncio
from collections.abc import Sequence
from typing import Self

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

ANSWER_SECONDS = 2.0
"""How much later than it should the server may end a request before it counts as gone."""
REST_SECONDS = 0.05
"""How long the next of several messages may take. A server that may not deliver more says neither that nor the end."""
PAUSE_SECONDS = 0.1
"""After a request that the server ended at once with nothing, which it may go on doing."""

_NOTHING = {"404", "408"}
"""There is no message, there was none in time."""


class PullError(Exception):
    """The server ended a request in another way than by its time, or not at all. Open a new pull."""


class Pull:
    """One reader of a durable, for one task at a time."""

    def __init__(self, client: Client, *, stream: str, consumer: str) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._requests = 0
        self._reply_to = ""
        self._messages: list[Msg] = []
        self._is_ahead = False
        self._end: str | None = None
        self._news = asyncio.Event()

    @classmethod
    async def open(cls, client: Client, *, stream: str, consumer: str) -> Self:
        pull = cls(client, stream=stream, consumer=consumer)
        pull._subscription = await client.subscribe(f"{pull._inbox}.*", cb=pull._hear)
        return pull

    @property
    def waiting(self) -> Sequence[Msg]:
        """What has come and was not fetched. A server that held messages back may send them late."""
        return self._messages

    async def close(self) -> None:
        """What has come and was not fetched is handed back at once."""
        subscription, self._subscription = self._subscription, None
        if subscription:
            await subscription.unsubscribe()
        messages, self._messages = self._messages, []
        for message in messages:
            await message.nak()

    async def ahead(self, count: int, *, seconds: float) -> None:
        """Ask for what the next `fetch` is to give, so that it comes while the caller is at work on something else."""
        if not self._messages:
            await self._ask(count, seconds)
            self._is_ahead = True

    async def fetch(self, count: int, *, seconds: float) -> Sequence[Msg]:
        """Up to `count` messages: those that are there, or else the first that come within `seconds`, or else none.

        Raises PullError. A call that is cancelled leaves its request open, so `close` is all that may follow it.
        """
        asked_at = self._now()
        if not self._messages:
            if not self._is_ahead:
                await self._ask(count, seconds)
            if not await self._news_within(seconds + ANSWER_SECONDS):
                raise PullError(f"no answer to {self._subject}")
        self._is_ahead = False
        while len(self._messages) < count and self._end is None and await self._news_within(REST_SECONDS):
            pass
        messages, self._messages = self._messages[:count], self._messages[count:]
        if not messages and self._end not in _NOTHING:
            raise PullError(f"{self._subject} is refused: {self._end}")
        if not messages and self._now() < asked_at + min(seconds, PAUSE_SECONDS):
            await asyncio.sleep(PAUSE_SECONDS)
        return messages

    async def _news_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

    async def _ask(self, count: int, seconds: float) -> None:
        self._is_ahead = False
        self._requests += 1
        self._reply_to = f"{self._inbox}.{self._requests}"
        self._end = None
        self._news.clear()
        # no_wait and expires together: wait for the first, then give what there is and end.
        request = {"batch": count, "expires": int(seconds * 1e9), "no_wait": True}
        await self._client.publish(self._subject, orjson.dumps(request), self._reply_to)

    async def _hear(self, message: Msg) -> None:
        """A message comes under its own subject, the end of a request under the request's."""
        if not message.subject.startswith(self._inbox):
            self._messages.append(message)
        elif message.subject == self._reply_to:
            self._end = _status(message)
            self._is_ahead = False
        else:  # of a request that was given up
            return
        self._news.set()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _status(message: Msg) -> str:
    headers = message.headers or {}
    code = headers.get("Status", "")
    return code if code in _NOTHING else f"{code} {headers.get('Description', '').strip()}"
