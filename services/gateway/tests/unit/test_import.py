"""The gateway is the process that is always there: it carries nothing that it does not use."""

import subprocess
import sys

HEAVY = ["sqlalchemy", "asyncpg", "alembic", "obstore", "PIL", "redis", "opentelemetry.sdk"]


def test_serving_imports_no_database_no_store_and_no_cache() -> None:
    code = f"import sys, genonaut.gateway.service; print([name for name in {HEAVY} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
