"""A new, empty migration of a service, with the next number."""

import re
from pathlib import Path

from genonaut.platform.migrations import newest_revision
from genonaut.stack.databases.place import RefusedError
from genonaut.stack.processes import DATABASE_SERVICES

TEMPLATE = '''"""{words}."""

from alembic import op

from genonaut.platform.migrations import statements

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None

# No schema is named: the search path says which one. Rights come by themselves; see provisioning.py.
SQL = """
"""


def upgrade() -> None:
    for statement in statements(SQL):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Say how to get back.")
'''


def write(root: Path, service: str, word: str) -> Path:
    """The file in the clone at `root`. Raises RefusedError for a service without tables, and for what is no word."""
    if service not in DATABASE_SERVICES:
        raise RefusedError(f"There is no service {service} with a database. There are: {', '.join(DATABASE_SERVICES)}.")
    name = re.sub(r"[\s-]+", "_", word.strip().lower())
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise RefusedError(f"{word!r} is no name for a migration: letters, digits and underscores, a letter first.")
    before = newest_revision(service)
    revision = f"{int(before) + 1:04}"
    path = root / "services" / service / "src" / "genonaut" / service / "migrations" / f"{revision}_{name}.py"
    words = name.replace("_", " ")
    path.write_text(TEMPLATE.format(words=words[0].upper() + words[1:], revision=revision, before=before))
    return path
