"""What the documentation names is there: files, make targets, commands, modules of the platform."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("libs/*/README.md"))]
EVERYTHING = "\n".join(page.read_text() for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!\w+://)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_make_targets_exist() -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z][a-z-]*)", EVERYTHING, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_commands_exist() -> None:
    named = set(re.findall(r"(?:`|^|/| )genonaut ([a-z][a-z-]*)", EVERYTHING, re.MULTILINE))
    assert {"up", "replay"} <= named <= {entry.name for entry in entry_points(group="genonaut.commands")}


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs/decisions"
    listed = re.findall(r"\]\((\d{4}-[^)]+)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_every_folder_of_tests_is_named() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    (named,) = re.findall(r"^tests/ +what spans services: (.+)$", page, re.MULTILINE)
    folders = {path.parent.name for path in ROOT.glob("tests/*/*.py")}
    assert set(named.split(", ")) == folders
