"""docker-compose.yml and the stack of one machine run the same processes with the same settings, so neither drifts."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from genonaut.platform.provisioning import SERVICES
from genonaut.platform.secrets_cli import Passwords, contents
from genonaut.stack.processes import DATABASE_SERVICES, Process, platform
from genonaut.stack.site import Site

ROOT = Path(__file__).parents[2]
SERVERS = {"postgres", "nats", "valkey"}
JOBS = {"secrets", "provision", *(f"{service}-migrate" for service in SERVICES)}

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]

WHERE = {"API_HOST", "API_PORT"}
"""On one machine each process has a port of its own; in containers all have the default one."""
KNOBS = {"LOG_LEVEL", "PICTURE_PROCESSES", "STATEMENT_TIMEOUT_MS", "OTEL_EXPORTER_OTLP_ENDPOINT"}
"""Passed on from the caller's environment: the stack passes all of it, compose what is named and, of
pictures, what fits the memory that a container may take."""


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Process]:
    for name in ("COMFYUI_URLS", "DATABASE_URL", "NATS_URL", "REDIS_URL", "OBJECT_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    plan = platform(Site.of(tmp_path, tmp_path, "prod", last_ports={}))
    return {process.name: process for process in plan.processes}


def names(container: str) -> set[str]:
    """Of its settings; a secret by the name that it has without _FILE."""
    return {name.removesuffix("_FILE") for name in CONTAINERS[container].get("environment", {})}


def mounts(container: str) -> dict[str, dict[str, Any]]:
    """Its volumes by where they are."""
    listed = [each for each in CONTAINERS[container].get("volumes", []) if isinstance(each, dict)]
    return {each["target"]: each for each in listed}


def test_the_services_that_run_are_those_that_are_provisioned() -> None:
    """Said twice: provisioning needs SQLAlchemy and NATS, the supervisor has the standard library only."""
    assert DATABASE_SERVICES == SERVICES


def test_the_same_processes_run(processes: dict[str, Process]) -> None:
    assert set(CONTAINERS) == {*processes, *SERVERS, *JOBS}


def test_they_have_the_same_settings(processes: dict[str, Process]) -> None:
    for name, process in processes.items():
        assert names(name) - KNOBS == set(process.env) - WHERE, name


def test_they_are_started_alike(processes: dict[str, Process]) -> None:
    for name, process in processes.items():
        container = CONTAINERS[name]
        if "entrypoint" in container:
            started = [word for word in container["entrypoint"] if word != "python"]
        else:
            started = ["-m", f"genonaut.{container['command'][0]}", *container["command"][1:]]
        assert list(process.argv[: len(started)]) == started, name


def test_each_process_is_itself_on_the_bus(processes: dict[str, Process], tmp_path: Path) -> None:
    made = contents(Passwords(tmp_path), "prod", "genonaut")
    for name, process in processes.items():
        if name != "comfyui-simulator":
            logins = [process.env["NATS_URL"], made[f"{name}/nats_url"]]
            assert [urlsplit(url).username for url in logins] == [f"prod-{name}"] * 2


def test_the_secrets_of_each_container_are_made(tmp_path: Path) -> None:
    made = contents(Passwords(tmp_path), "prod", "genonaut")
    for name in {*CONTAINERS} - {"secrets", "comfyui-simulator"}:
        mount = mounts(name)["/run/secrets"]
        assert (mount["source"], mount["read_only"], mount["volume"]["subpath"]) == ("secrets", True, name)
        files = {path.partition("/")[2] for path in made if path.startswith(f"{name}/")}
        environment = CONTAINERS[name].get("environment", {})
        asked = {value.removeprefix("/run/secrets/") for key, value in environment.items() if key.endswith("_FILE")}
        assert asked == files if name not in {"nats", "valkey"} else not asked, name


def test_what_needs_no_secret_has_none() -> None:
    assert "volumes" not in CONTAINERS["comfyui-simulator"]
    assert "environment" not in CONTAINERS["comfyui-simulator"]


def test_no_container_is_given_a_secret_in_its_environment() -> None:
    secret = re.compile(r"PASSWORD|SECRET|_URL$|TOKEN|KEY")
    harmless = {"OBJECT_STORE_URL", *(f"{service.upper()}_URL" for service in SERVICES)}
    for name, container in CONTAINERS.items():
        named = {key for key in container.get("environment", {}) if secret.search(key)} - harmless
        assert [key for key in named if not key.endswith("_FILE")] == [], name


def test_only_the_gateway_has_a_port_and_for_this_machine_unless_said_otherwise() -> None:
    published = {name: each["ports"] for name, each in CONTAINERS.items() if "ports" in each}
    assert published == {"gateway": ["${API_HOST:-127.0.0.1}:${API_PORT:-8001}:8001"]}


def test_every_service_waits_for_its_tables_and_every_job_for_what_it_needs() -> None:
    def waits_for(name: str) -> set[str]:
        direct = CONTAINERS[name].get("depends_on", {})
        return set(direct).union(*(waits_for(other) for other in direct))

    for service in SERVICES:
        needed = {"secrets", "postgres", "nats", "provision", f"{service}-migrate"}
        assert waits_for(service) == needed
    assert waits_for("driver") == waits_for("generation")
    conditions = {
        condition
        for container in CONTAINERS.values()
        for other, each in container.get("depends_on", {}).items()
        if (condition := (other in JOBS, each["condition"]))
    }
    assert conditions == {(True, "service_completed_successfully"), (False, "service_healthy")}


def test_an_image_is_built_from_the_member_that_it_is_named_after() -> None:
    for name, container in CONTAINERS.items():
        if name in SERVERS:
            continue
        member = container["build"]["args"]["SERVICE"]
        assert container["image"] == f"genonaut-{member}:${{TAG:-latest}}"
        assert [kind for kind in ("libs", "services") if (ROOT / kind / member / "pyproject.toml").exists()], name
