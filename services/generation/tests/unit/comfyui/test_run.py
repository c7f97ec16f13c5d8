"""One attempt against a scripted server, in virtual time: every deadline is the real one and takes no time."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import aiohttp
import pytest

from genonaut.generation.comfyui.failures import (
    AmbiguousSubmitError,
    DeadlineError,
    LostError,
    NodeError,
    RejectedError,
    UnreachableError,
    WithdrawnError,
    ZombieError,
)
from genonaut.generation.comfyui.run import Limits, run_prompt
from genonaut.generation.comfyui.verdict import Output, Queue

ID = UUID("11111111-2222-3333-4444-555555555555")
OTHER = "99999999-2222-3333-4444-555555555555"
NOW = datetime(2026, 11, 20, tzinfo=UTC)
SUCCESS = {
    "outputs": {"9": {"images": [{"filename": "a.png", "subfolder": "s", "type": "output"}]}},
    "status": {"messages": [["execution_success", {}]]},
}
INTERRUPTED = {"outputs": {}, "status": {"messages": [["execution_interrupted", {}]]}}
OUTPUTS = (Output("a.png", "s"),)
LIMITS = Limits(soft=25 * 60, hard=30 * 60, unreachable=30, zombie=60)


class Server:
    """What run_prompt needs of a `ComfyUI`, with its state open to the test's script."""

    name = "scripted:8188"

    def __init__(self) -> None:
        self.running: list[str] = []
        self.pending: list[str] = []
        self.entries: dict[str, dict] = {}
        self.down = False
        self.deaf_to_interrupts = False
        self.log: list[str] = []
        self.on_submit = lambda: self.running.append(str(ID))
        self.submit_seconds = 0.0
        self.socket_messages: asyncio.Queue | None = None
        self.open_sockets = 0
        self.opened_sockets: list[float] = []

    def _answer(self, what: str) -> None:
        if self.down:
            raise UnreachableError("down")
        self.log.append(what)

    async def submit(self, graph, *, prompt_id, client_id):
        assert prompt_id == ID
        await asyncio.sleep(self.submit_seconds)
        self._answer("submit")
        self.on_submit()

    async def queue(self):
        self._answer("queue")
        return Queue(running=tuple(self.running), pending=tuple(self.pending))

    async def history(self, prompt_id):
        self._answer("history")
        return self.entries.get(str(prompt_id))

    async def delete(self, prompt_id):
        self._answer("delete")
        self.pending.remove(str(prompt_id))

    async def interrupt(self, prompt_id):
        self._answer("interrupt")
        if not self.deaf_to_interrupts:
            self.finish(INTERRUPTED)

    def finish(self, entry=SUCCESS):
        self.running = [running for running in self.running if running != str(ID)]
        self.entries[str(ID)] = entry

    def start(self):
        self.pending.remove(str(ID))
        self.running = [str(ID)]

    def forget(self):
        self.running, self.pending, self.entries = [], [], {}

    @asynccontextmanager
    async def socket(self, client_id):
        if self.socket_messages is None:
            raise aiohttp.ClientConnectionError
        self.opened_sockets.append(asyncio.get_running_loop().time())
        self.open_sockets += 1
        assert self.open_sockets == 1, "sockets of one client id must not overlap"
        try:
            yield Socket(self.socket_messages)
        finally:
            await asyncio.sleep(0.05)
            self.open_sockets -= 1

    def listens(self):
        self.socket_messages = asyncio.Queue()

    def say(self, kind: str, **data):
        self.socket_messages.put_nowait({"type": kind, "data": {"prompt_id": str(ID), **data}})

    def count(self, what: str) -> int:
        return self.log.count(what)


class Socket:
    def __init__(self, messages):
        self._messages = messages

    async def send_json(self, message):
        assert message["type"] == "feature_flags"

    async def receive(self, timeout):  # noqa: ASYNC109 - aiohttp's signature
        async with asyncio.timeout(timeout):
            message = await self._messages.get()
        kind = aiohttp.WSMsgType.CLOSED if message is None else aiohttp.WSMsgType.TEXT
        return aiohttp.WSMessage(kind, json.dumps(message), None)


class Script:
    """The attempt and what happens to it: `at(seconds, act)`."""

    def __init__(self, job) -> None:
        self.server = Server()
        self.cancel = asyncio.Event()
        self.progress = []
        self.job = job()

    def at(self, seconds, act, *args):
        asyncio.get_running_loop().call_at(seconds, act, *args)

    async def on_progress(self, progress):
        self.progress.append(progress)

    async def run(self, **changes):
        options = {"on_progress": self.on_progress, "cancel": self.cancel, "limits": LIMITS, **changes}
        return await run_prompt(self.server, self.job, prompt_id=ID, attempt=1, now=lambda: NOW, **options)

    async def fails(self, error):
        with pytest.raises(error) as caught:
            await self.run()
        return caught.value


