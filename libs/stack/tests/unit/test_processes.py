"""What a process of the stack is given."""

import pytest

from genonaut.stack.processes import Process


def test_settings_of_the_caller_reach_the_processes_but_not_what_opens_the_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opening = (
        *("DATABASE_URL", "DATABASE_SUPERUSER_URL", "NATS_URL_FILE", "NATS_SYSTEM_URL"),
        *("API_SECRET_KEY", "DB_PASSWORD_ADMIN", "PYTHONPATH"),
    )
    for name in ("MAX_ATTEMPTS", "API_PORT", *opening):
        monkeypatch.setenv(name, "the caller's")

    seen = Process("content", ("-m", "genonaut.content"), {"API_PORT": "1"}).environment()

    assert (seen["MAX_ATTEMPTS"], seen["API_PORT"]) == ("the caller's", "1")
    assert seen.keys() & set(opening) == set()
