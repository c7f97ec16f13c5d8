"""`python -m genonaut.content`: see its `--help`."""

from genonaut.content.commands import app
from genonaut.platform.cli import main

main(app)
