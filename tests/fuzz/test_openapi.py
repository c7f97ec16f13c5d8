"""Whatever is asked, nothing is our fault: every answer is the one that the document describes, and tells no internals.

`make fuzz EXAMPLES=100` thinks of more requests than `make test` does.
"""

import io
import re
from collections.abc import Callable, Sequence
from itertools import count, pairwise
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import httpx
import pytest
from PIL import Image

from genonaut.platform.provisioning import SERVICES
from genonaut.testkit.fuzzing import Fuzz, Known

CRASH = re.compile("http.crashed|Traceback|Fatal error|service.task_died")
PARKED = '"consumer.dead_letter"'
"""Is logged with the reason, and meant: see test_bus."""
BAD_REQUEST = 400
PNG = {"Content-Type": "image/png"}

pytestmark = pytest.mark.timeout(0)


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def known(stack) -> Known:
    """What is there, by the names of the parameters that name it."""
    users = [stack.user(), stack.user()]
    jobs = [stack.submit(users[0], tags=["lighthouse"]), stack.submit(users[1])]
    for job in jobs:
        stack.published(job)
    items = [item_id for job in jobs for item_id, _ in stack.items(job)]
    image = stack.json("POST", "/api/v1/images", params={"user_id": users[0]}, content=png("white"), headers=PNG)[
        "sha256"
    ]
    wish = {"title": "A lighthouse", "content_type": "image", "prompt": "a lighthouse", "creator_id": users[0]}
    auto = stack.json("POST", "/api/v1/content-auto", json=wish | {"image": image})["id"]
    like = {"user_id": users[0], "content_item_id": items[0], "interaction_type": "like"}
    advice = {"user_id": users[0], "content_item_id": items[0], "recommendation_score": 0.5}
    advice["algorithm_version"] = "by-hand@1"

    def advise() -> int:
        return int(stack.json("POST", "/api/v1/recommendations", json=advice)["id"])

    recommendations = [advise(), advise()]
    tags = [tag["id"] for tag in stack.json("GET", "/api/v1/tags")["items"]]
    notifications = [each["id"] for user in users for each in stack.notifications(user)]
    assert items
    assert tags
    assert notifications

    numbers = count()

    def related(kind: str, field: str) -> Callable[[], str]:
        """Something new of the first tag, that can be taken away."""

        def add() -> str:
            word = f"fuzzed-{kind}-{next(numbers)}"
            stack.json("POST", f"/api/v1/tags/{tags[0]}/{kind}", json={field: [word] if field == kind else word})
            return word if kind == "aliases" else str(uuid5(NAMESPACE_DNS, word))

        return add

    def job_to_cancel() -> int:
        return int(stack.submit(users[0], sampler_params={"steps": 100}))

    by_name: dict[str, Sequence[Any] | Callable[[], Any]] = {
        "user_id": users,
        "recommendation_ids": [recommendations],
        "algorithm": ["by-hand@1"],
        "/api/v1/content/{id}:id": lambda: stack.json("POST", "/api/v1/content", json=wish)["id"],
        "/api/v1/content-auto/{id}:id": lambda: stack.json("POST", "/api/v1/content-auto", json=wish)["id"],
        "/api/v1/interactions/{id}:id": lambda: stack.json("POST", "/api/v1/interactions", json=like)["id"],
        "/api/v1/recommendations/{id}:id": advise,
        "/api/v1/recommendations/{id}/feedback:id": advise,
        "POST /api/v1/interactions": [like],
        "POST /api/v1/interactions/bulk": [[like]],
        "POST /api/v1/recommendations/bulk": [[advice]],
        "creator_id": users,
        "content_id": items,
        "content_item_id": items,
        "content_ids": [items, items[:1]],
        "job_id": jobs,
        "job_ids": [",".join(map(str, jobs))],
        "tag_id": tags,
        "tag_ids": [tags],
        "tag_name": ["lighthouse"],
        "q": ["l", "lighthuose"],
        "rating": [4.5, 1],
        "parent_id": related("parents", "parents"),
        "/api/v1/tags/{tag_id}/aliases/{alias}:alias": related("aliases", "alias"),
        "implied_id": related("implications", "implied"),
        "image": [image],
        "sha256": [image],
        "route": ["/api/v1/generation-jobs"],
        "/api/v1/generation-jobs/{id}/cancel:id": job_to_cancel,
        # Those of whom everything is asked stay active.
        "/api/v1/users/{id}:id": stack.user,
        "/api/v1/users/{id}/status:id": stack.user,
        "POST /api/v1/generation-jobs/{id}/cancel": [{"reason": "It takes too long."}],
        "POST /api/v1/images": [png("black")],
    }
    by_path = {
        "users": users,
        "content": items,
        "content-auto": [auto],
        "interactions": [stack.json("POST", "/api/v1/interactions", json=like)["id"]],
        "recommendations": recommendations,
        "tags": tags,
        "generation-jobs": jobs,
        "notifications": notifications,
    }
    document = stack.json("GET", "/openapi.json")
    for path in document["paths"]:
        parts = path.split("/")
        for before, part in pairwise(parts):
            if part.startswith("{") and before in by_path:
                by_name.setdefault(f"{path}:{part[1:-1]}", by_path[before])
    return by_name


def assert_sound(fuzz: Fuzz, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{fuzz.answered.total()} requests, answered {dict(sorted(fuzz.answered.items()))}")
    report = "\n\n".join(f"{operation}\n{wrong}" for operation, wrong in fuzz.wrong.items())
    assert not fuzz.wrong, f"{len(fuzz.wrong)} operations:\n\n{report}"
    assert [operation for operation, answers in fuzz.answers.items() if not answers] == []
    assert {200, 422} <= fuzz.answered.keys(), "it did not get past the door"


def test_the_gateway(stack, known, examples, capsys) -> None:
    document = stack.json("GET", "/openapi.json")
    assert document["x-genonaut-missing"] == []
    fuzz = Fuzz(document, str(stack.api.base_url), examples=examples, known=known)
    fuzz.run()
    assert_sound(fuzz, capsys)
    assert len(fuzz.answers) == sum(len(methods) for methods in document["paths"].values())
    refused = {operation: answers for operation, answers in fuzz.answers.items() if min(answers) >= BAD_REQUEST}
    assert not refused, "never accepted: nothing behind the door was tried"


@pytest.mark.parametrize("service", SERVICES)
def test_each_service(stack, known, examples, service, capsys) -> None:
    """Internal paths, too."""
    url = stack.setting("gateway", f"{service.upper()}_URL")
    fuzz = Fuzz(httpx.get(f"{url}/openapi.json").json(), url, examples=examples, known=known)
    fuzz.run()
    assert_sound(fuzz, capsys)


def test_what_was_accepted_is_handled_by_all_who_follow(stack, known) -> None:
    """The last one: strings of all kinds have become events meanwhile."""
    stack.settle()
    for service in SERVICES:
        assert stack.sql(service, "SELECT consumer, error FROM dead_letters") == []
    stack.wait_until_whole()
    logs = [path.read_text() for path in (stack.local.state / "logs").glob("*.log")]
    assert logs
    crashes = [line for log in logs for line in log.splitlines() if CRASH.search(line) and PARKED not in line]
    assert crashes == []
