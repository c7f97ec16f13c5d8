"""One platform for all tests here, with two ComfyUI simulators that can be made to fail and a collector of traces."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from genonaut.testkit.collector import Collector
from genonaut.testkit.simulators import Simulator
from genonaut.testkit.stacks import Stack, running_stack

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    with Collector.running() as collector:
        yield collector


@pytest.fixture(scope="session")
def simulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Simulator]]:
    simulators = [Simulator(tmp_path_factory.mktemp(name)) for name in ("one", "two")]
    for simulator in simulators:
        simulator.start()
    yield simulators
    for simulator in simulators:
        simulator.kill()


@pytest.fixture(scope="session")
def stack(
    tmp_path_factory: pytest.TempPathFactory, simulators: list[Simulator], collector: Collector
) -> Iterator[Stack]:
    with running_stack(
        tmp_path_factory.mktemp("e2e"),
        simulators=simulators,
        settings={"generation": {"zombie-seconds": 5, "unreachable-seconds": 3}},
        logs=ROOT / ".genonaut/e2e-logs",
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"},
    ) as stack:
        yield stack


@pytest.fixture(autouse=True)
def _sound_simulators(stack: Stack) -> Iterator[None]:
    """Whatever a test did to them, the next one finds them sound and idle."""
    yield
    for simulator in stack.simulators:
        if not simulator.answers():
            simulator.kill()
            simulator.start()
        httpx.delete(f"{simulator.url}/simulator/faults").raise_for_status()
    stack.wait_until_whole()


@pytest.fixture
def spare_simulator(tmp_path: Path) -> Iterator[Simulator]:
    """One that the stack does not know."""
    simulator = Simulator(tmp_path)
    simulator.start()
    yield simulator
    simulator.kill()
