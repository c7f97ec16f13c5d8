"""One line per event, as JSON, with what it belongs to and without secrets."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from genonaut.platform import logs
from genonaut.platform.context import Cause, caused_by

EVENT_ID = UUID("00000000-0000-0000-0000-00000000000a")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def standard_library_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.CHATTY}
    yield
    logging.captureWarnings(capture=False)
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


class Out(io.StringIO):
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().split("\n")[:-1]]

    def line(self) -> dict[str, Any]:
        [line] = self.lines()
        return line


@pytest.fixture
def out() -> Out:
    out = Out()
    logs.configure(service="content", out=out)
    return out


def test_a_line_says_when_how_bad_what_and_whose(out: Out) -> None:
    structlog.get_logger().warning("item.created", item_id=7, tags=["a", "b"])

    line = out.line()
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "item.created",
        "service": "content",
        "item_id": 7,
        "tags": ["a", "b"],
    }
    assert list(out.line())[:4] == ["time", "level", "event", "service"]


def test_it_says_what_it_belongs_to(out: Out) -> None:
    with caused_by(Cause("request-1", EVENT_ID, TRACEPARENT)):
        structlog.get_logger().info("inside")
    structlog.get_logger().info("outside")

    inside, outside = out.lines()
    assert inside["correlation_id"] == "request-1"
    assert inside["event_id"] == str(EVENT_ID)
    assert inside["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert not {"correlation_id", "event_id", "trace_id"} & set(outside)


def test_the_standard_library_goes_the_same_way(out: Out) -> None:
    with caused_by(Cause("request-1")):
        logging.getLogger("alembic.runtime").info("Running %s", "upgrade")

    line = out.line()
    assert (line["level"], line["event"], line["logger"]) == ("info", "Running upgrade", "alembic.runtime")
    assert line["correlation_id"] == "request-1"


def test_warnings_of_python_go_the_same_way(out: Out) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(capture=True)
        warnings.warn("this is old", DeprecationWarning, stacklevel=1)

    assert "this is old" in out.line()["event"]
    assert out.line()["logger"] == "py.warnings"


def fail(message: str) -> None:
    raise ValueError(message)


@pytest.mark.parametrize("log", [structlog.get_logger(), logging.getLogger("uvicorn.error")])
def test_a_traceback_is_one_field_of_one_line(out: Out, log: Any) -> None:
    try:
        fail("postgresql://me:my-password@db/x")
    except ValueError:
        log.exception("failed")

    line = out.line()
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback (most recent call last)")
    assert line["exception"].endswith("ValueError: postgresql://me:***@db/x")


def test_the_level_is_the_threshold_of_both(out: Out) -> None:
    logs.configure(service="content", level="warning", out=out)
    for log in (structlog.get_logger(), logging.getLogger("alembic")):
        log.info("not this")
        log.warning("this")

    assert [line["event"] for line in out.lines()] == ["this", "this"]


def test_libraries_that_talk_too_much_are_heard_from_warning_up(out: Out) -> None:
    logging.getLogger("uvicorn.access").info("GET / 200")
    logging.getLogger("nats.aio.client").warning("slow consumer")
    logging.getLogger("uvicorn.error").info("Started")

    assert [line["event"] for line in out.lines()] == ["slow consumer", "Started"]


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "DB_PASSWORD",
        "api_secret_key",
        "secret",
        "Authorization",
        "cookie",
        "Set-Cookie",
        "token",
        "access_token",
        "apikey",
        "credentials",
    ],
)
def test_what_is_named_like_a_secret_is_hidden_at_any_depth(out: Out, name: str) -> None:
    structlog.get_logger().info("event", **{name: "xyz"})
    structlog.get_logger().info("event", settings={"inner": [{name: "xyz"}]})

    flat, nested = out.lines()
    assert flat[name] == "***"
    assert nested["settings"] == {"inner": [{name: "***"}]}


@pytest.mark.parametrize("name", ["tokens", "max_tokens", "request_id", "key", "author", "path"])
def test_other_names_are_shown(out: Out, name: str) -> None:
    structlog.get_logger().info("event", **{name: "xyz"})

    assert out.line()[name] == "xyz"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+asyncpg://user:pa:ss@host:5432/db?x=1", "postgresql+asyncpg://user:***@host:5432/db?x=1"),
        ("nats://user:p%40ss@host:4222 and redis://:pw@cache/0", "nats://user:***@host:4222 and redis://:***@cache/0"),
        ("http://host/path@x:y", "http://host/path@x:y"),
        ("me@example.org", "me@example.org"),
    ],
)
def test_the_password_of_a_url_is_hidden_wherever_it_is(out: Out, url: str, shown: str) -> None:
    structlog.get_logger().info(f"connecting to {url}", url=url, urls=[url], error=ValueError(url))

    line = out.line()
    assert line["event"] == f"connecting to {shown}"
    assert (line["url"], line["urls"], line["error"]) == (shown, [shown], shown)


def test_values_of_any_kind_make_a_line(out: Out) -> None:
    structlog.get_logger().info(
        "event", secretive=SecretStr("xyz"), uid=EVENT_ID, lone="\ud800", big=2**70, what={1: {2}}, raw=b"x"
    )

    line = out.line()
    assert "xyz" not in out.getvalue()
    assert (line["uid"], line["big"], line["lone"]) == (str(EVENT_ID), 2**70, "\ud800")


@given(value=st.recursive(st.text() | st.integers() | st.floats(), lambda inner: st.dictionaries(st.text(), inner)))
def test_no_value_breaks_the_log(value: Any) -> None:
    out = Out()
    logs.configure(service="content", out=out)
    structlog.get_logger().info("event", value=value)

    assert out.line()["event"] == "event"


def test_for_people_there_are_columns() -> None:
    out = Out()
    logs.configure(service="content", form="console", out=out)
    try:
        fail("broken")
    except ValueError:
        structlog.get_logger().exception("failed", item_id=7)

    assert "failed" in out.getvalue().splitlines()[0]
    assert "item_id=7" in out.getvalue()
    assert "\x1b[" not in out.getvalue()
    assert out.getvalue().rstrip().endswith("ValueError: broken")


def test_an_unknown_level_is_an_error() -> None:
    with pytest.raises(KeyError):
        logs.configure(service="content", level="LOUD")