@pytest.fixture
def play(job, virtual_time):
    """Run a scene in virtual time; gives what it returned and the seconds it took."""
    return lambda scene: virtual_time(scene(Script(job)))


class TestSuccess:
    def test_it_is_submitted_once_and_polled_more_and_more_seldom(self, play):
        async def scene(script):
            script.at(100, script.server.finish)
            assert await script.run() == OUTPUTS
            assert script.server.count("submit") == 1
            assert script.server.count("queue") < 60

        _, seconds = play(scene)
        assert 100 <= seconds < 104

    def test_the_socket_says_when_to_look(self, play):
        async def scene(script):
            script.server.listens()
            script.at(1, script.server.say, "execution_start")
            script.at(100, script.server.finish)
            script.at(100, lambda: script.server.say("execution_success"))
            assert await script.run() == OUTPUTS

        _, seconds = play(scene)
        assert 100 <= seconds < 100.3

    def test_a_new_attempt_is_submitted_and_read_off_history_and_nothing_else_is_asked(self, play):
        async def scene(script):
            script.server.listens()
            script.at(0.05, script.server.finish)
            script.at(0.05, lambda: script.server.say("execution_success"))
            assert await script.run(adopt=False) == OUTPUTS
            assert script.server.log == ["submit", "history"]

        play(scene)

    def test_success_may_be_said_before_it_is_written(self, play):
        async def scene(script):
            script.server.listens()
            script.at(1, script.server.say, "execution_start")
            script.at(100, lambda: script.server.say("execution_success"))
            script.at(101, script.server.finish)
            assert await script.run() == OUTPUTS

        _, seconds = play(scene)
        assert 101 <= seconds < 101.5

    def test_a_long_wait_behind_others_is_no_failure(self, play):
        async def scene(script):
            script.server.running = [OTHER]
            script.server.on_submit = lambda: script.server.pending.append(str(ID))
            script.at(1400, script.server.start)
            script.at(1450, script.server.finish)
            assert await script.run() == OUTPUTS

        play(scene)

    def test_a_failure_at_the_server_is_its_verdict(self, play):
        async def scene(script):
            entry = {"status": {"messages": [["execution_error", {"node_id": "3", "exception_type": "ValueError"}]]}}
            script.at(5, script.server.finish, entry)
            assert str(await script.fails(NodeError)) == "KSampler failed (ValueError)."

        play(scene)


class TestAdoption:
    @pytest.mark.parametrize("place", ["running", "pending", "entries"])
    def test_what_the_server_knows_is_not_submitted_again(self, play, place):
        async def scene(script):
            server = script.server
            if place == "entries":
                server.finish()
            else:
                getattr(server, place).append(str(ID))
                script.at(9, server.pending.clear)
                script.at(10, server.finish)
            assert await script.run() == OUTPUTS
            assert server.count("submit") == 0

        play(scene)

    def test_a_driver_that_stops_leaves_the_prompt_to_the_next(self, play):
        async def scene(script):
            first = asyncio.create_task(script.run())
            await asyncio.sleep(10)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            script.at(20, script.server.finish)
            assert await script.run() == OUTPUTS
            assert script.server.count("submit") == 1
            assert script.server.count("interrupt") == script.server.count("delete") == 0

        play(scene)


class TestAmbiguousSubmission:
    @staticmethod
    def _breaks(script, *, arrives):
        def submit():
            if arrives is not None:
                script.at(asyncio.get_running_loop().time() + arrives, script.server.running.append, str(ID))
            raise AmbiguousSubmitError("no answer")

        script.server.on_submit = submit

    @pytest.mark.parametrize("arrives", [0, 1])
    def test_a_prompt_that_arrived_is_not_submitted_again(self, play, arrives):
        async def scene(script):
            self._breaks(script, arrives=arrives)
            script.at(60, script.server.finish)
            assert await script.run() == OUTPUTS
            assert script.server.count("submit") == 1

        play(scene)

    def test_a_prompt_that_did_not_arrive_is(self, play):
        async def scene(script):
            def submit():
                script.server.on_submit = lambda: script.server.running.append(str(ID))
                raise AmbiguousSubmitError("no answer")

            script.server.on_submit = submit
            script.at(60, script.server.finish)
            assert await script.run() == OUTPUTS
            assert script.server.count("submit") == 2

        play(scene)

    def test_a_server_that_never_takes_it_is_given_up(self, play):
        async def scene(script):
            self._breaks(script, arrives=None)
            error = await script.fails(UnreachableError)
            assert error.retryable
            assert script.server.count("submit") == 3

        play(scene)


