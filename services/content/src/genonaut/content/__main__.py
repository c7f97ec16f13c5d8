"""`python -m genonaut.content serve | migrate | dead-letters`."""

from genonaut.content.commands import app
from genonaut.platform.cli import main

main(app)
