"""One platform for all tests here."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from genonaut.platform.serving import raise_file_limit
from genonaut.testkit.simulators import Simulator
from genonaut.testkit.stacks import Stack, running_stack

HEAD_SECONDS = 3
CONNECTIONS = 1200
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def _room_for_sockets() -> None:
    """The abusers are in this process, and each has a socket of its own."""
    raise_file_limit()


@pytest.fixture(scope="session")
def examples() -> int:
    """How many requests are thought of for each operation and kind. FUZZ_EXAMPLES says it; `make fuzz` takes it."""
    return int(os.environ.get("FUZZ_EXAMPLES", "2"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    simulator = Simulator(tmp_path_factory.mktemp("simulator"))
    simulator.start()
    try:
        with running_stack(
            tmp_path_factory.mktemp("fuzz"),
            simulators=[simulator],
            settings={"gateway": {"http-head-seconds": HEAD_SECONDS, "http-connections": CONNECTIONS}},
            logs=ROOT / ".genonaut/fuzz-logs",
        ) as stack:
            yield stack
    finally:
        simulator.kill()
