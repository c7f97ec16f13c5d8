"""A term as a condition in SQL on an array of keys: what the tail is asked, and another way to find what bits find."""

from collections.abc import Callable, Sequence

import asyncpg

from genonaut.content.search.matches import Bound, Loose, Matches, SortKey
from genonaut.content.search.terms import AnyOf, Every, Except, Has, Term

Argument = Callable[[list[int]], str]
"""Takes an argument of the statement, and gives what stands for it there."""


def condition(term: Term, column: str, argument: Argument) -> str:
    """True for arrays in `column` that meet the term."""
    match term:
        case Has(key):
            return f"{column} @> {argument([key])}"
        case AnyOf(terms):
            parts = [condition(part, column, argument) for part in terms if not isinstance(part, Has)]
            if keys := [part.key for part in terms if isinstance(part, Has)]:
                parts.insert(0, f"{column} && {argument(keys)}")
            return f"({' OR '.join(parts)})" if parts else "false"
        case Every(terms):
            parts = [condition(part, column, argument) for part in terms if not isinstance(part, Has)]
            if keys := [part.key for part in terms if isinstance(part, Has)]:
                parts.insert(0, f"{column} @> {argument(keys)}")
            return f"({' AND '.join(parts)})"
        case Except(wanted, unwanted):
            return f"({condition(wanted, column, argument)} AND NOT {condition(unwanted, column, argument)})"


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
    driver: asyncpg.Connection, term: Term, bounds: Sequence[SortKey] = (), *, indexed: bool
) -> tuple[Matches, list[Bound]]:
    """What `segments.find` finds, from the rows themselves: by the array index, or without it."""
    arguments: list[list[int]] = []
    column = "r.keys" if indexed else "(r.keys || '{}')"  # no index has what is made of a column
    met = condition(term, column, numbered(arguments))
    rows = await driver.fetch(_ROWS.format(met=met), *arguments)
    loose = [Loose((row["created_at"], row["item_id"]), None) for row in rows]
    return Matches({}, loose), [Bound(sort_key, None) for sort_key in bounds]


_ROWS = """
SELECT r.created_at, r.item_id FROM search_rows r WHERE {met} ORDER BY r.created_at, r.item_id
"""
