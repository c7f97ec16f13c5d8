"""docs/adding-a-feature.md works: its code is taken from the page, put where the page says, and run on real servers."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from genonaut.contracts import EVENTS
from genonaut.platform.provisioning import ensure_durable
from genonaut.platform.replay import Rebuild
from genonaut.platform.service_cli import load_service
from genonaut.testkit.waiting import eventually

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-feature.md"
BLOCK = re.compile(r"```(?P<language>python|sql)\n(?:#|--) (?P<path>\S+)[^\n]*\n(?P<code>.*?)```", re.DOTALL)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The SQL of the page by service; its modules are importable as if they had been added to the tree."""
    events, modules = dict(EVENTS), set(sys.modules)
    members = {name: import_module(f"genonaut.{name}") for name in ("contracts", "content", "analytics")}
    paths = {name: list(module.__path__) for name, module in members.items()}
    sql: dict[str, str] = {}
    for found in BLOCK.finditer(PAGE.read_text()):
        if found["language"] == "sql":
            sql[found["path"].split("/")[1]] = found["code"]
            continue
        path = tmp_path / found["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found["code"])
    for name, module in members.items():
        module.__path__.extend(str(folder) for folder in tmp_path.glob(f"*/*/src/genonaut/{name}"))
    yield sql
    for name, module in members.items():
        module.__path__[:] = paths[name]
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    EVENTS.clear()
    EVENTS.update(events)


async def test_the_worked_example_works(platform, page: dict[str, str]) -> None:
    api = import_module("genonaut.content.shelves.api")
    shelves = import_module("genonaut.content.shelves.projection").shelves_projection
    following = import_module("genonaut.analytics.shelves.projection")
    for service, statement in page.items():
        async with platform.database(service, as_owner=True) as owner, owner.transaction() as connection:
            await connection.execute(text(statement))
    await ensure_durable(platform.bus.jetstream, following.popularity_projection.source)

    content = load_service("content")
    content = replace(content, routers=[*content.routers, api.router], projections=[*content.projections, shelves])
    analytics = load_service("analytics")
    analytics = replace(
        analytics,
        projections=[*analytics.projections, following.popularity_projection],
        consumers=[*analytics.consumers, following.consumer],
    )
    ada, grace = uuid4(), uuid4()
    # As who may do everything: the bus has been started without this durable, and so without analytics' right to it.
    async with platform.running(content) as running, platform.running(analytics, nats_url=platform.nats_url):
        for user, item in [(ada, 7), (ada, 9), (ada, 7), (grace, 7)]:
            answer = await running.client.put(f"/api/v1/users/{user}/shelf/{item}")
            assert answer.json() == {"success": True}, answer.text
        assert (await running.client.get(f"/api/v1/users/{ada}/shelf")).json() == [7, 9]

        async def followed() -> bool:
            async with platform.database("analytics") as database, database.reading() as connection:
                rows = await connection.execute(text("SELECT item_id, times FROM shelved_items ORDER BY 1"))
                return [tuple(row) for row in rows] == [(7, 2), (9, 1)]

        await eventually(followed, reason="analytics did not follow")
        for service, projection in (("content", shelves), ("analytics", following.popularity_projection)):
            async with platform.database(service, as_owner=True) as owner:
                rebuild = Rebuild(projection, service=service, database=owner, bus=platform.bus)
                report = await rebuild.run(swap=False, progress=lambda done, total: None)
            assert report.equal, report.tables
            assert report.tables[0].live_rows == report.tables[0].rebuilt_rows > 0


def test_the_test_of_the_example_passes(page: dict[str, str], tmp_path: Path) -> None:
    (path,) = tmp_path.glob("services/content/tests/unit/*.py")
    namespace: dict[str, object] = {}

    exec(compile(path.read_text(), str(path), "exec"), namespace)  # noqa: S102 - the page's own code

    tests = [value for name, value in namespace.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()  # type: ignore[operator]


def test_the_example_is_in_the_house_format(page: dict[str, str], tmp_path: Path) -> None:
    import subprocess

    config = str(PAGE.parents[1] / "pyproject.toml")
    for command in (["check", "--ignore", "INP001,S101"], ["format", "--check"]):
        ran = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--config", config, "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout
