"""A server process is free of what it does not use, and whoever needs it can still have it."""

import subprocess
import sys

PROBE = """
import sys
from genonaut.platform.slim import import_slim
import_slim()
import genonaut.platform.service
import genonaut.platform.cli
heavy = ("aiohttp", "rich", "PIL", "alembic", "obstore", "opentelemetry.sdk")
unwanted = [name for name in heavy if name in sys.modules]
assert not unwanted, unwanted
import aiohttp, rich.console
assert aiohttp.ClientSession
"""


def test_a_server_process_imports_nothing_it_does_not_use() -> None:
    ran = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
