"""The variables of docs/database.md name what that page says."""

import pytest

from genonaut.stack import given

VARIABLES = (
    *("DATABASE_URL", "DATABASE_URL_DEMO", "DATABASE_URL_TEST", "DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD"),
    *("DB_NAME", "DB_NAME_DEMO", "DB_NAME_TEST", "DB_PASSWORD_ADMIN", "NATS_URL", "NATS_URL_TEST", "NATS_URL_DEMO"),
)


@pytest.fixture(autouse=True)
def _nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("said", "environment", "server", "database"),
    [
        ({}, "dev", None, "genonaut"),
        ({}, "demo", None, "genonaut_demo"),
        ({}, "test", None, "genonaut_test"),
        ({}, "prod", None, "genonaut"),
        ({"DATABASE_URL": "postgresql://p@h/own"}, "dev", "postgresql://p@h/own", "own"),
        ({"DATABASE_URL": "postgresql://p@h/own"}, "demo", "postgresql://p@h/own", "genonaut_demo"),
        ({"DATABASE_URL": "postgresql://p@h/own"}, "test", "postgresql://p@h/own", "genonaut_test"),
        ({"DATABASE_URL": "postgresql://p@h/postgres"}, "dev", "postgresql://p@h/postgres", "genonaut"),
        ({"DATABASE_URL": "postgresql://p@h"}, "dev", "postgresql://p@h", "genonaut"),
        ({"DATABASE_URL": "postgresql://p@h/own", "DB_NAME": "other"}, "dev", "postgresql://p@h/own", "other"),
        ({"DATABASE_URL": "u", "DATABASE_URL_DEMO": "postgresql://d/shown"}, "demo", "postgresql://d/shown", "shown"),
        ({"DATABASE_URL_TEST": "postgresql://d/tested"}, "dev", None, "genonaut"),
        ({"DATABASE_URL_TEST": "postgresql://d/tested"}, "test", "postgresql://d/tested", "tested"),
        ({"DB_NAME_TEST": "named"}, "test", None, "named"),
        ({"DB_NAME_DEMO": "named"}, "demo", None, "named"),
        ({"DB_NAME": "named"}, "demo", None, "genonaut_demo"),
        ({"DB_HOST": "h"}, "dev", "postgresql://postgres@h:5432/postgres", "genonaut"),
        ({"DB_PORT": "5433"}, "demo", "postgresql://postgres@localhost:5433/postgres", "genonaut_demo"),
        (
            {"DB_USER": "me", "DB_PASSWORD": "a/b@c"},
            *("dev", "postgresql://me:a%2Fb%40c@localhost:5432/postgres", "genonaut"),
        ),
        ({"DB_PASSWORD_ADMIN": "x"}, "dev", None, "genonaut"),
    ],
)
def test_the_database_of_an_environment(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], environment: str, server: str | None, database: str
) -> None:
    for name, value in said.items():
        monkeypatch.setenv(name, value)

    found = given.postgres(environment)

    assert (found and found.url, given.database(environment)) == (server, database)
    assert found is None or found.variable in said


def test_the_bus_of_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given.nats("test") is None
    monkeypatch.setenv("NATS_URL", "nats://any")
    assert given.nats("test") == given.Given("NATS_URL", "nats://any")
    monkeypatch.setenv("NATS_URL_TEST", "nats://tests")
    assert given.nats("test") == given.Given("NATS_URL_TEST", "nats://tests")
    assert given.nats("dev") == given.Given("NATS_URL", "nats://any")


def test_passwords_of_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD_ADMIN", "secret")
    assert (given.password("genonaut_admin"), given.password("genonaut_content")) == ("secret", "")
    assert given.password_variable("genonaut_content") == "DB_PASSWORD_CONTENT"
