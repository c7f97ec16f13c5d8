"""Picture processes: what they refuse, what they may do, and how they end."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from genonaut.platform.pictures import pool as pool_module
from genonaut.platform.pictures.pool import PicturePool, PictureProcessError, PicturesBusyError
from genonaut.platform.pictures.protocol import HEAD, Refusal, RefusedError
from genonaut.testkit.bombs import BOMBS, HARMLESS, scans, small
from genonaut.testkit.waiting import eventually

TAKE_IN = {"do": "take_in", "sizes": [150, 300, 600], "formats": ["webp", "png"]}
CLEAN = {"do": "clean"}
MIB = 2**20


@pytest.fixture
async def opened():
    pools = []

    def opened(*processes, **options) -> PicturePool:
        pools.append(PicturePool(*processes, **options))
        return pools[-1]

    yield opened
    for pool in pools:
        await pool.close()


@pytest.fixture(scope="module")
async def usual():
    """With the limits that services have."""
    pool = PicturePool(1)
    yield pool
    await pool.close()


async def ask(pool: PicturePool, data: bytes, task=CLEAN):
    async with pool.turn() as turn:
        return await turn.ask(task, data)


async def refusal(pool: PicturePool, data: bytes, task=TAKE_IN) -> Refusal:
    with pytest.raises(RefusedError) as refused:
        await ask(pool, data, task)
    return refused.value.refusal


def children() -> list[psutil.Process]:
    """The picture processes that this process has started."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if "genonaut.platform.pictures.process" in child.cmdline():
                found.append(child)
    return found


@pytest.fixture
def begun() -> Callable[[], list[psutil.Process]]:
    """Those that a test has started: services of earlier tests may have some that are idle still."""
    before = {child.pid for child in children()}
    return lambda: [child for child in children() if child.pid not in before]


async def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_refused_and_costs_the_service_nothing(usual, name) -> None:
    data = BOMBS[name]()
    service = psutil.Process()
    before = service.memory_info().rss

    said = await refusal(usual, data)

    assert said in {Refusal.BROKEN, Refusal.PIXELS, Refusal.ANIMATED, Refusal.TIME}
    assert service.memory_info().rss < before + 32 * MIB
    assert await ask(usual, small()) == ({}, [b""])


@pytest.mark.parametrize("name", HARMLESS)
async def test_what_is_large_beside_the_picture_does_no_harm(usual, name) -> None:
    facts, (clean, *_) = await ask(usual, HARMLESS[name](), TAKE_IN)
    assert facts["width"] == 64
    assert len(clean) < 2000
    assert psutil.Process(usual.idle[0]).memory_info().rss < 256 * MIB


async def test_the_largest_picture_is_taken(usual) -> None:
    for form, options in (("PNG", {}), ("JPEG", {"progressive": True})):
        facts, _ = await ask(usual, small(form, (8192, 8192), **options), TAKE_IN)
        assert facts["width"] == 8192
    assert psutil.Process(usual.idle[0]).memory_info().rss < 128 * MIB, "it does not keep what one picture took"


async def test_what_takes_more_memory_than_there_is_is_refused(opened) -> None:
    pool = opened(1, memory_bytes=128 * MIB)
    assert await refusal(pool, small("PNG", (8000, 8000))) == Refusal.MEMORY
    assert await ask(pool, small()) == ({}, [b""])


async def test_what_takes_more_cpu_than_there_is_is_refused(opened) -> None:
    pool = opened(1, cpu_seconds=1)
    assert await refusal(pool, scans()) == Refusal.TIME
    assert await ask(pool, small()) == ({}, [b""])


async def test_a_process_may_work_for_longer_than_one_picture_may_take(opened) -> None:
    pool = opened(1, cpu_seconds=1)
    data = small("PNG", (3000, 3000))
    await ask(pool, small())
    (pid,) = pool.idle
    while sum(psutil.Process(pid).cpu_times()[:2]) < 3:
        await ask(pool, data, TAKE_IN)
    assert pool.idle == [pid]


