"""`genonaut content …`."""

from genonaut.platform.cli import service_commands

app = service_commands("content")
