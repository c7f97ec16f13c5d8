"""`genonaut content …`."""

from genonaut.platform.service_cli import service_commands

app = service_commands("content")
