"""`python -m genonaut.notifications serve | migrate | dead-letters`."""

from genonaut.notifications.commands import app
from genonaut.platform.cli import main

main(app)
