"""A term as a condition in SQL on an array of keys: what the tail is asked, and another way to find what bits find."""

from collections.abc import Callable, Iterable, Sequence

import asyncpg

from genonaut.content.search.keys import others_among, tags_among
from genonaut.content.search.matches import Bound, Loose, Matches, SortKey
from genonaut.content.search.terms import AnyOf, Every, Except, Has, Term

Argument = Callable[[list[int]], str]
"""Takes an argument of the statement, and gives what stands for it there."""


def condition(term: Term, column: str, argument: Argument, *, facets: str | None = None) -> str:
    """True for arrays in `column` that meet the term. `facets` is a column with those of the keys that are no tags."""

    def has(operator: str, terms: Iterable[Term]) -> list[str]:
        """The keys among these that an array has all (`@>`) or any (`&&`) of, first those that are tested faster."""
        keys = [part.key for part in terms if isinstance(part, Has)]
        if facets is None:
            return [f"{column} {operator} {argument(keys)}"] if keys else []
        parts = ((facets, others_among(keys)), (column, tags_among(keys)))
        return [f"{each} {operator} {argument(some)}" for each, some in parts if some]

    def rest(terms: Iterable[Term]) -> list[str]:
        return [condition(part, column, argument, facets=facets) for part in terms if not isinstance(part, Has)]

    match term:
        case Has():
            return has("@>", [term])[0]
        case AnyOf(terms):
            parts = has("&&", terms) + rest(terms)
            return f"({' OR '.join(parts)})" if parts else "false"
        case Every(terms):
            return f"({' AND '.join(has('@>', terms) + rest(terms))})"
        case Except(wanted, unwanted):
            met, not_met = (condition(part, column, argument, facets=facets) for part in (wanted, unwanted))
            return f"({met} AND NOT {not_met})"


def numbered(values: list[list[int]]) -> Argument:
    """Arguments as asyncpg numbers them; they end up in `values`."""

    def argument(keys: list[int]) -> str:
        values.append(keys)
        return f"CAST(${len(values)} AS int[])"

    return argument


def named(values: dict[str, list[int]]) -> Argument:
    """Arguments as SQLAlchemy names them; they end up in `values`."""

    def argument(keys: list[int]) -> str:
        name = f"keys_{len(values)}"
        values[name] = keys
        return f"CAST(:{name} AS int[])"

    return argument


async def find(
    driver: asyncpg.Connection, term: Term, bounds: Sequence[SortKey] = (), *, indexed: bool, most: int | None = None
) -> tuple[Matches, list[Bound]] | None:
    """What `segments.find` finds, from the rows themselves: by the array index, or without it.

    None when it is more than `most`.
    """
    arguments: list[list[int]] = []
    column = "r.keys" if indexed else "(r.keys || '{}')"  # no index has what is made of a column
    met = condition(term, column, numbered(arguments))
    limit = "" if most is None else f"LIMIT {most + 1}"
    rows = await driver.fetch(_ROWS.format(met=met, limit=limit), *arguments)
    if most is not None and len(rows) > most:
        return None
    loose = [Loose(sort_key, None) for sort_key in sorted(map(tuple, rows))]
    return Matches({}, loose), [Bound(sort_key, None) for sort_key in bounds]


_ROWS = """
SELECT r.created_at, r.item_id FROM search_rows r WHERE {met} {limit}
"""
