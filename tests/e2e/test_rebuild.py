"""After everything the other tests did to the platform: what is shown equals what happened."""

import json

from genonaut.testkit.waiting import wait_until

BY = {"algorithm_version": "by-hand@1"}


def do_what_nobody_else_did(stack, user: str) -> None:
    """So that no projection is equal because it is empty."""
    tag = stack.api.post("/api/v1/tags", json={"slug": "sea"}).json()["id"]
    item = stack.api.get("/api/v1/content", params={"tag": "sea"}).json()["items"][0]["id"]
    mine = {"user_id": user}
    for path, asked in (
        (f"/tags/{tag}/rate", {"params": {**mine, "rating": 4.5}}),
        (f"/tags/{tag}/aliases", {"json": {"alias": "ocean"}}),
        ("/interactions", {"json": {**mine, "content_item_id": item, "interaction_type": "like"}}),
        ("/recommendations", {"json": {**mine, "content_item_id": item, "recommendation_score": 0.5, **BY}}),
    ):
        answer = stack.api.post(f"/api/v1{path}", **asked)
        assert answer.status_code in {200, 201}, answer.text


def test_every_projection_rebuilt_from_history_equals_the_live_tables(stack) -> None:
    user = stack.user()
    stack.published(stack.submit(user, tags=["sea"]))
    do_what_nobody_else_did(stack, user)

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
    assert [report["projection"] for report in found if report["events"] == 0] == []


def test_what_acts_is_not_replayed(stack) -> None:
    ran = stack.genonaut("replay", "rebuild", "content.content-jobs")

    assert ran.returncode == 2
    assert "not a projection" in ran.stdout


def test_the_list_says_what_can_be_rebuilt(stack) -> None:
    ran = stack.genonaut("replay", "list")

    assert ran.returncode == 0
    assert "never: it acts" in ran.stdout
    assert "event log" in ran.stdout
