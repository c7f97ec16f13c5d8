"""What the code says about itself fits together: commands, durables, projections, migrations."""

import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from inspect import isasyncgenfunction, iscoroutinefunction
from pathlib import Path

import pytest

from genonaut.contracts import EVENTS
from genonaut.contracts.streams import DURABLES, GENERATION_DRIVERS
from genonaut.gateway.live import api as live
from genonaut.gateway.system import api as system
from genonaut.platform.provisioning import SERVICES
from genonaut.platform.replay_cli import everything
from genonaut.platform.service_cli import load_service

ROOT = Path(__file__).parents[2]


def test_every_durable_is_consumed_once_and_every_consumer_has_its_durable() -> None:
    consumed = [consumer.durable.name for name in SERVICES for consumer in load_service(name).consumers]

    assert sorted([*consumed, GENERATION_DRIVERS.name]) == sorted(durable.name for durable in DURABLES)


def test_a_durable_is_named_after_the_service_that_reads_it() -> None:
    for name in SERVICES:
        for consumer in load_service(name).consumers:
            assert consumer.durable.name.startswith(f"{name}-")


def test_projections_that_follow_the_bus_are_followed() -> None:
    for name in SERVICES:
        service = load_service(name)
        followed = {consumer.durable.name for consumer in service.consumers if consumer.handle}
        assert {each.source.name for each in service.projections if each.source} == followed


def test_a_durable_serves_one_projection() -> None:
    """A rebuild takes the durable's position for the projection's."""
    for name in SERVICES:
        sources = [each.source.name for each in load_service(name).projections if each.source]
        assert len(set(sources)) == len(sources), name


def test_no_projection_has_rows_that_go_with_another_table() -> None:
    """A swap replaces cells; a cascade would take rows of cells that it leaves alone."""
    for name in SERVICES:
        for projection in load_service(name).projections:
            assert not [key for table in projection.tables for key in table.foreign_keys if key.ondelete], name


def test_a_table_belongs_to_one_projection() -> None:
    for name in SERVICES:
        tables = [table.name for projection in load_service(name).projections for table in projection.tables]
        assert len(set(tables)) == len(tables), name


def test_what_requests_depend_on_is_called_in_place() -> None:
    """FastAPI sends plain functions to a thread and back, which costs more than most of them do."""
    routers = [router for name in SERVICES for router in load_service(name).routers]
    waiting = [route.dependant for router in [*routers, system.router, live.router] for route in router.routes]
    called = []
    for dependant in waiting:  # grows meanwhile
        called.append(dependant.call)
        waiting += dependant.dependencies

    assert len(called) > 50
    plain = {call for call in called if not (iscoroutinefunction(call) or isasyncgenfunction(call))}
    assert plain == set()


def test_replay_knows_every_service_with_a_database() -> None:
    assert {each.service.name for each in everything()} == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_every_event_that_a_projection_reads_is_in_a_test_of_what_it_does_to_the_tables(service: str) -> None:
    tests = (ROOT / "services" / service / "tests" / "integration" / "test_projections.py").read_text()
    read = {EVENTS[name].__name__ for each in load_service(service).projections for name in each.event_types}
    assert {name for name in read if not re.search(rf"\b{name}\(", tests)} == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_states_events_of_its_own_context_only(service: str) -> None:
    """An inline projection reads what its service states."""
    for projection in load_service(service).projections:
        if projection.source is None:
            assert {event_type.split(".")[0] for event_type in projection.event_types} == {service}


def test_every_command_explains_itself() -> None:
    for entry in entry_points(group="genonaut.commands"):
        shown = subprocess.run(
            [sys.executable, "-m", "genonaut.platform.cli", entry.name, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "Usage" in shown, entry.name


@pytest.mark.parametrize("service", SERVICES)
def test_a_migration_has_one_head(service: str) -> None:
    folder = Path(import_module(f"genonaut.{service}.migrations").__path__[0])
    revisions = sorted(path.stem for path in folder.glob("[0-9]*.py"))
    assert revisions
    assert [revision[:4] for revision in revisions] == [f"{n:04}" for n in range(1, len(revisions) + 1)]


def test_help_lists_every_target() -> None:
    declared = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    quiet = ["make", "--no-print-directory", "help"]  # which a make above this one would undo
    helped = subprocess.run(quiet, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert sorted(line.split()[0] for line in helped.splitlines()) == sorted(declared.split()[1:])
    assert all(len(line.split()) > 2 for line in helped.splitlines())
