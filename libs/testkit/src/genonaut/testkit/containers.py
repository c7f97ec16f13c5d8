"""The servers of tests in containers, of the images that docker-compose.yml runs, when TEST_CONTAINERS=1 asks for them.

They have one user for everything, as servers from outside do.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import ExecWaitStrategy

from genonaut.stack.local import clone_root

PASSWORD = "test-password"  # noqa: S105 - of servers that live as long as a test session


@contextmanager
def running(server: str) -> Iterator[str]:
    """The URL of a fresh `postgres`, `nats` or `valkey`, for who may do everything there. Gone afterwards."""
    container = DockerContainer(image(server))
    match server:
        case "postgres":
            options = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "timezone=UTC"]
            container.with_env("POSTGRES_PASSWORD", PASSWORD)
            container.with_command(["postgres", *(f"-c{option}" for option in options)])
            port, login, path, ready = 5432, "postgresql://postgres", "/postgres", ["pg_isready", "-h", "127.0.0.1"]
        case "nats":
            container.with_command(["nats-server", "-js", "-m", "8222", "--user", "test", "--pass", PASSWORD])
            port, login, path = 4222, "nats://test", ""
            ready = ["wget", "-qO-", "http://127.0.0.1:8222/healthz?js-enabled-only=true"]
        case _:
            container.with_command(["valkey-server", "--requirepass", PASSWORD])
            port, login, path = 6379, "redis://", ""
            # Without -e a refused ping, of a server that is still loading, would count as an answer.
            ready = ["valkey-cli", "--no-auth-warning", "-a", PASSWORD, "-e", "ping"]
    with container.with_exposed_ports(port).waiting_for(ExecWaitStrategy(ready)):
        host, mapped = container.get_container_host_ip(), container.get_exposed_port(port)
        yield f"{login}:{PASSWORD}@{host}:{mapped}{path}"


def image(service: str) -> str:
    """What docker-compose.yml runs as this service. Raises RuntimeError without Docker's compose."""
    return str(_compose()[service]["image"])


@cache
def _compose() -> dict[str, dict[str, object]]:
    command = ["docker", "compose", "config", "--format", "json"]
    try:
        said = subprocess.run(command, cwd=clone_root(), capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"TEST_CONTAINERS=1 needs Docker with compose: {error}") from error
    services: dict[str, dict[str, object]] = json.loads(said)["services"]
    return services
