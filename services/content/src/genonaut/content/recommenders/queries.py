"""The evidence that algorithms judge by, read in one snapshot.

Whatever it costs is bounded: so many of the user's last interactions, so many people who did something with each of
those items last, so many of their last interactions, so many items of each kind. A heavy user, or an item that
everybody knows, costs what others cost, and writing costs nothing: there is no table of pairs of items.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import nlargest
from itertools import combinations
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from genonaut.content.recommenders.domain import (
    PUBLIC,
    RATED,
    STRENGTHS,
    Candidate,
    Evidence,
    Features,
    Neighbour,
    Seed,
    strength,
)
from genonaut.content.search.queries import latest
from genonaut.content.search.terms import Has, Term, any_of, every
from genonaut.platform.database import driver_of

ACTS = 200
"""Of the user's last interactions."""
SEEDS = 40
RECENT = 40
"""After so many items a liking counts half."""
PEOPLE_OF_ITEM = 50
"""Who did something with a seed last."""
NEIGHBOURS = 100
ACTS_OF_NEIGHBOUR = 40
TOGETHER = 400
"""Candidates because of neighbours."""
TAGS, CREATORS, PAIRED_TAGS = 6, 3, 4
"""Of what the user likes most: whose items are candidates, and of which tags those that have two."""
LATEST = 40
"""Candidates of each tag, creator and pair of tags."""
MOST_POPULAR = 150
OWN_ITEMS = 30
FEW_SEEDS = 5
"""With fewer than so many, what the user makes says what they like, too."""


async def evidence(connection: AsyncConnection, user_id: UUID) -> Evidence:
    """What is known for the user. `connection` reads one snapshot."""
    user = (await connection.execute(_USER, {"user_id": user_id})).one()
    own, unwanted = user.own, user.unwanted
    seeds = await _seeds(connection, user_id, own)
    neighbours = await _neighbours(connection, user_id, seeds)
    liked = frozenset(user.liked)
    if own is not None and len(seeds) < FEW_SEEDS:
        liked |= await _made_tags(connection, own)
    tags = liked.union(*(seed.features.tags for seed in seeds))
    counts, total = await _tag_counts(connection, tags)
    known = Evidence(seeds=seeds, neighbours=neighbours, liked_tags=liked, tag_counts=counts, total=total)
    drawn = {
        *_together(neighbours),
        *await latest(connection, _terms(known), most=LATEST),
        *await _popular(connection, user_id, own, unwanted),
    }
    drawn.difference_update(unwanted)
    drawn -= set(await connection.scalars(_SEEN, {"user_id": user_id, "ids": list(drawn)}))
    return replace(known, candidates=await _candidates(connection, own, drawn))


async def _seeds(connection: AsyncConnection, user_id: UUID, own: int | None) -> list[Seed]:
    found: dict[int, Seed] = {}
    shown: dict[int, int] = {}
    acts = (await connection.execute(_ACTS, {"user_id": user_id, "acts": ACTS})).all()
    for act in acts:
        features = Features.of(act.keys)
        if features.is_private and features.creator != own:
            continue
        liking = strength(act.interaction_type, act.rating)
        weight = liking / (1 + len(found) / RECENT)
        if liking > shown.get(act.item_id, 0):
            before = found.get(act.item_id)
            found[act.item_id] = Seed(
                act.item_id, act.interaction_type, max(weight, before.weight if before else 0.0), features
            )
            shown[act.item_id] = liking
    return sorted(found.values(), key=lambda seed: (-seed.weight, -seed.item_id))[:SEEDS]


async def _neighbours(connection: AsyncConnection, user_id: UUID, seeds: Sequence[Seed]) -> list[Neighbour]:
    if not seeds:
        return []
    asked = {
        "user_id": user_id,
        "items": [seed.item_id for seed in seeds],
        "weights": [seed.weight for seed in seeds],
        "people": PEOPLE_OF_ITEM,
        "neighbours": NEIGHBOURS,
        "acts": ACTS_OF_NEIGHBOUR,
    }
    rows = await connection.execute(_NEIGHBOURS, asked)
    return [Neighbour(row.seeds, row.items, row.strengths) for row in rows]


