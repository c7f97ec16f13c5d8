"""`python -m genonaut.analytics`: see its `--help`."""

from genonaut.analytics.commands import app
from genonaut.platform.cli import main

main(app)
