"""Knowing one service is knowing all: the same files at the top, and names that say what is inside."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ["analytics", "content", "gateway", "generation", "notifications"]
LIBRARIES = ["comfyui-simulator", "contracts", "platform", "stack", "testkit"]

TOP_FILES = {"__init__.py", "__main__.py", "commands.py", "service.py", "settings.py"}
"""What every service has beside its features and migrations."""


def package(service: str) -> Path:
    return ROOT / "services" / service / "src" / "genonaut" / service


def test_the_members_are_the_known_ones() -> None:
    assert sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml")) == SERVICES
    assert sorted(path.parent.name for path in ROOT.glob("libs/*/pyproject.toml")) == LIBRARIES


def test_genonaut_is_a_namespace_in_every_member() -> None:
    """An __init__.py there hides the other members from the import system, while type checkers still find them."""
    assert list(ROOT.glob("*/*/src/genonaut/__init__.py")) == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_top(service: str) -> None:
    assert {path.name for path in package(service).iterdir()} >= TOP_FILES


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_says_what_it_owns_states_and_reads(service: str) -> None:
    docstring = (package(service) / "__init__.py").read_text()
    assert docstring.startswith('"""')
    assert len(docstring.splitlines()) >= 5, f"{service}/__init__.py says too little"


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = re.compile(r"(^|_)(utils?|helpers?|managers?|base|common|misc)($|_)")
    named = [path for path in ROOT.glob("*/*/src/**/*.py") if empty.search(path.stem)]
    assert named == []


def test_files_stay_readable() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in [*ROOT.glob("libs/*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
        if (lines := len(path.read_text().splitlines())) > 450
    }
    assert long == {}


def test_nothing_committed_names_a_package_index_or_a_lock_that_does() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "uv.lock" in (ROOT / ".gitignore").read_text().split()


@pytest.mark.parametrize(
    "member", [*(f"services/{name}" for name in SERVICES), *(f"libs/{name}" for name in LIBRARIES)]
)
def test_every_member_is_typed_and_tested(member: str) -> None:
    folder = ROOT / member
    assert list(folder.glob("src/genonaut/*/py.typed"))
    assert list(folder.glob("tests/**/test_*.py")), f"{member} has no tests"
