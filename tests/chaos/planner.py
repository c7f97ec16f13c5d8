"""The plan of a stack under test: every connection goes through its link, and some processes are mutants.

The supervisor calls `planner` in its own process; what it needs comes in CHAOS_LINKS (JSON, ports by `source>target`)
and CHAOS_MUTANT (a name in `mutants.MUTANTS`, or nothing).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from chaos.links import SIMULATORS
from genonaut.stack.processes import DATABASE_SERVICES, Plan, Process, platform
from genonaut.stack.site import Site

PLANNER = "chaos.planner:planner"
TESTS = Path(__file__).parents[1]
STEP_SECONDS = "0.03"

_SERVERS = {"NATS_URL": "nats", "DATABASE_URL": "postgres", "REDIS_URL": "valkey"}
_SERVICES = {f"{name.upper()}_URL": name for name in DATABASE_SERVICES}


def planner(site: Site) -> Plan:
    """Genonaut with two simulators, as `links.PAIRS` connects them."""
    ports: dict[str, int] = json.loads(os.environ["CHAOS_LINKS"])
    mutant = os.environ.get("CHAOS_MUTANT")
    plan = platform(site)
    first = plan.processes[0]
    simulators = [_simulator(first, site, name) for name in SIMULATORS]
    others = [_mutated(_through_links(process, ports), mutant) for process in plan.processes[1:]]
    return replace(plan, processes=(*simulators, *others))


def environment(ports: Mapping[str, int], *, mutant: str = "") -> dict[str, str]:
    """What the supervisor has to see."""
    return {"CHAOS_LINKS": json.dumps(dict(ports)), "CHAOS_MUTANT": mutant, "PYTHONPATH": str(TESTS)}


def _simulator(like: Process, site: Site, name: str) -> Process:
    url = site.http(name)
    output = site.state / "comfyui" / name
    argv = (
        *("-m", "genonaut.comfyui_simulator", "--port", str(site.ports.of(name))),
        *("--output-dir", str(output), "--step-seconds", STEP_SECONDS),
    )
    return replace(like, name=name, argv=argv, url=url, ready=f"{url}/system_stats")


def _through_links(process: Process, ports: Mapping[str, int]) -> Process:
    env = dict(process.env)
    for variable, target in (_SERVERS | _SERVICES).items():
        if variable in env:
            env[variable] = _at(env[variable], ports[f"{process.name}>{target}"])
    if "COMFYUI_URLS" in env:
        env["COMFYUI_URLS"] = ",".join(f"http://127.0.0.1:{ports[f'driver>{name}']}" for name in SIMULATORS)
    return replace(process, env=env)


def _mutated(process: Process, mutant: str | None) -> Process:
    if not mutant:
        return process
    argv = ("-m", "chaos.mutants", mutant, *process.argv[1:])
    return replace(process, argv=argv, env={**process.env, "PYTHONPATH": str(TESTS)})


def _at(url: str, port: int) -> str:
    parts = urlsplit(url)
    login, _, _ = parts.netloc.rpartition("@")
    netloc = f"{login}@127.0.0.1:{port}" if login else f"127.0.0.1:{port}"
    return urlunsplit(parts._replace(netloc=netloc))
