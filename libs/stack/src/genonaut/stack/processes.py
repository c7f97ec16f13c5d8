"""The processes of the platform, as data: what runs, with which settings, and how one sees that it is ready."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from genonaut.stack import given
from genonaut.stack.child import ChildError
from genonaut.stack.site import LOGINS, Site

DATABASE_SERVICES = ("content", "generation", "analytics", "notifications")

# A process sees the caller's environment, settings in it, but not what names our servers or opens them.
_KEPT_BACK = {
    *("DATABASE_URL", "DATABASE_ADMIN_URL", "DATABASE_SUPERUSER_URL", "NATS_URL", "NATS_SYSTEM_URL", "REDIS_URL"),
    *("API_SECRET_KEY", "API_HOST", "API_PORT"),
}
_KEPT_BACK_FAMILIES = ("DATABASE_URL_", "NATS_URL_", "DB_PASSWORD", "PYTHON")
SAID = (
    *("API_HOST", "API_PORT", "COMFYUI_URLS", "DATABASE_URL", "NATS_URL", "REDIS_URL", "OBJECT_STORE_URL"),
    *("DATABASE_URL_DEMO", "DATABASE_URL_TEST", "NATS_URL_DEMO", "NATS_URL_TEST", "DB_HOST", "DB_PORT", "DB_USER"),
    *given.NAMES,
    *("GENONAUT_CONFIG", "LOG_LEVEL", "LOG_FORMAT", "STATEMENT_TIMEOUT_MS", "OTEL_EXPORTER_OTLP_ENDPOINT"),
)
"""Settings that a running stack has to have as they are said, or to be started again. None that is a secret alone."""
_SMALL = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Process:
    """One process: its command after the Python interpreter, its settings, and the URL that answers 2xx when ready."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    url: str = ""
    ready: str = ""

    def command(self) -> list[str]:
        """The whole command line."""
        return [sys.executable, *self.argv]

    def environment(self) -> dict[str, str]:
        """All it sees."""
        passed = {
            key: value
            for key, value in os.environ.items()
            if key.removesuffix("_FILE") not in _KEPT_BACK and not key.startswith(_KEPT_BACK_FAMILIES)
        }
        return {**passed, **_SMALL, **self.env}


@dataclass(frozen=True)
class Plan:
    """What to run on a site, in the order of the start; the last one is the entrance and closes first."""

    processes: tuple[Process, ...]
    prepare: Process | None = None  # runs to its end before the others start
    fingerprint: str = ""  # of everything `prepare` depends on; empty: it runs at every start
    urls: Mapping[str, str] = field(default_factory=dict)  # worth telling a person
    notes: tuple[str, ...] = ()
    command_env: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # for commands, by service


Planner = Callable[[Site], Plan]


def platform(site: Site) -> Plan:
    """Genonaut: five services, the driver of the GPU workers and, unless COMFYUI_URLS names real ones, a simulator."""
    wanted_port = _wanted_port()
    api_port = site.ports.first_free("gateway", wanted_port)
    notes = () if api_port == wanted_port else (f"Port {wanted_port} is taken; the API listens on {api_port}.",)
    comfyui_urls = os.environ.get("COMFYUI_URLS")

    settings = {
        "APP_ENV": site.environment,
        "API_SECRET_KEY": os.environ.get("API_SECRET_KEY") or site.credentials.of("api_secret_key"),
    }

    objects_url = os.environ.get("OBJECT_STORE_URL") or (site.state / "objects").as_uri()

    def serve(name: str, *argv: str, **env: str) -> Process:
        own = {"NATS_URL": site.nats.url(user=name), "API_HOST": "127.0.0.1", "API_PORT": str(site.ports.of(name))}
        url = site.http(name)
        return Process(name, ("-m", *argv), {**settings, **own, **env}, url=url, ready=f"{url}/ready")

    simulator = Process(
        "comfyui-simulator",
        (
            *("-m", "genonaut.comfyui_simulator", "--port", str(site.ports.of("comfyui-simulator"))),
            *("--output-dir", str(site.state / "comfyui/output")),
        ),
        {},
        url=site.http("comfyui-simulator"),
        ready=f"{site.http('comfyui-simulator')}/system_stats",
    )
    services = [
        serve(
            name,
            f"genonaut.{name}",
            "serve",
            DATABASE_URL=site.database_url(f"genonaut_{name}"),
            OBJECT_STORE_URL=objects_url,
            **({"REDIS_URL": site.valkey.url()} if name == "content" else {}),
        )
        for name in DATABASE_SERVICES
    ]
    driver = serve(
        "driver",
        "genonaut.generation",
        "drive",
        DATABASE_URL=site.database_url("genonaut_generation"),
        OBJECT_STORE_URL=objects_url,
        COMFYUI_URLS=comfyui_urls or simulator.url,
    )
    gateway = serve(
        "gateway",
        "genonaut.gateway",
        "serve",
        REDIS_URL=site.valkey.url(),
        **{f"{name.upper()}_URL": site.http(name) for name in DATABASE_SERVICES},
        API_HOST=os.environ.get("API_HOST") or "127.0.0.1",
    )
    return Plan(
        processes=(*([] if comfyui_urls else [simulator]), *services, driver, gateway),
        prepare=Process(
            "prepare",
            ("-m", "genonaut.stack.prepare"),
            {
                "DATABASE_SUPERUSER_URL": site.postgres.url(),
                "NATS_URL": site.nats.url(),
                "DB_NAME": site.database,
                **{given.password_variable(login): site.password(login) for login in LOGINS},
            },
        ),
        fingerprint="" if site.postgres.given or site.nats.given else _fingerprint(site),
        urls={"api": gateway.url, "docs": f"{gateway.url}/docs", "health": f"{gateway.url}/api/v1/health"},
        notes=notes,
        command_env={
            **{
                service.name: {
                    **service.env,
                    "DATABASE_ADMIN_URL": site.database_url("genonaut_admin"),
                    "NATS_URL": site.nats.url(),  # a rebuild reads streams with consumers of its own
                }
                for service in services
            },
            gateway.name: gateway.env,
        },
    )


def asked_for(environment: Mapping[str, str]) -> dict[str, str]:
    """What an environment says of the stack: names with digests of the values, which may be secret."""
    said = {name: value.encode() for name in SAID if (value := environment.get(name))}
    if (config := said.get("GENONAUT_CONFIG")) and Path(os.fsdecode(config)).is_file():
        said["GENONAUT_CONFIG"] = Path(os.fsdecode(config)).read_bytes()
    return {name: sha256(value).hexdigest()[:12] for name, value in said.items()}


def _wanted_port() -> int:
    text = os.environ.get("API_PORT") or "8001"
    if not text.isdigit() or not 0 < int(text) < 65536:  # noqa: PLR2004 - the end of all ports
        raise ChildError(f"API_PORT is {text!r}; it must be a port number.")
    return int(text)


def _fingerprint(site: Site) -> str:
    """Of the environment, its names and passwords, and all code: of whatever is made before the services start."""
    import genonaut  # noqa: PLC0415 - a namespace: which folders it has is known at run time only

    digest = sha256(site.environment.encode())
    for said in (site.database, *map(site.password, LOGINS)):
        digest.update(f"\0{said}".encode())
    for folder in sorted(genonaut.__path__):
        for file in sorted(Path(folder).rglob("*.py")):
            digest.update(f"\0{file.relative_to(folder)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
