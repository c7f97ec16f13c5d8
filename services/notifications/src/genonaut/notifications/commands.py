"""The command line of the notifications service."""

from genonaut.platform.cli import service_commands

app = service_commands("notifications")
