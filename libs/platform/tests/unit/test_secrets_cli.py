"""The secrets of a deployment: made once, kept, and each process's in a folder of its own."""

import re
import stat
from pathlib import Path
from typing import get_args

import pytest

from genonaut.platform.bus_users import PROCESSES
from genonaut.platform.provisioning import SERVICES
from genonaut.platform.secrets_cli import secrets
from genonaut.platform.settings import AppEnv


def files(folder: Path) -> dict[str, str]:
    """Every file's content, by its path."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def made(tmp_path: Path) -> dict[str, str]:
    secrets(tmp_path, "prod", "genonaut")
    return files(tmp_path)


def test_every_process_has_its_folder(made: dict[str, str]) -> None:
    folders = {path.split("/")[0] for path in made}
    owners = {f"{service}-migrate" for service in SERVICES}
    assert folders == {"passwords", "postgres", "nats", "valkey", "provision", *PROCESSES, *owners}


def test_made_once(made: dict[str, str], tmp_path: Path) -> None:
    secrets(tmp_path, "prod", "genonaut")
    assert files(tmp_path) == made


def test_what_an_upgrade_adds_leaves_the_rest_as_it_was(made: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "passwords" / "nats_prod-content").unlink()
    secrets(tmp_path, "prod", "genonaut")
    after = files(tmp_path)
    changed = {"passwords/nats_prod-content", "content/nats_url", "nats/accounts.conf"}
    assert {path for path in made if after[path] != made[path]} == changed


def test_passwords_are_long_different_and_their_owner_s(made: dict[str, str], tmp_path: Path) -> None:
    passwords = [content for path, content in made.items() if path.startswith("passwords/")]
    assert all(re.fullmatch("[0-9a-f]{48}", password) for password in passwords)
    assert len(set(passwords)) == len(passwords)
    assert stat.S_IMODE((tmp_path / "passwords").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "passwords").iterdir()} == {0o400}


def test_a_process_gets_no_password_but_its_own(made: dict[str, str]) -> None:
    """What a service's login is made of is in no other service's folder."""
    for service in ("content", "generation", "analytics", "notifications"):
        own = {made[f"passwords/genonaut_{service}"], made[f"passwords/nats_prod-{service}"]}
        others = {path.split("/")[0] for path, content in made.items() if any(one in content for one in own)}
        allowed = {"passwords", "nats", "provision", service, f"{service}-migrate"}
        assert others <= (allowed | {"driver"} if service == "generation" else allowed)
    owner = {path.split("/")[0] for path, content in made.items() if made["passwords/genonaut_admin"] in content}
    assert owner == {"passwords", "provision", *(f"{service}-migrate" for service in SERVICES)}
    superuser = {path.split("/")[0] for path, content in made.items() if made["passwords/postgres"] in content}
    assert superuser == {"passwords", "postgres", "provision"}


@pytest.mark.parametrize("environment", get_args(AppEnv))
def test_the_users_of_the_bus_are_of_the_environment(tmp_path: Path, environment: AppEnv) -> None:
    secrets(tmp_path, environment, "genonaut")
    made = files(tmp_path)
    assert made["content/nats_url"].startswith(f"nats://{environment}-content:")
    assert f"{environment.upper()} {{" in made["nats/accounts.conf"]
