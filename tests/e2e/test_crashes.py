"""kill -9 of each process during a job: the job ends all the same, with one item, one notification, one count."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest

from genonaut.testkit.waiting import wait_until

WRITES = {
    "content": "content_items_all",
    "generation": "item_arrivals",
    "notifications": "user_notifications",
    "analytics": "generation_metrics_hourly",
}
"""Who handles an event of every job, and the table it writes then."""
HOLD = 0x5EED


def assert_it_happened_once(stack, job_id: int, user: str, before: dict[str, Any]) -> None:
    """The job ends well, everybody knows it once, and nothing had to be parked. `before` is the overview without it."""
    job = stack.wait_for(job_id, within=90)
    stack.wait_until_whole()

    assert job["status"] == "completed", job
    published = stack.published(job_id)
    stack.settle()
    assert len(stack.items(job_id)) == 1
    assert [each["related_content_id"] for each in stack.notifications(user)] == [published["content_id"]]

    def counted() -> bool:
        now = stack.overview()
        names = ("total_requests", "successful_generations", "failed_generations", "cancelled_generations")
        return tuple(now[name] - before[name] for name in names) == (1, 1, 0, 0)

    wait_until(counted, reason=f"the rollup went from {before} to {stack.overview()}")
    log = stack.events(job_id)
    ends = {"completed", "failed", "cancelled", "published"}
    assert [kind for kind in log if kind in ends] == ["completed", "published"]
    parked = f"SELECT subject, error FROM dead_letters WHERE created_at >= '{job['created_at']}'"
    for service in WRITES:
        assert stack.sql(service, parked) == [], service


@pytest.mark.parametrize(
    "victim",
    ["gateway", "content", "generation", "driver", "analytics", "notifications", "nats", "postgres", "valkey"],
)
def test_a_job_survives_the_death_of(stack, victim: str) -> None:
    user = stack.user()
    for simulator in stack.simulators:
        simulator.faults(step_seconds=0.15)
    stack.settle()
    before = stack.overview()
    job_id = stack.submit(user)
    stack.wait_for(job_id, "running")

    stack.kill(victim)

    assert_it_happened_once(stack, job_id, user, before)


@contextmanager
def held(stack, service: str, *, in_commit: bool) -> Iterator[Callable[[], None]]:
    """The service stands still in its next transaction that writes its table, until what is given is called.

    It has then written a row and wants to go on, or it has written all and its commit is under way.
    """
    with asyncio.Runner() as runner:
        connection = runner.run(
            asyncpg.connect(stack.setting(service, "DATABASE_ADMIN_URL"), server_settings={"search_path": service})
        )

        def run(statements: str) -> None:
            runner.run(connection.execute(statements))

        try:
            run(f"""
                SELECT pg_advisory_lock({HOLD});
                CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_advisory_xact_lock({HOLD}); RETURN NULL; END $$;
                CREATE CONSTRAINT TRIGGER stand_still AFTER INSERT OR UPDATE ON {WRITES[service]}
                    DEFERRABLE INITIALLY {"DEFERRED" if in_commit else "IMMEDIATE"}
                    FOR EACH ROW EXECUTE FUNCTION stand_still();
            """)
            yield lambda: run(f"SELECT pg_advisory_unlock({HOLD})")
        finally:
            run("SELECT pg_advisory_unlock_all(); DROP FUNCTION IF EXISTS stand_still CASCADE")
            runner.run(connection.close())


@pytest.mark.parametrize("in_commit", [False, True], ids=["before its commit", "in its commit"])
@pytest.mark.parametrize("victim", WRITES)
def test_a_job_survives_a_death_in_the_middle_of_its_event(stack, victim: str, in_commit: bool) -> None:
    """The effect is lost with its service, or it is there and nobody acknowledged the event: it comes again."""
    user = stack.user()
    stack.settle()
    before = stack.overview()
    standing_still = f"""
        SELECT own.transactionid::text
        FROM pg_locks wanted JOIN pg_locks own USING (pid) JOIN pg_stat_activity USING (pid)
        WHERE wanted.locktype = 'advisory' AND wanted.objid = {HOLD} AND NOT wanted.granted
            AND own.locktype = 'transactionid' AND application_name = 'genonaut-{victim}'
    """
    with held(stack, victim, in_commit=in_commit) as release:
        job_id = stack.submit(user)
        ((transaction,),) = wait_until(lambda: stack.sql(victim, standing_still), reason=f"{victim} heard nothing")
        dead = stack.kill(victim)
        wait_until(lambda: not stack.is_ready(victim, pid=dead), reason=f"{victim} lives on")
        release()

    def fate() -> str | None:
        ((status,),) = stack.sql(victim, f"SELECT pg_xact_status('{transaction}'::xid8)")
        return None if status == "in progress" else status

    assert wait_until(fate) == ("committed" if in_commit else "aborted")
    wait_until(lambda: stack.is_ready(victim), reason=f"{victim} does not come back")
    assert_it_happened_once(stack, job_id, user, before)
