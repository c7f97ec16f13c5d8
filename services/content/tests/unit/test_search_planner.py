"""Which way a search goes, by how many tags it has, how rare they are, and what is allowed."""

from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from genonaut.content.search.planner import Knobs, Plan, Strategy, Telemetry, plan, tell, tell_retired
from genonaut.platform.metrics import REGISTRY

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


OLDER: dict[str, Any] = {
    "small_k_threshold": 3,
    "group_having_rarest_ceiling": 50_000,
    "two_phase_min_k_for_dual_seed": 7,
    "two_phase_dual_seed_floor": 150_000,
    "seed_candidate_cap": 50_000,
    "max_work_mem_mb": 256,
    "enable_two_phase": True,
    "enable_group_having": True,
    "enable_self_join": True,
    "stats": {
        "source": "table",
        "table_name": "tag_cardinality_stats",
        "freshness_seconds": 3600,
        "fallback_default_count": 1_000_000,
    },
    "telemetry": {"log_strategy_choice": True, "log_estimates": True, "sample_rate": 0.1},
}
"""The section as the design of the older planner has it."""


def test_the_older_section_is_taken_changes_nothing_and_is_told_in_one_line() -> None:
    knobs = Knobs.model_validate({**OLDER, "array_gin_rarest_ceiling": 7})

    with capture_logs() as lines:
        tell_retired(knobs)

    assert knobs.model_dump() == {**Knobs().model_dump(), "array_gin_rarest_ceiling": 7}
    (line,) = lines
    assert (line["log_level"], line["event"]) == ("warning", "search.knobs_retired")
    stats = [f"stats.{name}" for name in OLDER["stats"]]
    assert line["knobs"] == sorted([*OLDER.keys() - {"stats", "telemetry"}, *stats])
    assert "0025" in line["see"]


def test_who_has_no_older_knobs_is_told_nothing() -> None:
    with capture_logs() as lines:
        tell_retired(Knobs(enable_array_gin=False))
    assert lines == []


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ({"small_k": 3}, "small_k"),
        ({"stats": {"source": "table", "colour": "red"}}, "stats.colour"),
        ({"stats": "table"}, "stats"),
        ({"telemetry": {"rate": 1}}, "rate"),
    ],
)
def test_what_nobody_knows_is_refused_by_its_name(section: dict[str, Any], name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Knobs.model_validate(OLDER | section)
    assert [error["loc"][-1] for error in refused.value.errors()] == [name]


PLANNED = Plan(Strategy.ARRAY_GIN, k=2, rarest_count=50, estimate=37)


def told(**telemetry: bool | float) -> list[Any]:
    """What is in the log after 20 searches."""
    with capture_logs() as lines:
        for _ in range(20):
            tell(PLANNED, found=31, seconds=0.0123456, telemetry=Telemetry.model_validate(telemetry))
    return lines


def test_a_line_says_how_a_search_went_what_was_expected_and_what_was_found() -> None:
    line = {
        "log_level": "info",
        "event": "search.planned",
        "strategy": "array_gin",
        "k": 2,
        "rarest_count": 50,
        "estimate": 37,
        "found": 31,
        "ms": 12.346,
    }
    assert told(sample_rate=1) == [line] * 20


def test_a_line_is_as_long_as_the_switches_say_and_as_frequent_as_the_rate() -> None:
    shown = {"log_level", "event", "strategy", "k", "found", "ms"}
    assert [line.keys() for line in told(sample_rate=1, log_estimates=False)] == [shown] * 20
    assert told(sample_rate=0) == []
    assert told(sample_rate=1, log_strategy_choice=False) == []


@pytest.mark.parametrize("telemetry", [{"sample_rate": 0}, {"sample_rate": 1}, {"log_strategy_choice": False}])
def test_every_search_is_counted_whether_it_is_logged_or_not(telemetry: dict[str, Any]) -> None:
    def counted(what: str) -> float:
        return REGISTRY.get_sample_value(f"content_search_seconds_{what}", {"strategy": "array_gin"}) or 0

    searches, seconds = counted("count"), counted("sum")
    told(**telemetry)
    assert counted("count") == searches + 20
    assert counted("sum") - seconds == pytest.approx(20 * 0.0123456)
