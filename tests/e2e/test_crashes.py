"""kill -9 of each process once during a job: the job ends all the same, with one item, one notification, one count."""

import pytest


@pytest.mark.parametrize(
    "victim",
    ["gateway", "content", "generation", "driver", "analytics", "notifications", "nats", "postgres", "valkey"],
)
def test_a_job_survives_the_death_of(stack, eventually, victim: str) -> None:
    user = stack.user()
    for simulator in stack.simulators:
        simulator.faults(step_seconds=0.15)
    before = stack.overview()
    job_id = stack.submit(user)
    stack.wait_for(job_id, "running")

    stack.kill(victim)
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

    eventually(counted, reason=f"the rollup went from {before} to {stack.overview()}")
    log = stack.events(job_id)
    assert [kind for kind in log if kind in {"completed", "failed", "cancelled"}] == ["completed"]
