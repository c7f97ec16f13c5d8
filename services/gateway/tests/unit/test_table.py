"""Who answers which path: the table as data, and the application that must agree with it."""

import pytest

from genonaut.gateway.routing.table import ALIASES, ROUTES, TABLE, Alias, Route, Table
from genonaut.gateway.service import service
from genonaut.gateway.settings import GatewaySettings
from genonaut.platform.http.problems import BadRequestError


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/users", "content"),
        ("/api/v1/users/6f/preferences", "content"),
        ("/api/v1/users/6f/generation-jobs", "generation"),
        ("/api/v1/users/generation-jobs", "content"),
        ("/api/v1/users/6f/interactions", "content"),
        ("/api/v1/interactions/analytics/user-behavior/6f", "content"),
        ("/api/v1/content", "content"),
        ("/api/v1/content/unified", "content"),
        ("/api/v1/content-auto/7/analytics", "content"),
        ("/api/v1/generation-jobs", "generation"),
        ("/api/v1/generation-jobs/7/cancel", "generation"),
        ("/api/v1/generation-jobs/7/events", None),
        ("/api/v1/analytics/generation/overview", "analytics"),
        ("/api/v1/notifications/unread/count", "notifications"),
        ("/webhooks/comfyui", "generation"),
        ("/api/v1/health", None),
        ("/", None),
        ("/docs", None),
        ("/internal/jobs/7/events", None),
        ("/internal/v1/credentials/verify", None),
        ("/internal/v1/users/6f/password", None),
        ("/metrics", None),
        ("/ready", None),
        ("/health", None),
        ("/api/v1", None),
        ("/api/v1/contents", None),
        ("/API/v1/content", None),
        ("", None),
    ],
)
def test_who_answers(path: str, expected: str | None) -> None:
    assert TABLE.service_of(path) == expected
    assert TABLE.resolve(path, path.encode()) == (expected, path.encode())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/content/7", "/api/v1/content"),
        ("/api/v1/users/6f/generation-jobs", "/api/v1/users/{id}/generation-jobs"),
        ("/api/v1/content/creator/6f", "/api/v1/content/by-creator/{id}"),
        ("/api/v1/interactions/user/6f/interactions", "/api/v1/interactions/by-user/{id}"),
        ("/api/v1/interactions/content/7/interactions", "/api/v1/interactions/by-content/{id}"),
        ("/api/v1/nothing", None),
    ],
)
def test_what_a_request_is_called_that_no_service_has_named(path: str, expected: str | None) -> None:
    assert TABLE.prefix_of(path) == expected


def test_no_route_forwards_what_is_internal() -> None:
    assert all(route.prefix.startswith(("/api/v1/", "/webhooks/")) for route in ROUTES)


def test_the_gateways_own_routes_are_not_forwarded() -> None:
    url = "http://127.0.0.1:1"
    app = service.app(
        GatewaySettings(
            nats_url="nats://127.0.0.1:1",
            api_secret_key="a test's secret key",
            content_url=url,
            generation_url=url,
            analytics_url=url,
            notifications_url=url,
        )
    )
    own = list(app.openapi()["paths"])
    assert "/api/v1/generation-jobs/{id}/events" in own
    assert {path: TABLE.service_of(path) for path in own} == dict.fromkeys(own)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_stands_for_a_path_of_a_service(alias: Alias) -> None:
    given = alias.spelling.replace("{id}", "a%20b").replace("{type}", "image").replace("{status}", "running")
    wanted = alias.path.replace("{id}", "a%20b").replace("{type}", "image").replace("{status}", "running")
    answers = TABLE.service_of(alias.path)
    assert answers is not None
    assert TABLE.resolve(given.replace("%20", " "), given.encode()) == (answers, wanted.encode())


def test_an_alias_is_a_whole_path() -> None:
    path = "/api/v1/content/creator/7/more"
    assert TABLE.resolve(path, path.encode()) == ("content", path.encode())


def test_the_longest_prefix_and_then_the_literal_wins() -> None:
    table = Table(
        [Route("/a", "content"), Route("/a/{id}", "analytics"), Route("/a/x", "generation"), Route("/a/x/y", None)], []
    )
    found = [table.service_of(path) for path in ("/a", "/a/1", "/a/1/2", "/a/x", "/a/x/1", "/a/x/y", "/b")]
    assert found == ["content", "analytics", "analytics", "generation", "generation", None, None]


@pytest.mark.parametrize(
    "raw_path",
    [
        b"/api/v1/..",
        b"/api/v1/../x",
        b"/api/v1/./x",
        b"/api/v1/%2e%2E/x",
        b"/api/v1/.%2e",
        b"/api/v1/a%2fb",
        b"/api/v1/a%5Cb",
        b"/api/v1/a\\b",
        b"//api/v1",
        b"/api//v1",
    ],
)
def test_ambiguous_paths_are_refused(raw_path: bytes) -> None:
    with pytest.raises(BadRequestError):
        TABLE.resolve("/api/v1/whatever", raw_path)


@pytest.mark.parametrize("raw_path", [b"/api/v1/tags/by-name/...", b"/api/v1/tags/.hidden", b"/api/v1/tags/a..b%252f"])
def test_dots_in_names_are_fine(raw_path: bytes) -> None:
    assert TABLE.resolve(raw_path.decode(), raw_path) == ("content", raw_path)
