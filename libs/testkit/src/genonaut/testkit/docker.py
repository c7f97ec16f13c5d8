"""Whether there is a Docker that tests can use."""

import subprocess
from functools import cache


@cache
def without_docker() -> str:
    """Why what needs Docker with compose cannot run here; empty when it can. Asks once a session."""
    try:
        asked, composes = _run("docker", "info"), _run("docker", "compose", "version")
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no Docker here: {error}"
    if asked.returncode or "Server Version" not in asked.stdout:
        return f"no Docker daemon answers: {asked.stderr.strip()[:200]}"
    return "docker has no compose" if composes.returncode else ""


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
