"""Backed up, lost, restored: what is shown equals what had happened, and life goes on from there."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from genonaut.platform.provisioning import SERVICES
from genonaut.stack.databases.place import open_place
from genonaut.testkit.stacks import Stack, running_stack
from genonaut.testkit.waiting import wait_until


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A platform of its own, to be destroyed."""
    with running_stack(tmp_path_factory.mktemp("backup")) as stack:
        yield stack


@pytest.fixture(autouse=True)
def _sound_simulators() -> None:
    """Those of the other tests are none of ours."""


def digests(stack: Stack) -> dict[str, str]:
    """Of the rows of every table but those that only say what is on its way."""
    found = {}
    for service in SERVICES:
        names = [
            row[0] for row in stack.sql(service, f"SELECT tablename FROM pg_tables WHERE schemaname = '{service}'")
        ]
        for name in names:
            if name not in {"outbox", "driven_servers", "route_analytics", "verifications"} and "hourly" not in name:
                rows = stack.sql(service, f"SELECT t::text FROM {name} t ORDER BY 1")
                found[f"{service}.{name}"] = hashlib.sha256(repr(rows).encode()).hexdigest()
    return found


def test_a_lost_platform_comes_back(lost: Stack, tmp_path: Path) -> None:
    person = lost.user()
    jobs = [lost.submit(person, tags=["sea"]) for _ in range(2)]
    content = [lost.published(job)["content_id"] for job in jobs]
    wait_until(lambda: len(lost.notifications(person)) == 2)
    lost.settle()
    before = digests(lost)

    made = lost.genonaut("db", "backup", str(tmp_path / "backup"), "--env", "test")
    assert made.returncode == 0, made.stderr
    shutil.copytree(lost.local.state / "objects", tmp_path / "objects")

    # What happens now is not in the backup, but on the bus, which survives.
    late_person = lost.user()
    late = lost.submit(late_person)
    late_content = lost.published(late)["content_id"]
    lost.settle()

    lost.local.down()
    shutil.rmtree((lost.local.state / "postgres").resolve())
    (lost.local.state / "postgres").unlink(missing_ok=True)
    shutil.rmtree(lost.local.state / "objects")

    shutil.copytree(tmp_path / "objects", lost.local.state / "objects")
    restored = lost.genonaut("db", "restore", str(tmp_path / "backup"), "--env", "test")
    assert restored.returncode == 0, restored.stderr
    assert "wait to be published again" in restored.stdout

    lost.local.up("test")
    lost.wait_until_whole()
    lost.settle()
    after = digests(lost)
    assert {name for name in before if before[name] != after.get(name)} == set()

    for number in content:
        item = lost.json("GET", f"/api/v1/content/{number}")
        image = lost.api.get(f"/api/v1/images/{item['image']['sha256']}")
        assert image.status_code == 200
    assert lost.api.get(f"/api/v1/content/{late_content}").status_code == 404
    assert lost.api.get(f"/api/v1/generation-jobs/{late}").status_code == 404
    assert lost.sql("notifications", f"SELECT 1 FROM recipients WHERE user_id = '{late_person}'") == []
    assert lost.sql("generation", f"SELECT 1 FROM known_users WHERE user_id = '{late_person}'") == []

    _assert_everything_is_proved(lost)

    # The number that was lost is given again, and means what it means now.
    again = lost.submit(person)
    assert again == late
    assert lost.published(again)["content_id"] == late_content
    wait_until(lambda: len(lost.notifications(person)) == 3)


def _assert_everything_is_proved(stack: Stack) -> None:
    def reports() -> list[dict]:
        ran = stack.genonaut("replay", "rebuild", "--all", "--json")
        found = json.loads(ran.stdout)
        return found if all(report["behind"] == 0 for report in found) else []

    found = wait_until(reports, within=60)
    assert [report["projection"] for report in found if not report["equal"]] == []
    assert len(found) >= 9
    for service in SERVICES:
        told = stack.genonaut(service, "doctor", "--json")
        findings = json.loads(told.stdout)["findings"]
        assert [each for each in findings if each["level"] == "bad"] == []
        assert [each["level"] for each in findings if each["about"] == "projections"] == ["ok"]


def test_the_place_of_a_running_stack_is_its_servers(lost: Stack) -> None:
    with open_place("test", lost.local) as place:
        assert place.database == "genonaut_test"
        assert place.owner_url.endswith(lost.setting("content", "DATABASE_ADMIN_URL").rpartition("@")[2])
