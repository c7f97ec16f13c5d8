"""`python -m genonaut.generation serve | drive | migrate | dead-letters`."""

from genonaut.generation.commands import app

app()
