"""The algorithm `popular`: the same for everybody, but for what they know already. What others are held against."""

from dataclasses import dataclass

from genonaut.content.recommenders.domain import Evidence, Pick


@dataclass(frozen=True)
class Popular:
    name: str = "popular"
    version: str = "1"

    def rank(self, evidence: Evidence, limit: int) -> list[Pick]:
        best = sorted(evidence.candidates.values(), key=lambda each: (-each.popularity, -each.item_id))[:limit]
        most = max(1, best[0].popularity) if best else 1
        return [Pick(each.item_id, round(each.popularity / most, 4), "popularity") for each in best]