async def _made_tags(connection: AsyncConnection, maker: int) -> frozenset[int]:
    """The tags of what a user with this key made last."""
    made = await latest(connection, [Has(maker)], most=OWN_ITEMS)
    found = await connection.scalars(_KEYS_OF_ITEMS, {"ids": made})
    return frozenset(tag for keys in found for tag in Features.of(keys).tags)


async def _tag_counts(connection: AsyncConnection, tags: Collection[int]) -> tuple[Mapping[int, int], int]:
    """How many public items have each of the tags, and how many items there are, about."""
    found = (await connection.execute(_TAG_COUNTS, {"keys": list(tags)})).one()
    return dict(zip(found.tags or (), found.counts or (), strict=True)), found.total


def _together(neighbours: Sequence[Neighbour]) -> list[int]:
    """What most neighbours did something with, the more for the more they have in common with the user."""
    found: defaultdict[int, int] = defaultdict(int)
    for each in neighbours:
        common = len(each.seeds)
        for item_id, liking in zip(each.items, each.strengths, strict=True):
            found[item_id] += common * liking
    return nlargest(TOGETHER, found, key=found.__getitem__)


def _terms(known: Evidence) -> list[Term]:
    """What finds candidates: tags that the user likes, pairs of those, and creators."""
    public = any_of(map(Has, sorted(PUBLIC)))
    creators: Counter[int] = Counter()
    for seed in known.seeds:
        creators[seed.features.creator] += round(1000 * seed.weight)
    tags = sorted(known.profile, key=lambda tag: (-known.profile[tag], tag))[:TAGS]
    ones = [[Has(key)] for key in (*tags, *(key for key, _ in creators.most_common(CREATORS)))]
    pairs = [[Has(one), Has(other)] for one, other in combinations(tags[:PAIRED_TAGS], 2)]
    return [every([*wanted, public]) for wanted in (*ones, *pairs)]


async def _popular(
    connection: AsyncConnection, user_id: UUID, own: int | None, unwanted: Collection[int]
) -> Iterable[int]:
    """The most popular ones that may be shown and are new to the user, however many they know."""
    asked = {
        "user_id": user_id,
        "own": [] if own is None else [own],
        "public": sorted(PUBLIC),
        "unwanted": list(unwanted),
        "most": MOST_POPULAR,
    }
    return await connection.scalars(_POPULAR, asked)


async def _candidates(connection: AsyncConnection, own: int | None, new: Iterable[int]) -> dict[int, Candidate]:
    """Those that may be shown."""
    found = {}
    driver = await driver_of(connection)
    for item_id, keys, popularity, users in await driver.fetch(_CANDIDATES, list(new)):
        features = Features.of(keys)
        if not features.is_private and features.creator != own:
            found[item_id] = Candidate(item_id, features, popularity, users)
    return found


_STRENGTH = f"""
CASE WHEN rating IS NULL
     THEN CASE interaction_type {" ".join(f"WHEN '{kind}' THEN {liking}" for kind, liking in STRENGTHS.items())} END
     ELSE CASE rating {" ".join(f"WHEN {rating} THEN {liking}" for rating, liking in RATED.items())} END END
"""

_USER = text("""
SELECT (SELECT key FROM search_keys WHERE id = :user_id) AS own,
       ARRAY(SELECT k.key FROM search_keys k JOIN tag_favorites f ON f.tag_id = k.id WHERE f.user_id = :user_id
             UNION
             SELECT k.key FROM search_keys k JOIN tag_ratings g ON g.tag_id = k.id
             WHERE g.user_id = :user_id AND g.half_stars >= 8) AS liked,
       ARRAY(SELECT content_item_id FROM recommendations
             WHERE user_id = :user_id AND feedback IN ('dislike', 'not_interested')) AS unwanted
""")

