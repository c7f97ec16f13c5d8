"""The checker can fail: whichever rule of the platform is broken, it notices; and nothing else makes it complain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from chaos.checker import FLOORS, Report
from chaos.faults import Fault
from chaos.load import Load
from chaos.matrix import platform_under_test, run
from chaos.mutants import MUTANTS
from genonaut.contracts.streams import DURABLES, GENERATION_DRIVERS
from genonaut.platform.provisioning import ensure_durable


@dataclass(frozen=True)
class Trial:
    """What the platform goes through."""

    faults: Sequence[Fault] = ()
    seconds: float = 8.0
    rate: float = 15.0
    steps: int = 6
    patience: float = 30.0
    most_takes: int = 10
    """How often drivers may take up a job."""
    sign_of_life: timedelta = GENERATION_DRIVERS.ack_wait
    """For how long a driver may say nothing of a job before it is given to another."""
    floors: Mapping[str, int] = field(default_factory=lambda: FLOORS)


LATE_COMMITS = Trial(faults=[Fault(0.5, "commit-late", service, 5.0) for service in ("content", "generation")])
NO_DATABASE = Trial(faults=[Fault(2.0, "no-database", "content", 3.0)])
NO_BUS = Trial(faults=[Fault(3.0, "cut", "nats", 2.0)])
REPEATS = Trial(faults=[Fault(6.0, "shuffle", stream, 0.0) for stream in ("CONTENT", "GENERATION", "REQUESTS")])
POISON = Trial(
    faults=[
        Fault(0.2, "delete-stream", "GENERATION", 0.0),
        *(Fault(7.0, "poison", durable.name, 0.0) for durable in DURABLES),
    ]
)
"""The stream is deleted before, which excuses nothing that came later."""
NOTHING = Trial()
ALL_OF_IT = Trial(faults=[*LATE_COMMITS.faults, *NO_DATABASE.faults, *NO_BUS.faults, *REPEATS.faults, *POISON.faults])
LONG_JOBS = Trial(
    rate=1.5,
    steps=200,
    patience=60.0,
    most_takes=1,
    sign_of_life=timedelta(seconds=5),
    floors={"jobs accepted": 2, "jobs completed": 1},
)
"""Each takes 6 s and more, and may be taken up once."""
IMPATIENT = 10.0
"""For a platform that is not expected to come to rest."""

COUNTED_BY_NOBODY = """
INSERT INTO route_analytics_hourly
VALUES (date_trunc('hour', now()), gen_random_uuid(), '/api/v1/nowhere', 'GET', '{}', 1, 1, 0, 0, 9, 0, 9)
"""

UNTOLD = "every event of a log is in its stream"
BREAKS = {
    "no-outbox": (NO_BUS, UNTOLD),
    "position-reader": (LATE_COMMITS, UNTOLD),
    "no-inbox": (REPEATS, "route rollups are a recount"),
    "ack-before-commit": (NO_DATABASE, "completed means that the pictures are items"),
    "no-dead-letter": (POISON, "dead letters are the poison"),
    "no-measurement": (NOTHING, "requests are counted"),
    "no-privacy": (NOTHING, "nobody sees what is anothers"),
    "float-sums": (NOTHING, "route rollups are a recount"),
    "no-heartbeat": (LONG_JOBS, "a job ends as it was asked"),
}
"""In which trial each mutant has to be found, and which promise it cannot keep there."""
ALWAYS = {"no-outbox", "no-inbox", "no-privacy", "no-heartbeat"}
"""One of each kind is tried with all tests, the others by `make checker`: each takes 40 s."""
MUTATIONS = [pytest.param(mutant, marks=() if mutant in ALWAYS else pytest.mark.long) for mutant in BREAKS]


def checked(folder: Path, trial: Trial, *, mutant: str = "") -> Report:
    with platform_under_test(folder, mutant=mutant, max_takes=trial.most_takes) as site:
        drivers = replace(GENERATION_DRIVERS, ack_wait=trial.sign_of_life)
        site.stack.on_bus(lambda bus: ensure_durable(bus.jetstream, drivers))
        load = Load(site.stack.api_url, seed=1, rate=trial.rate, steps=trial.steps)
        return run(
            site,
            trial.faults,
            load=load,
            seconds=trial.seconds,
            say=print,
            patience=trial.patience,
            floors=trial.floors,
        )


@pytest.mark.timeout(240)
@pytest.mark.parametrize("trial", [ALL_OF_IT, LONG_JOBS], ids=["all of it", "long jobs"])
def test_a_sound_platform_keeps_every_promise(tmp_path: Path, trial: Trial) -> None:
    report = checked(tmp_path, trial)

    assert report.violations == []


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mutant", MUTATIONS)
def test_the_checker_finds(tmp_path: Path, mutant: str) -> None:
    trial, promise = BREAKS[mutant]

    report = checked(tmp_path, replace(trial, patience=IMPATIENT), mutant=mutant)

    assert promise in report.broken(), report.violations


@pytest.mark.timeout(240)
def test_the_checker_finds_that_nothing_happened_and_what_was_counted_nevertheless(tmp_path: Path) -> None:
    with platform_under_test(tmp_path) as site:
        site.stack.execute("analytics", COUNTED_BY_NOBODY)
        report = run(site, (), load=Load(site.stack.api_url, seed=1), seconds=0.1, say=print)

    assert report.broken() >= {"there is enough to look at", "route rollups are a recount"}


def test_every_mutant_is_tried() -> None:
    assert set(MUTANTS) == set(BREAKS)
