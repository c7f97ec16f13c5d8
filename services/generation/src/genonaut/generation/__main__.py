"""`python -m genonaut.generation serve | drive | migrate | dead-letters`."""

from genonaut.generation.commands import app
from genonaut.platform.cli import main

main(app)