async def test_what_takes_too_long_is_refused(opened) -> None:
    pool = opened(1, answer_seconds=0.2)
    await ask(pool, small())
    (slow,) = pool.idle
    assert await refusal(pool, scans()) == Refusal.TIME
    assert await ask(opened(1), small()) == ({}, [b""])
    await eventually(lambda: is_gone(slow), reason="it goes on")


async def test_a_process_has_no_secrets_and_no_rights(opened, monkeypatch) -> None:
    monkeypatch.setenv("API_SECRET_KEY", "a secret")
    pool = opened(1)
    await ask(pool, small())
    process = psutil.Process(pool.idle[0])

    assert set(process.environ()) <= {"LD_LIBRARY_PATH"}
    assert process.num_fds() == 3, "the socket, and nowhere to write"
    assert read(f"/proc/{process.pid}/oom_score_adj") == "1000\n", "it goes first when there is no memory"
    assert limits(process.pid) == {
        "Max open files": "3",
        "Max processes": "0",
        "Max file size": "0",
        "Max core file size": "0",
        "Max address space": str(512 * MIB),
    }
    if os.geteuid() == 0:
        assert process.uids().real != 0


def read(path: str) -> str:
    return Path(path).read_text()


def limits(pid: int) -> dict[str, str]:
    """Those that nothing can raise, by name."""
    lines = read(f"/proc/{pid}/limits").splitlines()[1:]
    hard = {line[:25].strip(): (line[26:46].strip(), line[47:67].strip()) for line in lines}
    wanted = ("Max open files", "Max processes", "Max file size", "Max core file size", "Max address space")
    assert all(soft == most for name, (soft, most) in hard.items() if name in wanted)
    return {name: hard[name][1] for name in wanted}


async def test_a_process_is_used_again(opened) -> None:
    pool = opened(2)
    for _ in range(3):
        await ask(pool, small())
    assert len(pool.idle) == 1


async def test_there_are_never_more_than_there_may_be(opened, begun) -> None:
    pool, seen = opened(2), set()

    async def watch():
        while True:
            seen.add(len(begun()))
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(ask(pool, small("PNG", (1000, 1000)), TAKE_IN) for _ in range(8)))
    watching.cancel()

    assert len(pool.idle) == 2
    assert max(seen) == 2


async def test_one_that_is_killed_while_idle_is_replaced(opened) -> None:
    pool = opened(1)
    await ask(pool, small())
    (killed,) = pool.idle
    os.kill(killed, signal.SIGKILL)

    assert await ask(pool, small()) == ({}, [b""])
    assert pool.idle != [killed]


async def test_one_that_is_killed_at_work_is_replaced_and_the_picture_is_tried_once_more(opened, begun) -> None:
    pool = opened(1)
    await ask(pool, small())
    asked = asyncio.create_task(refusal(pool, scans()))
    for _ in range(2):
        await eventually(lambda: working(pool, begun), reason="it does not begin")
        (process,) = begun()
        process.kill()
        await eventually(partial(is_gone, process.pid), reason="it does not end")

    assert await asked == Refusal.CRASH
    assert await ask(pool, small()) == ({}, [b""])


async def working(pool: PicturePool, begun: Callable[[], list[psutil.Process]]) -> bool:
    return not pool.idle and any(sum(child.cpu_times()[:2]) > 0.4 for child in begun())


async def test_an_idle_one_ends_after_a_while(opened) -> None:
    pool = opened(1, idle_seconds=0.05)
    await ask(pool, small())
    (pid,) = pool.idle

    await eventually(lambda: is_gone(pid), reason="it stays")
    assert pool.idle == []
    assert await ask(pool, small()) == ({}, [b""])


async def test_who_goes_away_takes_the_process_along(opened, begun) -> None:
    pool = opened(1)
    await ask(pool, small())
    (pid,) = pool.idle
    asked = asyncio.create_task(ask(pool, scans()))
    await eventually(lambda: working(pool, begun), reason="it does not begin")
    asked.cancel()

    await eventually(lambda: is_gone(pid), reason="it goes on for nobody")
    assert await ask(pool, small()) == ({}, [b""])


