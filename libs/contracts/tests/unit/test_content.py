"""What content's events hold is what a log can give back."""

from math import copysign
from uuid import UUID

from genonaut.contracts.content import ItemCreated


def test_a_score_has_no_negative_zero() -> None:
    item = ItemCreated(
        item_id=1, title="t", content_type="text", prompt="p", creator_id=UUID(int=1), quality_score=-0.0
    )

    assert copysign(1, item.quality_score) == 1
