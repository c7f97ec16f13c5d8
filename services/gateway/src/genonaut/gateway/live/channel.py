"""One followed job: its log as far as it is known, without gaps, and its latest progress.

Followers share it and each keeps only a position in it. So a slow one costs nothing, skips progress, and misses or
repeats no event of the log.
"""

import asyncio
from collections.abc import Iterable
from functools import cached_property

from genonaut.contracts import Envelope
from genonaut.contracts.generation import JobPublished, JobRequested, JobRequeued, JobStarted
from genonaut.contracts.live import JobProgress
from genonaut.gateway.live import messages
from genonaut.gateway.live.messages import Message


class Told:
    """A message, encoded once for all followers."""

    def __init__(self, message: Message) -> None:
        self.message = message

    @cached_property
    def json(self) -> bytes:
        return messages.to_json(self.message)

    @cached_property
    def sse(self) -> bytes:
        return messages.to_sse(self.message)


class Channel:
    def __init__(self, job_id: int) -> None:
        self.job_id = job_id
        self.log: list[Told | None] = []
        """By position, from 1 at index 0, up to the terminal event. None where an event says nothing to clients."""
        self.known = 0
        """How many events of the job's log are known: the terminal one may have successors."""
        self.ended = False
        """The log has the terminal event."""
        self.progress: Told | None = None
        self.progress_count = 0
        self.behind = asyncio.Event()
        """The bus told of events that the log here lacks: it has to be read again."""
        self.changed = asyncio.Event()
        """Set at the next change, and then replaced."""
        self.state: Message = {}
        """What all messages of the log together say about the job now."""
        self.private_to: str | None = None
        """The id of the only user who may follow; None when everybody may."""
        self._heard = 0
        self._attempt = 0
        self._running = False

    def add(self, envelopes: Iterable[Envelope]) -> None:
        """Takes events of the log. Known ones change nothing, those after a gap are left out."""
        before = self.known
        for envelope in envelopes:
            if envelope.sequence == self.known + 1:
                self._append(envelope)
        if self.known > before:
            self.wake()

    def hear(self, envelope: Envelope) -> None:
        """Takes an event from the bus, which may have kept others back."""
        self._heard = max(self._heard, envelope.sequence)
        self.add([envelope])
        if self._heard > self.known:
            self.behind.set()

    def hear_progress(self, progress: JobProgress) -> None:
        """Takes the running attempt's progress; that of an earlier one, or of an ended job, is late."""
        if not self._running or progress.attempt != self._attempt:
            return
        self.progress = Told(messages.of_progress(progress))
        self.progress_count += 1
        self.wake()

    def wake(self) -> None:
        """Lets every follower look."""
        self.changed.set()
        self.changed = asyncio.Event()

    def _append(self, envelope: Envelope) -> None:
        message = messages.of_event(self.job_id, envelope)
        self.known += 1
        if not self.ended:
            self.log.append(Told(message) if message else None)
        if message is not None:
            # The gallery's ids belong to the images that were told before.
            self.state = {**self.state, **message} if envelope.type == JobPublished.type else message
        if envelope.type == JobRequested.type and envelope.data.get("is_private"):
            self.private_to = envelope.data.get("user_id")
        if envelope.type in {JobStarted.type, JobRequeued.type, *messages.TERMINAL}:
            self.progress = None  # it was of an attempt that is over
            self._running = envelope.type == JobStarted.type
        if envelope.type == JobStarted.type:
            self._attempt = envelope.data.get("attempt", self._attempt)
        if envelope.type in messages.TERMINAL:
            self.ended = True
