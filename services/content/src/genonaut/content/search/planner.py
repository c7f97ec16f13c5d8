"""Which way a search goes: by segments, by the array index from its rarest tag, or by looking at every row.

All ways find the same. A way is chosen for its speed alone, and a knob can take each of them away.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import Any, Self

import structlog
from prometheus_client import Histogram
from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, PrivateAttr, model_validator

from genonaut.platform.metrics import REGISTRY

log = structlog.get_logger()

SECONDS = Histogram(
    "content_search_seconds",
    "Time to find what a search is for, by the way it went.",
    ["strategy"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 15),
    registry=REGISTRY,
)


class Strategy(StrEnum):
    SEGMENTS = "segments"
    ARRAY_GIN = "array_gin"
    """The rows that the array index gives for the rarest tag, each looked at."""
    RECENT_SCAN = "recent_scan"
    """Every row, the newest first, looked at: what is left when the others may not be used."""


class Telemetry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    log_strategy_choice: bool = True
    log_estimates: bool = True
    sample_rate: float = Field(default=0.1, ge=0, le=1, description="Of searches that are logged.")


RETIRED = {
    *("enable_self_join", "enable_group_having", "enable_two_phase"),
    *("small_k_threshold", "group_having_rarest_ceiling", "seed_candidate_cap", "max_work_mem_mb"),
    *("two_phase_min_k_for_dual_seed", "two_phase_dual_seed_floor"),
    *("stats.source", "stats.table_name", "stats.freshness_seconds", "stats.fallback_default_count"),
}
"""Knobs of the older planner. Their numbers are about other ways, so none is taken for one of ours."""


class Knobs(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    enable_segments: bool = True
    enable_array_gin: bool = True
    array_gin_rarest_ceiling: int = Field(
        default=50, ge=0, description="So many items with the rarest tag are looked at one by one rather than by bits."
    )
    telemetry: Telemetry = Telemetry()

    _retired: list[str] = PrivateAttr(default_factory=list)

    @property
    def retired(self) -> list[str]:
        """What was given and does nothing any more."""
        return self._retired

    @model_validator(mode="wrap")
    @classmethod
    def _without_retired(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, dict):
            return validate(given)
        named = _with_stats_by_name(given)
        knobs = validate({name: value for name, value in named.items() if name not in RETIRED})
        knobs._retired = sorted(RETIRED & named.keys())  # noqa: SLF001 - its own
        return knobs


def _with_stats_by_name(given: dict[str, Any]) -> dict[str, Any]:
    """With `stats.source` and the like in the place of `stats`, so that an error names the one that nobody knows."""
    if not isinstance(given.get("stats"), dict):
        return given
    rest = {name: value for name, value in given.items() if name != "stats"}
    return rest | {f"stats.{name}": value for name, value in given["stats"].items()}


def tell_retired(knobs: Knobs) -> None:
    """Warns of knobs that do nothing any more, if there are any."""
    if knobs.retired:
        log.warning("search.knobs_retired", knobs=knobs.retired, see="docs/decisions/0025-items-are-found-by-bits.md")


@dataclass(frozen=True)
class Plan:
    strategy: Strategy
    k: int
    """Tags that are asked for."""
    rarest_count: int | None = None
    """Public items with the rarest of those that all have to be there; None when no tag has to."""
    estimate: int | None = None
    """Public items to be expected, if tags knew nothing of each other; None without tags."""


def plan(
    groups: Sequence[Collection[int]], counts: Mapping[int, int], *, every: bool, total: int, knobs: Knobs
) -> Plan:
    """For each tag that is asked for, `groups` has the keys that satisfy it, and `counts` on how many items each is.

    `every` says that all of them have to be there rather than any; `total` is how many items there are, about.
    """
    sizes = [sum(counts.get(key, 0) for key in group) for group in groups]
    rarest = (min(sizes) if every else sum(sizes)) if sizes else None
    estimate = None
    if rarest is not None:
        shares = [min(1.0, size / max(1, total)) for size in sizes]
        estimate = round(total * prod(shares)) if every else min(total, rarest)
    if rarest is not None and knobs.enable_array_gin and rarest <= knobs.array_gin_rarest_ceiling:
        strategy = Strategy.ARRAY_GIN
    elif knobs.enable_segments:
        strategy = Strategy.SEGMENTS
    else:
        strategy = Strategy.ARRAY_GIN if sizes and knobs.enable_array_gin else Strategy.RECENT_SCAN
    return Plan(strategy, len(groups), rarest, estimate)


def tell(plan: Plan, *, found: int, seconds: float, telemetry: Telemetry) -> None:
    """Counts the search, and logs one in so many."""
    SECONDS.labels(strategy=plan.strategy).observe(seconds)
    if not telemetry.log_strategy_choice or random.random() >= telemetry.sample_rate:  # noqa: S311 - a sample
        return
    estimates = {"rarest_count": plan.rarest_count, "estimate": plan.estimate} if telemetry.log_estimates else {}
    log.info("search.planned", strategy=plan.strategy, k=plan.k, found=found, ms=round(seconds * 1000, 3), **estimates)
