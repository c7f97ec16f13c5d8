"""What interactions add up to is read by indexes, however many there are: of everybody, of one person, of one item."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from genonaut.content.interactions.counting import EVERYONE
from genonaut.testkit.reads import reads

TABLE = re.compile(r"\b(user_interactions|interaction_[a-z_]+|item_popularity)\b")
ABOUT = re.compile(r"/interactions\b|/analytics$|/stats$")
"""Routes that read them. What recommendations add up to is elsewhere."""

# So many that a scan would be cheaper than nothing but an index that fits: people and items have 30 rows each.
MANY = [
    """
    INSERT INTO user_interactions
    SELECT -n, md5('user' || n % 1000)::uuid, n % 1001 + 1000, (ARRAY['view', 'like', 'rate', 'share'])[n % 4 + 1],
        CASE n % 4 WHEN 2 THEN n % 5 + 1 END, CASE n % 3 WHEN 0 THEN n % 60 END, '{}',
        CASE n % 10 WHEN 0 THEN md5('user' || n % 997)::uuid ELSE CAST(:everyone AS uuid) END,
        now() - n * interval '1 minute', now()
    FROM generate_series(1, 30000) n
    """,
    """
    INSERT INTO interaction_user_counts
    SELECT md5('user' || n % 1000)::uuid, (ARRAY['day', 'type', 'hour'])[n % 3 + 1], n::text, 1, 2
    FROM generate_series(1, 30000) n
    """,
    """
    INSERT INTO interaction_item_counts
    SELECT n % 1000 + 1000, (ARRAY['day', 'type', 'users'])[n % 3 + 1], n::text, 1 FROM generate_series(1, 30000) n
    """,
    """
    INSERT INTO interaction_totals
    SELECT md5('user' || n % 1000)::uuid, (ARRAY['day', 'type', 'rating'])[n % 3 + 1], n::text, 0, 1
    FROM generate_series(1, 30000) n
    """,
    (
        "INSERT INTO interaction_items SELECT -n, gen_random_uuid(), 'items/image', CAST(:everyone AS uuid)"
        " FROM generate_series(1, 30000) n"
    ),
    "INSERT INTO interaction_pairs SELECT md5('user' || n % 1000)::uuid, n, 1, 2 FROM generate_series(1, 30000) n",
    (
        "INSERT INTO interaction_creators SELECT md5('user' || n % 1000)::uuid, gen_random_uuid(), 1, 2"
        " FROM generate_series(1, 30000) n"
    ),
    "INSERT INTO item_popularity SELECT -n, n FROM generate_series(1, 30000) n",
    "ANALYZE",
]


@contextmanager
def told(gallery: Any) -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """The statements that the service sends meanwhile, with their parameters."""
    engine, statements = gallery.runtime.database.engine.sync_engine, list[tuple[str, tuple[Any, ...]]]()

    def keep(_: Any, __: Any, statement: str, parameters: tuple[Any, ...], *___: Any) -> None:
        statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", keep)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", keep)


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The steps that read a table of interactions, or an index of one."""
    if TABLE.fullmatch(plan.get("Relation Name", "")):
        yield plan
    for each in plan.get("Plans", ()):
        yield from scans(each)


async def plan_of(gallery: Any, statement: str, parameters: tuple[Any, ...]) -> dict[str, Any]:
    async with gallery.runtime.database.driver() as connection:
        (answer,) = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *parameters)
    plan: dict[str, Any] = answer["Plan"]
    return plan


@pytest.fixture
async def busy(still_gallery: Any) -> Any:
    """Where one of two people has an item that is theirs alone, in a town that did much."""
    still_gallery.users = [await still_gallery.user() for _ in range(2)]
    still_gallery.items = [await still_gallery.item(still_gallery.users[0], is_private=private) for private in (0, 1)]
    for item in still_gallery.items:
        body = {"user_id": still_gallery.users[0], "content_item_id": item["id"], "interaction_type": "rate"}
        await still_gallery.post("/interactions", {**body, "rating": 3})
    async with still_gallery.platform.database("content", as_owner=True) as owner, owner.transaction() as connection:
        for statement in MANY:
            await connection.execute(text(statement), {"everyone": EVERYONE} if ":everyone" in statement else {})
    return still_gallery


async def test_what_interactions_add_up_to_is_read_by_indexes(busy: Any) -> None:
    document = (await busy.client.get("/openapi.json")).json()
    document["paths"] = {route: each for route, each in document["paths"].items() if ABOUT.search(route)}
    users, items = busy.users, [item["id"] for item in busy.items]
    known = {
        "/api/v1/users/*:id": users,
        "/api/v1/interactions/{id}:id": [1],
        **dict.fromkeys(("user_id", "creator_id"), users),
        **dict.fromkeys(("id", "content_id"), items),
        "interaction_type": ["rate", "share"],
    }
    seen, wrong = set[str](), []
    for viewer in users:
        for each in reads(document, known, always={"user_id": viewer}, varied=False):
            with told(busy) as statements:
                answer = await busy.client.get(each.path, params=each.query)
            assert answer.status_code in {200, 404}, (each, answer.text)
            for statement, parameters in statements:
                if not TABLE.search(statement):
                    continue
                seen.update(TABLE.findall(statement))
                steps = scans(await plan_of(busy, statement, parameters))
                # An index that is read from one end to the other is a scan by another name.
                whole = [step["Node Type"] for step in steps if not {"Index Cond", "Recheck Cond"} & step.keys()]
                wrong += [(each.route, step, statement) for step in whole]
    assert wrong == []
    assert seen >= {
        *("user_interactions", "interaction_items", "interaction_pairs", "interaction_creators"),
        *("interaction_user_counts", "interaction_item_counts", "interaction_totals"),
    }
