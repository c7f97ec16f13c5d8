"""Users: given what has happened, when a command comes, then these events, or a refusal."""

from uuid import UUID

import pytest

from genonaut.content.users.domain import USER, ChangePreferences, Register, UnknownUserError, User
from genonaut.contracts import Event
from genonaut.contracts.content import UserPreferencesChanged, UserRegistered

ADA = UUID(int=1)
REGISTERED = UserRegistered(
    number=1, user_id=ADA, username="ada", email="ada@example.org", preferences={"theme": "dark"}
)


def given(*events: Event) -> User:
    state = USER.initial
    for event in events:
        state = USER.evolve(state, event)
    return state


def test_a_new_user_is_registered_with_the_address_in_lower_case() -> None:
    events = USER.decide(Register(ADA, 1, "Ada", "ADA@Example.org", {"a": 1}), given())

    assert events == [
        UserRegistered(number=1, user_id=ADA, username="Ada", email="ada@example.org", preferences={"a": 1})
    ]


def test_a_registered_user_is_not_registered_again() -> None:
    assert USER.decide(Register(ADA, 2, "ada", "ada@example.org"), given(REGISTERED)) == []


def test_preferences_are_stated_as_far_as_they_change() -> None:
    events = USER.decide(ChangePreferences({"theme": "dark", "language": "en"}), given(REGISTERED))

    assert events == [UserPreferencesChanged(user_id=ADA, changes={"language": "en"})]


def test_preferences_that_stay_as_they_are_state_nothing() -> None:
    changed = UserPreferencesChanged(user_id=ADA, changes={"nested": {"b": 1, "a": 2}})

    assert USER.decide(ChangePreferences({"nested": {"a": 2, "b": 1}}), given(REGISTERED, changed)) == []


@pytest.mark.parametrize(("before", "after"), [(1, True), (0, False), (None, False), ("1", 1)])
def test_values_that_only_python_finds_equal_are_a_change(before: object, after: object) -> None:
    changed = UserPreferencesChanged(user_id=ADA, changes={"key": before})

    assert len(USER.decide(ChangePreferences({"key": after}), given(REGISTERED, changed))) == 1


def test_a_key_may_become_null() -> None:
    events = USER.decide(ChangePreferences({"theme": None, "other": None}), given(REGISTERED))

    assert events == [UserPreferencesChanged(user_id=ADA, changes={"theme": None, "other": None})]


def test_nobody_has_no_preferences() -> None:
    with pytest.raises(UnknownUserError):
        USER.decide(ChangePreferences({"theme": "dark"}), given())
