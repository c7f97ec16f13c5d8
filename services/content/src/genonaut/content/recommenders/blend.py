"""The algorithm `blend`: what similar people did things with, tags and creators the user likes, and what is popular.

Each of the four is scaled to what is best of its kind among the candidates, and weighs what WEIGHTS say. What is picked
is then spread: an item that is like those picked before it comes later.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

from genonaut.content.recommenders.domain import Candidate, Evidence, Neighbour, Pick, Seed, Speaks

Scores = Mapping[int, float]
"""By item, the best one 1."""


@dataclass(frozen=True)
class Weights:
    together: float = 0.2
    tags: float = 0.35
    creator: float = 0.2
    popular: float = 0.25


DAMPING = 0.5
"""The power of an item's users that its co-visits are divided by: 0 prefers what all know, 1 what nobody does."""
SMOOTHING = 5
"""As if so many more had done something with each item: one who did with a rare one proves little."""
SPREAD = 0.15
"""What being like an item that is picked already costs, at most."""
SPREAD_AMONG = 3
"""Times as many as are wanted are candidates for the picks."""
NAMED_SEEDS, NAMED_TAGS = 2, 3
"""How many reasons are named."""


@dataclass(frozen=True)
class Blend:
    name: str = "blend"
    version: str = "1"
    weights: Weights = Weights()

    def rank(self, evidence: Evidence, limit: int) -> list[Pick]:
        profile = evidence.profile
        parts = (
            (self.weights.together, co_visited(evidence)),
            (self.weights.tags, by_tags(evidence, profile)),
            (self.weights.creator, by_creator(evidence)),
            (self.weights.popular, popular(evidence)),
        )
        scores: dict[int, list[float]] = {
            item_id: [weight * part.get(item_id, 0.0) for weight, part in parts] for item_id in evidence.candidates
        }
        totals = {item_id: sum(each) for item_id, each in scores.items()}
        best = nlargest(limit * SPREAD_AMONG, totals, key=lambda item_id: (totals[item_id], item_id))
        chosen = spread(evidence, best, totals, limit)
        seeds = seeds_of(evidence, chosen)
        return [_pick(evidence.candidates[each], scores[each], seeds[each], profile) for each in chosen]


def co_visited(evidence: Evidence) -> Scores:
    """How much people who like the seeds like each item."""
    found: defaultdict[int, float] = defaultdict(float)
    for each in evidence.neighbours:
        share = _share(each) * sum(evidence.seeds[place].weight for place in each.seeds)
        for item_id, strength in zip(each.items, each.strengths, strict=True):
            found[item_id] += share * strength
    candidates = evidence.candidates
    return scaled(
        {
            item_id: score / (candidates[item_id].users + SMOOTHING) ** DAMPING
            for item_id, score in found.items()
            if item_id in candidates
        }
    )


def seeds_of(evidence: Evidence, chosen: Collection[int]) -> Mapping[int, list[Seed]]:
    """By item, the seeds that people who like it like, too: those first that bring the most of its score."""
    brought: dict[int, defaultdict[int, float]] = {item_id: defaultdict(float) for item_id in chosen}
    for each in evidence.neighbours:
        share = _share(each)
        for item_id, strength in zip(each.items, each.strengths, strict=True):
            if item_id in brought:
                for place in each.seeds:
                    brought[item_id][place] += share * evidence.seeds[place].weight * strength
    return {
        item_id: [evidence.seeds[place] for place in sorted(by_seed, key=lambda place: (-by_seed[place], place))]
        for item_id, by_seed in brought.items()
    }


def _share(neighbour: Neighbour) -> float:
    """Who did things with everything says little of each of them."""
    return 1 / math.sqrt(len(neighbour.items))


def by_tags(evidence: Evidence, profile: Mapping[int, float]) -> Scores:
    scores = {}
    for item_id, candidate in evidence.candidates.items():
        if met := candidate.features.tags & profile.keys():
            scores[item_id] = sum(profile[tag] for tag in met) / math.sqrt(len(candidate.features.tags))
    return scaled(scores)


def by_creator(evidence: Evidence) -> Scores:
    weights: defaultdict[int, float] = defaultdict(float)
    for seed in evidence.seeds:
        weights[seed.features.creator] += seed.weight
    candidates = evidence.candidates.items()
    return scaled({item_id: weights.get(candidate.features.creator, 0.0) for item_id, candidate in candidates})


def popular(evidence: Evidence) -> Scores:
    return scaled({item_id: math.log1p(candidate.popularity) for item_id, candidate in evidence.candidates.items()})


def scaled(scores: Scores) -> Scores:
    best = max(scores.values(), default=0.0)
    return {item_id: score / best for item_id, score in scores.items()} if best > 0 else {}


def spread(evidence: Evidence, best: Sequence[int], scores: Scores, limit: int) -> list[int]:
    """So many of the best, each of them the one whose score, less what it repeats of those before, is highest."""
    left, repeats, chosen = list(best), dict.fromkeys(best, 0.0), list[int]()
    while left and len(chosen) < limit:
        item_id = max(left, key=lambda each: (scores[each] - SPREAD * repeats[each], scores[each], each))
        left.remove(item_id)
        chosen.append(item_id)
        for other in left:
            if (alike := likeness(evidence.candidates[item_id], evidence.candidates[other])) > repeats[other]:
                repeats[other] = alike
    return chosen


def likeness(one: Candidate, other: Candidate) -> float:
    """From 0 to 1: half of it for the share of tags in common, half for the same creator."""
    mine, theirs = one.features.tags, other.features.tags
    common = len(mine & theirs)
    tags = common / (len(mine) + len(theirs) - common) if common else 0.0
    return (tags + (one.features.creator == other.features.creator)) / 2


def _pick(candidate: Candidate, scores: Sequence[float], seeds: Sequence[Seed], profile: Mapping[int, float]) -> Pick:
    together, tags, creator, _ = scores
    met = sorted(candidate.features.tags & profile.keys(), key=lambda tag: (-profile[tag], tag))
    speaks: Speaks = "popularity"
    if together or tags or creator:
        speaks = "collaborative_filtering" if together >= tags + creator else "content_similarity"
    score = round(min(1.0, sum(scores)), 4)
    return Pick(candidate.item_id, score, speaks, seeds[:NAMED_SEEDS], met[:NAMED_TAGS], creator > 0)