class TestRejection:
    def test_the_part_that_was_accepted_is_stopped(self, play):
        async def scene(script):
            def submit():
                script.server.pending.append(str(ID))
                raise RejectedError("no such node")

            script.server.on_submit = submit
            assert not (await script.fails(RejectedError)).retryable
            assert script.server.pending == []

        _, seconds = play(scene)
        assert seconds < 5


class TestLoss:
    def test_absent_twice_is_lost(self, play):
        async def scene(script):
            script.at(10, script.server.forget)
            assert (await script.fails(LostError)).error_type == "worker_lost"

        _, seconds = play(scene)
        assert 11 < seconds < 16

    def test_absent_once_is_not(self, play):
        async def scene(script):
            script.at(10, script.server.forget)
            script.at(11, script.server.finish)
            script.server.listens()
            script.at(10, lambda: script.server.say("execution_success"))
            assert await script.run() == OUTPUTS

        play(scene)

    def test_a_short_outage_is_waited_out(self, play):
        async def scene(script):
            script.at(10, setattr, script.server, "down", True)
            script.at(35, setattr, script.server, "down", False)
            script.at(60, script.server.finish)
            assert await script.run() == OUTPUTS

        play(scene)

    @pytest.mark.parametrize("since", [0, 10])
    def test_a_long_one_is_not(self, play, since):
        async def scene(script):
            if since:
                script.at(since, setattr, script.server, "down", True)
            else:
                script.server.down = True
            assert (await script.fails(UnreachableError)).retryable

        _, seconds = play(scene)
        assert since + 30 < seconds < since + 40


class TestZombie:
    def test_waiting_while_nothing_runs(self, play):
        async def scene(script):
            script.server.on_submit = lambda: script.server.pending.append(str(ID))
            assert (await script.fails(ZombieError)).retryable
            assert script.server.pending == []

        _, seconds = play(scene)
        assert 60 < seconds < 72

    def test_running_without_a_word_while_we_listen(self, play):
        async def scene(script):
            script.server.listens()
            script.server.deaf_to_interrupts = True
            await script.fails(ZombieError)

        _, seconds = play(scene)
        assert 60 < seconds < 72

    def test_said_to_be_done_and_still_running(self, play):
        async def scene(script):
            script.server.listens()
            script.at(1, script.server.say, "execution_start")
            script.at(100, lambda: script.server.say("execution_success"))
            await script.fails(ZombieError)

        _, seconds = play(scene)
        assert 160 < seconds < 172

    def test_a_silent_socket_alone_proves_nothing(self, play):
        """It dropped, or it never opened, or somebody else's listened when the prompt was submitted."""

        async def dropped(script):
            script.server.listens()
            script.at(1, script.server.socket_messages.put_nowait, None)
            script.at(1000, script.server.finish)
            assert await script.run() == OUTPUTS

        async def never_opened(script):
            script.at(1000, script.server.finish)
            assert await script.run() == OUTPUTS

        async def adopted(script):
            script.server.listens()
            script.server.running.append(str(ID))
            script.at(1000, script.server.finish)
            assert await script.run() == OUTPUTS

        for scene in (dropped, never_opened, adopted):
            play(scene)

    def test_never_started_before_the_deadline(self, play):
        async def scene(script):
            script.server.running = [OTHER]
            script.server.on_submit = lambda: script.server.pending.append(str(ID))
            await script.fails(ZombieError)
            assert script.server.pending == []
            assert script.server.count("interrupt") == 0

        _, seconds = play(scene)
        assert 25 * 60 < seconds < 25 * 60 + 10


class TestDeadline:
    def test_what_runs_too_long_is_interrupted(self, play):
        async def scene(script):
            error = await script.fails(DeadlineError)
            assert (error.error_type, error.retryable) == ("timeout", False)
            assert script.server.count("interrupt") == 1

        _, seconds = play(scene)
        assert 25 * 60 < seconds < 25 * 60 + 10

    def test_what_finishes_meanwhile_counts(self, play):
        async def scene(script):
            script.server.deaf_to_interrupts = True
            script.at(25 * 60 + 60, script.server.finish)
            assert await script.run() == OUTPUTS

        play(scene)

    def test_what_cannot_be_stopped_is_given_up(self, play):
        async def scene(script):
            script.server.deaf_to_interrupts = True
            assert (await script.fails(ZombieError)).retryable

        _, seconds = play(scene)
        assert 30 * 60 < seconds < 30 * 60 + 10


