"""One line per event on stdout, from structlog and from the standard library alike: JSON, or columns for people.

Every line has time, level, service and, when there is one, what it belongs to: `correlation_id` (the request id),
`event_id` (the event being reacted to) and `trace_id`. Secrets and the passwords in URLs do not get out.
"""

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import Processor

from genonaut.platform.context import current_cause

Form = Literal["json", "console"]
Line = MutableMapping[str, Any]

HIDDEN = "***"

_SECRET_NAME = re.compile(r"password|passwd|secret|authorization|cookie|credential|api_?key|token$", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?<=://)([^\s/?#:@]*):[^\s/?#]*@")

CHATTY = ("uvicorn.access", "asyncio", "httpx", "httpcore", "nats", "sqlalchemy.engine", "urllib3")
"""Libraries whose lines below WARNING say nothing that ours do not say better."""


def configure(*, service: str, level: str = "INFO", form: Form = "json", out: TextIO | None = None) -> None:
    """Sends every log line of the process to `out` (stdout), from `level` up. May be called again."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=processors(service=service, form=form, colors=(out or sys.stdout).isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog()]
    root.setLevel(threshold)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(capture=True)


def processors(*, service: str, form: Form, colors: bool = False) -> list[Processor]:
    """What a line passes through on its way out."""
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _Belonging(service),
        structlog.processors.format_exc_info,
        redact,
        _json if form == "json" else _console(colors=colors),
    ]


def redact(_logger: Any, _method: str, line: Line) -> Line:
    """The line without secrets: by the name of a field, at any depth, and by the shape of a URL."""
    for name, value in line.items():
        line[name] = HIDDEN if _is_secret(name) else _redacted(value)
    return line


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", value) if "://" in value and "@" in value else value
    if isinstance(value, dict):
        return {name: HIDDEN if _is_secret(str(name)) else _redacted(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(item) for item in value]
    if value is None or isinstance(value, int | float):
        return value
    return _redacted(str(value))


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


class _Belonging:
    """Adds what the line belongs to."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: Any, _method: str, line: Line) -> Line:
        line = {
            "time": line.pop("time"),
            "level": line.pop("level"),
            "event": line.pop("event"),
            "service": self._service,
            **line,
        }
        if (cause := current_cause()) is not None:
            line.setdefault("correlation_id", cause.correlation_id)
            if cause.causation_id is not None:
                line.setdefault("event_id", str(cause.causation_id))
            if cause.traceparent is not None:
                line.setdefault("trace_id", cause.traceparent.split("-")[1])
        return line


class _ToStructlog(logging.Handler):
    """Hands the records of the standard library to structlog, so that there is one way out."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            structlog.get_logger().log(
                record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info
            )
        except Exception:  # noqa: BLE001 - the contract of logging: a line that fails must not fail its caller
            self.handleError(record)


def _json(_logger: Any, _method: str, line: Line) -> str:
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # lone surrogates, integers above 64 bits
        return json.dumps(line, default=str)


def _console(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=colors, timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
    )