async def test_so_many_may_wait_and_no_more(opened, monkeypatch) -> None:
    monkeypatch.setattr(pool_module, "WAITING", 2)
    pool = opened(1)
    async with pool.turn():
        waiting = [asyncio.create_task(ask(pool, small())) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(PicturesBusyError):
            await ask(pool, small())
    assert await asyncio.gather(*waiting) == [({}, [b""])] * 2


@pytest.mark.parametrize("interpreter", ["/nonexistent", "/bin/false"])
async def test_where_no_process_can_be_started_no_picture_is_blamed(opened, monkeypatch, interpreter) -> None:
    monkeypatch.setattr(sys, "executable", interpreter)
    with pytest.raises(PictureProcessError):
        await ask(opened(1), small())


@pytest.mark.parametrize(
    "nonsense",
    [
        HEAD.pack(2**31),
        HEAD.pack(4) + b"null",
        HEAD.pack(16) + b'{"parts":["1"]}x',
        HEAD.pack(21) + b'{"parts":[1000000000]}',
    ],
)
async def test_what_is_no_answer_is_not_waited_for(opened, monkeypatch, tmp_path, nonsense) -> None:
    script = tmp_path / "interpreter"
    words = "".join(f"\\{byte:03o}" for byte in nonsense)
    script.write_text(f"#!/bin/sh\nprintf '{words}' >&0\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(PictureProcessError):
        await ask(opened(1), small())


async def test_what_many_ask_for_at_once_is_made_once(opened) -> None:
    pool, made, done = opened(1), [], asyncio.Event()

    async def make():
        made.append("it")
        await done.wait()

    first = asyncio.create_task(pool.once("name", make))
    others = [asyncio.create_task(pool.once("name", make)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    done.set()
    await asyncio.gather(*others)
    await pool.once("name", make)

    assert made == ["it", "it"]


async def test_what_is_made_for_several_ends_with_the_pool(opened) -> None:
    pool = opened(1)
    asked = asyncio.create_task(pool.once("name", lambda: asyncio.sleep(60)))
    await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_a_failure_is_everybodys_and_not_kept(opened) -> None:
    pool = opened(1)

    async def fail():
        raise RefusedError(Refusal.TIME)

    failed = await asyncio.gather(*(pool.once("name", fail) for _ in range(3)), return_exceptions=True)
    assert {type(error) for error in failed} == {RefusedError}
    await pool.once("name", lambda: asyncio.sleep(0))


SERVICE = """
import asyncio, sys
from genonaut.platform.pictures.pool import PicturePool
from genonaut.testkit.bombs import scans, small

async def main():
    pool = PicturePool(1)
    async with pool.turn() as turn:
        await turn.ask({"do": "clean"}, small())
        print(pool.idle[0], flush=True)
        if sys.argv[1] == "at work":
            await turn.ask({"do": "clean"}, scans())
        elif sys.argv[1] == "idle":
            await asyncio.sleep(60)
    await pool.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["idle", "at work"])
async def test_a_process_ends_with_its_service_however_that_ends(when) -> None:
    service = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVICE, when, stdout=subprocess.PIPE)
    try:
        assert service.stdout
        pid = int(await service.stdout.readline())
        process = psutil.Process(pid)
        if when == "at work":

            async def at_work() -> bool:
                return sum(process.cpu_times()[:2]) > 0.3

            await eventually(at_work, reason="it does not begin")
    finally:
        service.kill()
        await service.wait()

    await eventually(lambda: is_gone(pid), reason="it outlives its service")


UNPRIVILEGED = {
    "another user": ["unshare", "--user"],
    "a root without rights": ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"],
}


@pytest.mark.parametrize("who", UNPRIVILEGED)
async def test_it_works_the_same_whoever_the_service_runs_as(who) -> None:
    words = UNPRIVILEGED[who]
    if shutil.which(words[0]) is None or await exit_code(*words, "true") != 0:
        pytest.skip(f"{words[0]} may not do that here")
    assert await exit_code(*words, sys.executable, "-c", SERVICE, "once") == 0


async def exit_code(*words: str) -> int:
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return await process.wait()
