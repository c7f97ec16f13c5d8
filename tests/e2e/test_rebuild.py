"""After everything the other tests did to the platform: what is shown equals what happened."""

import json

from genonaut.testkit.waiting import wait_until


def test_every_projection_rebuilt_from_history_equals_the_live_tables(stack) -> None:
    stack.published(stack.submit(stack.user(), tags=["sea"]))

    def reports() -> list[dict]:
        ran = stack.genonaut("replay", "rebuild", "--all", "--json")
        found = json.loads(ran.stdout)
        return found if all(report["behind"] == 0 for report in found) else []

    found = wait_until(reports, within=60)

    assert {report["projection"].split(".")[0] for report in found} == {
        "analytics",
        "content",
        "generation",
        "notifications",
    }
    assert [report for report in found if not report["equal"]] == []
    assert all(report["events"] > 0 for report in found)


def test_what_acts_is_not_replayed(stack) -> None:
    ran = stack.genonaut("replay", "rebuild", "content.content-jobs")

    assert ran.returncode == 2
    assert "not a projection" in ran.stdout


def test_the_list_says_what_can_be_rebuilt(stack) -> None:
    ran = stack.genonaut("replay", "list")

    assert ran.returncode == 0
    assert "never: it acts" in ran.stdout
    assert "event log" in ran.stdout
