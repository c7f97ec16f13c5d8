"""The power fails under NATS while events pour in: what was acknowledged is in the stream, or comes back from the log.

With `sync_interval: always` nothing is lost that was synced; strace shows what was. Everything harsher, and what a
server with the default setting loses, `restore` brings back. Run with `-s` for the table of counts.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from chaos.power_cut import STRACE, Strace, Syncs, lose_last_block, lose_tail, zero_tail
from chaos.town import Town
from genonaut.contracts.streams import CONTENT
from genonaut.platform.clock import utc_now
from genonaut.platform.restore import restore
from genonaut.stack.ports import free_port
from genonaut.stack.servers import Nats
from genonaut.testkit.platforms import provisioned
from genonaut.testkit.waiting import eventually

USERS = 400
"""Registered before the power fails; more are on their way."""
SYNC = {True: "always", False: "2m (the default)"}


class Machine:
    """A NATS server whose power can fail."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.nats = Nats(folder, environment="test", durable=durable, prefer_port=free_port())
        self.nats.start()

    def lose_power(self) -> None:
        """What was not written is gone; what was written is cut by whoever does that next."""
        pid = self.nats.pid
        assert pid
        os.kill(pid, signal.SIGKILL)

    async def restart(self) -> None:
        await asyncio.to_thread(self.nats.start)


@asynccontextmanager
async def town_on(machine: Machine, database_url: str, folder: Path) -> AsyncIterator[Town]:
    async with provisioned(database_url, machine.nats, folder) as platform:
        town = Town(platform, comfyui_url="")
        await town.start("content", "generation", "notifications")
        try:
            yield town
        finally:
            await town.end()


@asynccontextmanager
async def registering(town: Town) -> AsyncIterator[None]:
    """Inside, users register as fast as they can."""

    async def one_after_the_other() -> None:
        while True:
            with suppress(httpx.HTTPError):
                await town.user(f"u{uuid4().hex[:12]}")

    people = [asyncio.create_task(one_after_the_other()) for _ in range(8)]
    try:
        yield
    finally:
        for person in people:
            person.cancel()
        await asyncio.gather(*people, return_exceptions=True)


async def acknowledged(town: Town) -> set[str]:
    """The events that the relay knows to be in the stream."""
    rows = await town.rows("content", "SELECT id FROM events WHERE id NOT IN (SELECT event_id FROM outbox)")
    return {str(each) for (each,) in rows}


async def pour_and_cut(machine: Machine, town: Town, cut: Callable[[], Any]) -> tuple[set[str], set[str]]:
    """The events that had been acknowledged when the power failed, and those of them that the stream has afterwards."""

    async def enough() -> bool:
        return len(await acknowledged(town)) >= USERS

    async with registering(town):
        await eventually(enough, within=60, reason="nobody registers")
        machine.lose_power()
        await eventually(lambda: not town.platform.bus.client.is_connected)
    known = await acknowledged(town)
    cut()
    await machine.restart()
    await eventually(lambda: town.platform.bus.client.is_connected)
    return known, known & set(await town.ids(CONTENT))


async def bring_back(town: Town) -> int:
    """How many events `restore` found lost. Afterwards everything is where it belongs."""
    async with town.platform.database("content", as_owner=True) as owner:
        found = await restore(
            CONTENT,
            service="content",
            database=owner,
            bus=town.platform.bus,
            now=utc_now(),
            dry_run=False,
            progress=lambda *_: None,
        )
    await town.user(f"u{uuid4().hex[:12]}")  # after the cut, and heard by all
    await town.settle()
    await town.assert_every_event_is_in_its_stream_once()
    users = await town.rows("content", "SELECT id FROM users ORDER BY id")
    for service, table in (("notifications", "recipients"), ("generation", "known_users")):
        assert await town.rows(service, f"SELECT user_id FROM {table} ORDER BY user_id") == users, service
    await town.assert_rebuilt_tables_equal_live_ones()
    return found.lost


@pytest.mark.parametrize("thread", ["7    ", "12345 ", "4194304 "], ids=str.strip)
def test_a_trace_says_what_was_synced(tmp_path: Path, thread: str) -> None:
    """strace pads the numbers of threads; who reads over a line takes what was synced for lost."""
    path = tmp_path / "1.blk"
    path.write_bytes(bytes(30))
    other, file = "99999 ", f"3<{path}>"
    syncs = Syncs(tmp_path)
    for line in (
        f'{thread}openat(AT_FDCWD<{tmp_path}>, "{path}", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = {file}',
        f'{thread}pwrite64({file}, ""..., 10, 0) = 10',
        f"{thread}--- SIGURG {{si_signo=SIGURG, si_code=SI_TKILL, si_pid=7, si_uid=0}} ---",
        f"{thread}fsync({file} <unfinished ...>",
        f'{other}pwrite64({file}, ""..., 20, 10) = 20',
        f"{thread}<... fsync resumed>)             = 0",
        f"{thread}fsync({file}) = ?",
        f"{thread}+++ killed by SIGKILL +++",
    ):
        syncs.follow(line)
    assert syncs.cut() == 20
    assert path.stat().st_size == 10


def test_a_trace_that_is_not_understood_is_no_trace_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not understood"):
        Syncs(tmp_path).follow("strace: Process 7 attached")


def tell(what: str, durable: bool, known: set[str], kept: set[str], restored: int) -> None:
    print(f"\n| {what} | {SYNC[durable]} | {len(known):,} | {len(known - kept):,} | {restored:,} |", end="")


@pytest.mark.skipif(not STRACE, reason="strace tells what was synced")
@pytest.mark.parametrize("durable", [True, False], ids=SYNC.values())
async def test_a_power_cut_takes_what_was_not_synced(platform_database: str, tmp_path: Path, durable: bool) -> None:
    machine = Machine(tmp_path, durable=durable)
    try:
        async with town_on(machine, platform_database, tmp_path) as town:
            strace = Strace(machine.nats.home)
            try:
                await asyncio.to_thread(strace.attach, machine.nats.pid or 0)
            except PermissionError as error:
                pytest.skip(str(error))
            known, kept = await pour_and_cut(machine, town, lambda: strace.end().cut())
            lost = known - kept
            restored = await bring_back(town)
            tell("power cut", durable, known, kept, restored)
            assert restored == len(lost)
            assert lost == (set() if durable else known)
    finally:
        machine.nats.stop()


HARSHER: dict[str, Callable[[Path], None]] = {
    "the last 20 kB lost": lambda store: lose_tail(store, CONTENT.name, 20_000),
    "the last 20 kB zeros": lambda store: zero_tail(store, CONTENT.name, 20_000),
    "the last block lost": lambda store: lose_last_block(store, CONTENT.name),
}


@pytest.mark.parametrize("cut", HARSHER)
async def test_what_a_harsher_cut_takes_comes_back_from_the_log(
    platform_database: str, tmp_path: Path, cut: str
) -> None:
    machine = Machine(tmp_path, durable=True)
    try:
        async with town_on(machine, platform_database, tmp_path) as town:
            known, kept = await pour_and_cut(machine, town, partial(HARSHER[cut], machine.nats.home))
            restored = await bring_back(town)
            tell(cut, True, known, kept, restored)
            assert restored == len(known - kept) > 0
    finally:
        machine.nats.stop()