_ACTS = text("""
SELECT a.content_item_id AS item_id, a.interaction_type, a.rating, r.keys
FROM (
    SELECT content_item_id, interaction_type, rating, created_at, id FROM user_interactions
    WHERE user_id = :user_id ORDER BY created_at DESC, id DESC LIMIT :acts
) a
JOIN search_rows r ON r.item_id = a.content_item_id
ORDER BY a.created_at DESC, a.id DESC
""")

_NEIGHBOURS = text(f"""
WITH met AS (
    SELECT v.user_id, s.place, max(s.weight * v.strength) AS weight
    FROM unnest(CAST(:items AS bigint[]), CAST(:weights AS float8[])) WITH ORDINALITY AS s (item_id, weight, place)
    CROSS JOIN LATERAL (
        SELECT user_id, {_STRENGTH} AS strength FROM user_interactions WHERE content_item_id = s.item_id
        ORDER BY created_at DESC, id DESC LIMIT :people
    ) v
    WHERE v.user_id <> :user_id AND v.strength > 0
    GROUP BY v.user_id, s.place
), people AS (
    SELECT user_id, array_agg(CAST(place AS int) - 1 ORDER BY place) AS seeds, sum(weight) AS weight
    FROM met GROUP BY user_id ORDER BY weight DESC, user_id LIMIT :neighbours
)
SELECT p.seeds, a.items, a.strengths FROM people p CROSS JOIN LATERAL (
    SELECT array_agg(item_id ORDER BY item_id) AS items, array_agg(strength ORDER BY item_id) AS strengths
    FROM (
        SELECT content_item_id AS item_id, max(strength) AS strength
        FROM (
            SELECT content_item_id, {_STRENGTH} AS strength FROM user_interactions WHERE user_id = p.user_id
            ORDER BY created_at DESC, id DESC LIMIT :acts
        ) last
        WHERE strength > 0 GROUP BY content_item_id
    ) items
) a
WHERE a.items IS NOT NULL
ORDER BY p.weight DESC, p.user_id
""")

_KEYS_OF_ITEMS = text("SELECT keys FROM search_rows WHERE item_id = ANY(CAST(:ids AS bigint[]))")

_TAG_COUNTS = text("""
SELECT array_agg(c.key) AS tags, array_agg(c.cardinality) AS counts, CAST(
    (SELECT coalesce(sum(next_position), 0) FROM search_blocks)
    + (SELECT count(*) FROM search_tail WHERE block IS NULL AND keys IS NOT NULL) AS bigint) AS total
FROM (
    SELECT k.key, CAST(sum(s.cardinality) AS bigint) AS cardinality
    FROM search_keys k JOIN tag_cardinality_stats s ON s.tag_id = k.id
    WHERE k.key = ANY(CAST(:keys AS int[])) GROUP BY k.key
) c
""")

_SEEN = text("""
SELECT item_id FROM interaction_pairs WHERE user_id = :user_id AND item_id = ANY(CAST(:ids AS bigint[]))
""")

# The keys as something that no index has: the index on them is for search, this walks the one of popularity.
_POPULAR = text("""
SELECT p.item_id FROM item_popularity p JOIN search_rows r ON r.item_id = p.item_id
WHERE (r.keys || '{}') && CAST(:public AS int[]) AND NOT (r.keys || '{}') && CAST(:own AS int[])
AND p.item_id <> ALL(CAST(:unwanted AS bigint[]))
AND NOT EXISTS (SELECT FROM interaction_pairs d WHERE d.user_id = :user_id AND d.item_id = p.item_id)
ORDER BY p.popularity DESC, p.item_id DESC LIMIT :most
""")

_CANDIDATES = """
SELECT r.item_id, r.keys, coalesce(p.popularity, 0) AS popularity, coalesce(c.total, 0) AS users
FROM search_rows r
LEFT JOIN item_popularity p ON p.item_id = r.item_id
LEFT JOIN interaction_item_counts c ON c.item_id = r.item_id AND c.facet = 'users' AND c.value = ''
WHERE r.item_id = ANY($1::bigint[])
"""
