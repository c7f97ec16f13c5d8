"""The algorithms there are, by name and version. A new one is a file beside this one, and a line here."""

from collections.abc import Mapping

from genonaut.content.recommenders.blend import Blend
from genonaut.content.recommenders.domain import Algorithm
from genonaut.content.recommenders.popular import Popular

POPULAR: Algorithm = Popular()
BEST: Algorithm = Blend()
"""What is used when nobody says."""


def called(algorithm: Algorithm) -> str:
    """`name@version`."""
    return f"{algorithm.name}@{algorithm.version}"


ALGORITHMS: Mapping[str, Algorithm] = {called(each): each for each in (POPULAR, BEST)}
"""Of several versions of one the latest comes last."""


def named(word: str) -> Algorithm | None:
    """The algorithm of this name and version, or the latest version of this name."""
    latest = {each.name: each for each in ALGORITHMS.values()}
    return ALGORITHMS.get(word) or latest.get(word)
