"""Users: given what has happened, when a command comes, then these events, or a refusal."""

import json
from uuid import UUID

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from genonaut.content.users.domain import (
    USER,
    Change,
    ChangePassword,
    ChangePreferences,
    Command,
    Register,
    UnknownUserError,
    User,
)
from genonaut.contracts import Event
from genonaut.contracts.content import (
    UserActivated,
    UserDeactivated,
    UserPasswordChanged,
    UserPreferencesChanged,
    UserProfileChanged,
    UserRegistered,
)

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


@pytest.mark.parametrize(
    ("change", "events"),
    [
        (Change(), []),
        (Change(username="ada", email="ADA@example.org", is_active=True), []),
        (Change(username="Ada"), [UserProfileChanged(user_id=ADA, username="Ada")]),
        (Change(username="ada", email="A@Example.org"), [UserProfileChanged(user_id=ADA, email="a@example.org")]),
        (Change(is_active=False), [UserDeactivated(user_id=ADA)]),
        (
            Change(username="eve", email="eve@example.org", is_active=False),
            [UserProfileChanged(user_id=ADA, username="eve", email="eve@example.org"), UserDeactivated(user_id=ADA)],
        ),
    ],
)
def test_of_a_change_only_what_is_new_is_stated(change: Change, events: list[Event]) -> None:
    assert USER.decide(change, given(REGISTERED)) == events


def test_a_user_is_deactivated_once_and_may_come_back() -> None:
    gone = given(REGISTERED, UserDeactivated(user_id=ADA))

    assert USER.decide(Change(is_active=False), gone) == []
    assert USER.decide(Change(is_active=True), gone) == [UserActivated(user_id=ADA)]
    assert given(REGISTERED, UserDeactivated(user_id=ADA), UserActivated(user_id=ADA)) == given(REGISTERED)


def test_a_password_changes_as_often_as_somebody_says_so() -> None:
    changed = UserPasswordChanged(user_id=ADA)

    assert USER.decide(ChangePassword(), given(REGISTERED, changed)) == [changed]


@pytest.mark.parametrize(
    "command", [ChangePreferences({"theme": "dark"}), Change(), Change(is_active=False), ChangePassword()]
)
def test_nobody_can_be_changed(command: Command) -> None:
    with pytest.raises(UnknownUserError):
        USER.decide(command, given())


NAMES, ADDRESSES = st.sampled_from(["ada", "Ada", "eve"]), st.sampled_from(["a@x.org", "A@x.org", "e@x.org"])
COMMANDS = st.one_of(
    st.builds(Change, username=st.none() | NAMES, email=st.none() | ADDRESSES, is_active=st.none() | st.booleans()),
    st.builds(ChangePreferences, st.dictionaries(st.sampled_from("ab"), st.integers(0, 2) | st.booleans())),
    st.just(ChangePassword()),
)


@given_any(commands=st.lists(COMMANDS))
def test_after_any_commands_the_user_is_as_the_last_word_on_each_thing_says(commands: list[Command]) -> None:
    username, email, is_active, preferences = "ada", "ada@example.org", True, {"theme": "dark"}
    history: list[Event] = [REGISTERED]
    for command in commands:
        history += USER.decide(command, given(*history))
        if isinstance(command, Change):
            username = command.username or username
            email = (command.email or email).lower()
            is_active = is_active if command.is_active is None else command.is_active
        if isinstance(command, ChangePreferences):
            preferences |= command.changes
        user = given(*history)
        assert (user.username, user.email, user.is_active) == (username, email, is_active)
        assert json.dumps(user.preferences, sort_keys=True) == json.dumps(preferences, sort_keys=True)
        if not isinstance(command, ChangePassword):
            assert USER.decide(command, user) == []
