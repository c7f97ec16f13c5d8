"""`python -m genonaut.notifications serve | migrate | dead-letters`."""

from genonaut.notifications.commands import app

app()
