"""`python -m genonaut.generation`: see its `--help`."""

from genonaut.generation.commands import app
from genonaut.platform.cli import main

main(app)
