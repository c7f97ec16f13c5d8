"""What is there when everything has come to rest: the logs, the bus's own messages, and what was promised."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from chaos.bus import contents
from chaos.faults import Fault, Poison
from chaos.load import Promises
from genonaut.contracts.streams import CONTENT, GENERATION, NOTIFICATIONS, REQUESTS
from genonaut.platform.bus import Bus
from genonaut.testkit.stacks import Stack

LOGS = {"content": CONTENT, "generation": GENERATION, "notifications": NOTIFICATIONS}
"""Services with an event log, and the stream of its events."""
ENDS = {f"generation.job.{end}": end for end in ("completed", "failed", "cancelled")}


@dataclass(frozen=True)
class Logged:
    """An event of a service's log."""

    id: str
    stream: str
    type: str
    data: dict[str, Any]
    time: datetime


class Facts:
    """What is there, each read once."""

    def __init__(
        self,
        stack: Stack,
        promises: Promises,
        planted: Sequence[Poison],
        faults: Sequence[Fault],
        deleted: Mapping[str, float],
    ) -> None:
        """`deleted` says when each stream that was deleted was gone for the last time."""
        self.stack = stack
        self.promises = promises
        self.planted = planted
        self.faults = faults
        self.deleted = deleted

    @cached_property
    def logs(self) -> dict[str, list[Logged]]:
        statement = "SELECT id::text, stream, type, data::text, time FROM events ORDER BY position"
        return {
            service: [
                Logged(id_, stream, type_, json.loads(data), time)
                for id_, stream, type_, data, time in self.stack.sql(service, statement)
            ]
            for service in LOGS
        }

    @cached_property
    def ends(self) -> dict[int, list[Logged]]:
        """Terminal events of every job ever requested."""
        ends: dict[int, list[Logged]] = {
            event.data["job_id"]: [] for event in self.logs["generation"] if event.type == "generation.job.requested"
        }
        for event in self.logs["generation"]:
            if event.type in ENDS:
                ends.setdefault(event.data["job_id"], []).append(event)
        return ends

    @cached_property
    def completed(self) -> dict[int, Logged]:
        return {job: ends[0] for job, ends in self.ends.items() if ends and ENDS[ends[0].type] == "completed"}

    @cached_property
    def lost(self) -> set[int]:
        """Accepted jobs whose worker was not heard of again."""
        return {
            job
            for job in self.promises.jobs
            for end in self.ends.get(job, [])
            if end.type == "generation.job.failed" and end.data["error_type"] == "worker_lost"
        }

    @cached_property
    def streams(self) -> dict[str, list[dict[str, Any]]]:
        """The envelopes on the bus; what is not one is left out."""

        async def read(bus: Bus) -> dict[str, list[dict[str, Any]]]:
            return {
                stream.name: [
                    envelope
                    for message in await contents(bus, stream.name)
                    if message.payload not in poison and (envelope := json.loads(message.payload))
                ]
                for stream in (*LOGS.values(), REQUESTS)
            }

        poison = {each.payload for each in self.planted}
        found: dict[str, list[dict[str, Any]]] = self.stack.on_bus(read)
        return found

    @cached_property
    def told(self) -> dict[str, bool]:
        """Who wants notifications, of those who never change their mind."""
        return {person.id: person.told for person in self.promises.people}

    def touched(self) -> set[str]:
        return {fault.target for fault in self.faults}
