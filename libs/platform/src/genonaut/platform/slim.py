"""Optional extras of our dependencies that a server process never uses: left out, they save 12 MB in each process.

nats-py imports aiohttp for WebSocket transport, structlog imports rich for coloured tracebacks; both do without.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

USES_FOR_NOTHING = {"nats": "aiohttp", "structlog": "rich"}


def import_slim() -> None:
    """Call it before anything else is imported in a process that serves. Whoever needs an extra still gets it later."""
    for package, extra in USES_FOR_NOTHING.items():
        if package not in sys.modules:
            with _hidden(extra):
                import_module(package)


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Inside, importing `name` fails as if it were not installed."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # Python's own mark for "do not look"
    try:
        yield
    finally:
        del sys.modules[name]
