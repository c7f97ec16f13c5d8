"""`python -m genonaut.analytics serve | migrate | dead-letters`."""

from genonaut.analytics.commands import app
from genonaut.platform.cli import main

main(app)
