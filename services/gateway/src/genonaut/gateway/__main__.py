"""`python -m genonaut.gateway serve`."""

from genonaut.gateway.commands import app
from genonaut.platform.cli import main

main(app)
