"""`python -m genonaut.notifications`: see its `--help`."""

from genonaut.notifications.commands import app
from genonaut.platform.cli import main

main(app)
