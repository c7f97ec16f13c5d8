"""`python -m genonaut.gateway`: see its `--help`."""

from genonaut.gateway.commands import app
from genonaut.platform.cli import main

main(app)
