"""Knowing one service is knowing all: the same files at the top, and names that say what is inside."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ["analytics", "content", "gateway", "generation", "notifications"]
LIBRARIES = ["comfyui-simulator", "contracts", "platform", "stack", "testkit"]

TOP_FILES = {"__init__.py", "__main__.py", "commands.py", "py.typed", "service.py", "settings.py"}
"""The files of every service beside its folders."""

MORE_TOP_FILES = {
    # What browsers are told, who talk to no other service; and what is running, which is no database and event store.
    "gateway": {"edge.py", "runtime.py"},
    # The second kind of process, wired as service.py wires the first.
    "generation": {"driver.py"},
}

ROLES = {"api", "schemas", "consumers", "domain", "commands", "projection", "queries", "tables"}
"""What a module of a feature is called, and so what is in it; docs/architecture.md says it in words."""

OWN_WORDS = {
    # Arithmetic that features share, and how rows of any of them get into tables.
    "analytics/rollups": {"histogram", "hours", "upserts"},
    # What makes a password's hash is neither a decision nor SQL: it takes a core and its time, so it has threads.
    "content/credentials": {"hashing"},
    # Beside the roles, a loop that no request sets going.
    "content/items": {"implications"},
    # An index of its own: what items are found by, where their bits are, how those are read and written, and what a
    # list depends on.
    "content/search": {
        *("arrays", "checks", "folding", "guards", "keys", "matches", "planner", "quality", "segments", "terms"),
        *("upkeep", "words"),
    },
    # Bodies that are kept until they are old, and a loop that makes them anew.
    "content/unified": {"pages", "warming"},
    # Where images are and for whom; what is made of them when it is asked for; and a loop that no request sets going.
    "content/images": {"addresses", "renditions", "sweep"},
    # Which counters there are and what moves them: arithmetic that recording, changing and showing rest on.
    "content/interactions": {"counting"},
    # The same, for what is counted of recommendations.
    "content/recommendations": {"counting"},
    # One file for each way to judge, the list of them, and how well they do on what people did, by the log.
    "content/recommenders": {"algorithms", "blend", "evaluation", "log", "popular"},
    # The gateway has no log and no tables: its folders are mechanisms that requests pass through.
    "gateway/live": {"channel", "feed", "joblog", "messages", "socket", "stream"},
    "gateway/routing": {"bodies", "departures", "forwarding", "headers", "services", "table"},
    "gateway/system": {"documents", "health", "merging"},
    "gateway/traffic": {"capture", "facts"},
    # A client of somebody else's protocol, in that protocol's words.
    "generation/comfyui": {"canary", "client", "failures", "feed", "progress", "run", "verdict", "workflow"},
    # A feature, and the one loop of a service that no request and no event sets going.
    "generation/jobs": {"orphans"},
    # The driver: a process that takes work from a queue and stays with it, instead of answering or following.
    "generation/workers": {"assignments", "cancellations", "drive", "leases", "registry", "servers", "worker"},
}
"""The modules beside roles of folders that are more, or something else, than a feature. A new word is a decision: it
goes here with its reason."""


def package(service: str) -> Path:
    return ROOT / "services" / service / "src" / "genonaut" / service


def modules(folder: Path) -> set[str]:
    """Everything in a folder but its __init__; what is no module, or lies deeper, by its whole name."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {str(path).removesuffix(".py") for path in files if "__pycache__" not in path.parts} - {"__init__"}


def folders() -> dict[str, Path]:
    """The folders of all services, as service/folder. One that only Python's cache has kept is none."""
    inside = {f"{service}/{path.name}": path for service in SERVICES for path in package(service).glob("[!_]*")}
    return {name: path for name, path in inside.items() if path.is_dir() and (modules(path) or list(path.glob("*.py")))}


def test_the_members_are_the_known_ones() -> None:
    assert sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml")) == SERVICES
    assert sorted(path.parent.name for path in ROOT.glob("libs/*/pyproject.toml")) == LIBRARIES


def test_genonaut_is_a_namespace_in_every_member() -> None:
    """An __init__.py there hides the other members from the import system, while type checkers still find them."""
    assert list(ROOT.glob("*/*/src/genonaut/__init__.py")) == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_top(service: str) -> None:
    files = {path.name for path in package(service).iterdir() if path.is_file()}
    assert files == TOP_FILES | MORE_TOP_FILES.get(service, set())


def test_a_module_is_called_by_its_role() -> None:
    others = {name: modules(path) - ROLES for name, path in folders().items() if path.name != "migrations"}
    assert {name: words for name, words in others.items() if words} == OWN_WORDS


def test_a_folder_of_migrations_has_nothing_else() -> None:
    for name, path in folders().items():
        if path.name == "migrations":
            assert [word for word in modules(path) if not re.fullmatch(r"\d{4}_\w+", word)] == [], name


def test_every_folder_says_what_it_is() -> None:
    for name, path in folders().items():
        assert (path / "__init__.py").read_text().startswith('"""'), name


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
    tests = {path.relative_to(folder / "tests") for path in folder.glob("tests/**/test_*.py")}
    assert tests, f"{member} has no tests"
    unsorted = {str(path) for path in tests if path.parts[0] not in {"unit", "integration"}}
    assert unsorted == set(), "`make unit` and `make integration` do not find them"
