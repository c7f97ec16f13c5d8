"""Logs as a process has them: the default of structlog takes seconds to draw one traceback."""

from collections.abc import Iterator

import pytest
import structlog

from genonaut.platform import logs


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    structlog.configure(processors=logs.processors(service="test", form="json"))
    yield
    structlog.reset_defaults()
