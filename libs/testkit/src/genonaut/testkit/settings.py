"""Tests run the same way every time: fixed Hypothesis examples, logs as a process has them."""

import pytest
import structlog
from hypothesis import settings

from genonaut.platform import logs

settings.register_profile("genonaut", derandomize=True, deadline=None)
settings.load_profile("genonaut")


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    """The default of structlog takes seconds to draw one traceback."""
    structlog.configure(processors=logs.processors(service="test", form="json"))
