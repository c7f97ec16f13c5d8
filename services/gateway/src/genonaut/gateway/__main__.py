"""`python -m genonaut.gateway serve`."""

from genonaut.gateway.commands import app

app()