class TestCancel:
    def test_before_anything(self, play):
        async def scene(script):
            script.cancel.set()
            await script.fails(WithdrawnError)
            assert script.server.count("submit") == 0

        play(scene)

    def test_while_it_is_being_submitted(self, play):
        """The server is slow to answer, and queues the prompt when everybody has stopped looking for it."""

        async def scene(script):
            script.server.submit_seconds = 20
            script.at(10, script.cancel.set)
            await script.fails(WithdrawnError)
            assert script.server.count("submit") == 1
            assert script.server.running == []

        _, seconds = play(scene)
        assert 20 <= seconds < 25

    def test_while_it_is_being_submitted_to_one_that_never_answers(self, play):
        async def scene(script):
            script.server.submit_seconds = 1e6
            script.at(10, script.cancel.set)
            await script.fails(WithdrawnError)

        _, seconds = play(scene)
        assert seconds < 10 + LIMITS.stop + 5

    def test_while_it_waits_nobody_is_interrupted(self, play):
        async def scene(script):
            script.server.running = [OTHER]
            script.server.on_submit = lambda: script.server.pending.append(str(ID))
            script.at(10, script.cancel.set)
            await script.fails(WithdrawnError)
            assert (script.server.count("delete"), script.server.count("interrupt")) == (1, 0)
            assert script.server.running == [OTHER]

        _, seconds = play(scene)
        assert seconds < 12

    def test_while_it_runs(self, play):
        async def scene(script):
            script.at(10, script.cancel.set)
            assert (await script.fails(WithdrawnError)).error_type == "cancelled"
            assert script.server.count("interrupt") == 1
            assert script.server.running == []

        _, seconds = play(scene)
        assert seconds < 12

    def test_it_is_asked_again_until_it_is_gone(self, play):
        async def scene(script):
            script.server.deaf_to_interrupts = True
            script.at(10, script.cancel.set)
            script.at(18.6, script.server.finish, INTERRUPTED)
            await script.fails(WithdrawnError)
            assert script.server.count("interrupt") > 5

        _, seconds = play(scene)
        assert 18.6 < seconds < 20

    def test_that_starts_just_when_it_was_to_be_deleted(self, play):
        async def scene(script):
            server = script.server
            server.running, server.on_submit = [OTHER], lambda: server.pending.append(str(ID))
            delete = server.delete

            async def too_late(prompt_id):
                server.start()
                server.delete = delete

            server.delete = too_late
            script.at(10, script.cancel.set)
            await script.fails(WithdrawnError)
            assert server.count("interrupt") == 1

        play(scene)

    def test_of_a_server_that_is_gone_ends(self, play):
        async def scene(script):
            script.at(10, setattr, script.server, "down", True)
            script.at(11, script.cancel.set)
            await script.fails(WithdrawnError)

        _, seconds = play(scene)
        assert seconds < 45

    def test_of_a_server_that_does_not_react_ends(self, play):
        async def scene(script):
            script.server.deaf_to_interrupts = True
            script.at(10, script.cancel.set)
            await script.fails(WithdrawnError)

        _, seconds = play(scene)
        assert 130 < seconds < 135


class TestFeed:
    def test_progress_is_told_at_a_bearable_rate(self, play):
        async def scene(script):
            script.server.listens()
            for step in range(1, 1001):
                script.at(step / 100, lambda step=step: script.server.say("progress", node="3", value=step, max=1000))
            script.at(11, lambda: script.server.say("executing", node="8"))
            script.at(12, script.server.finish)
            assert await script.run() == OUTPUTS
            assert 40 < len(script.progress) < 60
            assert [update.step for update in script.progress] == sorted(update.step for update in script.progress)
            assert (script.progress[-1].node, script.progress[-1].job_id) == ("VAEDecode", 42)

        play(scene)

    def test_whoever_listens_badly_does_not_harm_the_attempt(self, play):
        async def broken(_):
            raise ConnectionError("the bus is away")

        async def scene(script):
            script.server.listens()
            script.at(1, lambda: script.server.say("executing", node="3"))
            script.at(5, script.server.finish)
            assert await script.run(on_progress=broken) == OUTPUTS

        play(scene)

    def test_a_dropped_socket_is_opened_again_after_it_closed(self, play):
        async def scene(script):
            script.server.listens()
            for second in (1, 5, 9, 13, 17):
                script.at(second, script.server.socket_messages.put_nowait, None)
            script.at(20, lambda: script.server.say("executing", node="3"))
            script.at(30, script.server.finish)
            assert await script.run() == OUTPUTS
            assert script.server.opened_sockets == pytest.approx([0, 1.55, 5.55, 9.55, 13.55, 17.55])
            assert script.progress[-1].node == "KSampler"
            assert script.server.open_sockets == 0

        play(scene)

    def test_a_silent_one_is_replaced(self, play):
        async def scene(script):
            script.server.listens()
            script.at(1, lambda: script.server.say("executing", node="3"))
            script.at(600, script.server.finish)
            assert await script.run() == OUTPUTS
            assert len(script.server.opened_sockets) == 4

        play(scene)
