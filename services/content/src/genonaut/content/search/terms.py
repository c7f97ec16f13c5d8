"""What is searched for, as a tree: has a key, has every one of these, any of them, this one but not that one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Has:
    key: int


@dataclass(frozen=True)
class Every:
    terms: tuple["Term", ...]
    """At least one."""


@dataclass(frozen=True)
class AnyOf:
    terms: tuple["Term", ...]


@dataclass(frozen=True)
class Except:
    term: "Term"
    unwanted: "Term"


Term: TypeAlias = Has | Every | AnyOf | Except

NOTHING = AnyOf(())


def every(terms: Iterable[Term]) -> Term:
    """One that is met by what meets all of these, of which there is at least one."""
    parts = tuple(terms)
    return parts[0] if len(parts) == 1 else Every(parts)


def any_of(terms: Iterable[Term]) -> Term:
    """One that is met by what meets any of these; by nothing when there are none."""
    parts = tuple(terms)
    return parts[0] if len(parts) == 1 else AnyOf(parts)


def keys_of(term: Term) -> set[int]:
    """Every key in it."""
    match term:
        case Has(key):
            return {key}
        case Every(terms) | AnyOf(terms):
            return {key for part in terms for key in keys_of(part)}
        case Except(wanted, unwanted):
            return keys_of(wanted) | keys_of(unwanted)


def is_met(term: Term, keys: frozenset[int] | set[int]) -> bool:
    """Whether something with these keys is searched for. What all other ways of finding are held against."""
    match term:
        case Has(key):
            return key in keys
        case Every(terms):
            return all(is_met(part, keys) for part in terms)
        case AnyOf(terms):
            return any(is_met(part, keys) for part in terms)
        case Except(wanted, unwanted):
            return is_met(wanted, keys) and not is_met(unwanted, keys)
