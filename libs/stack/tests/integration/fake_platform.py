"""A platform of tiny processes, for tests of the supervisor. It is imported by the supervisor's process."""

import os
from pathlib import Path

from genonaut.stack.processes import Plan, Process
from genonaut.stack.site import Site

NAMES = ("first", "second", "gateway")
SERVICE = str(Path(__file__).with_name("fake_service.py"))


def plan(site: Site) -> Plan:
    """FAKE_TROUBLE=name:kind makes one of them misbehave."""
    port = site.ports.first_free("gateway", int(os.environ.get("API_PORT") or 8001))
    trouble = dict(part.split(":") for part in os.environ.get("FAKE_TROUBLE", "").split(",") if part)

    def process(name: str) -> Process:
        url = site.http(name)
        env = {
            "PORT": url.rpartition(":")[2],
            "TROUBLE": trouble.get(name, ""),
            "STATE": str(site.state),
            "NAME": name,
            "NATS_URL": site.nats.url(),
        }
        return Process(name, (SERVICE,), env, url=url, ready=f"{url}/ready")

    mark = site.state / "prepared.txt"
    prepare = f"import sys; open({str(mark)!r}, 'a').write('x'); sys.exit({trouble.get('prepare')!r})"
    return Plan(
        processes=tuple(process(name) for name in NAMES),
        prepare=Process("prepare", ("-c", prepare), {}),
        fingerprint=f"fake {site.environment}",
        urls={"api": site.http("gateway"), "docs": f"{site.http('gateway')}/docs"},
        notes=() if port == int(os.environ.get("API_PORT") or 8001) else (f"The API listens on {port}.",),
        command_env={"first": {"DATABASE_URL": site.database_url("genonaut_first")}},
    )
