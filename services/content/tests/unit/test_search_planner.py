"""Which way a search goes, by how many tags it has, how rare they are, and what is allowed."""

import pytest

from genonaut.content.search.planner import Knobs, Plan, Strategy, plan

COUNTS = {1: 870_885, 2: 400_000, 3: 3_000, 4: 50, 5: 7}
TOTAL = 1_175_205


def planned(*groups: list[int], every: bool = True, **knobs: bool | int) -> Plan:
    return plan(groups, COUNTS, every=every, total=TOTAL, knobs=Knobs.model_validate(knobs))


@pytest.mark.parametrize(
    ("groups", "every", "strategy", "rarest", "estimate"),
    [
        ([], True, Strategy.SEGMENTS, None, None),
        ([[1]], True, Strategy.SEGMENTS, 870_885, 870_885),
        ([[1], [2]], True, Strategy.SEGMENTS, 400_000, 296_420),
        ([[1], [2], [3]], True, Strategy.SEGMENTS, 3_000, 757),
        ([[1], [4]], True, Strategy.ARRAY_GIN, 50, 37),
        ([[1], [4]], False, Strategy.SEGMENTS, 870_935, 870_935),
        ([[4], [5]], False, Strategy.SEGMENTS, 57, 57),
        ([[5]], False, Strategy.ARRAY_GIN, 7, 7),
        ([[1], [99]], True, Strategy.ARRAY_GIN, 0, 0),
        ([[1], []], True, Strategy.ARRAY_GIN, 0, 0),
        ([[3, 4, 5], [1]], True, Strategy.SEGMENTS, 3_057, 2_265),
    ],
)
def test_by_how_rare_the_rarest_tag_is(
    groups: list[list[int]], every: bool, strategy: Strategy, rarest: int | None, estimate: int | None
) -> None:
    assert planned(*groups, every=every) == Plan(strategy, len(groups), rarest, estimate)


def test_knobs_take_ways_away() -> None:
    assert planned([1], [4], enable_array_gin=False).strategy is Strategy.SEGMENTS
    assert planned([1], [4], array_gin_rarest_ceiling=49).strategy is Strategy.SEGMENTS
    assert planned([1], [2], enable_segments=False).strategy is Strategy.ARRAY_GIN
    assert planned([1], enable_segments=False, enable_array_gin=False).strategy is Strategy.RECENT_SCAN
    assert planned(enable_segments=False).strategy is Strategy.RECENT_SCAN


def test_more_tags_than_items_are_no_more_than_all_items() -> None:
    assert planned([1], [2], every=False).estimate == TOTAL
