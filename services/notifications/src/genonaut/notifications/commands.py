"""The command line of the notifications service."""

from genonaut.platform.service_cli import service_commands

app = service_commands("notifications")
