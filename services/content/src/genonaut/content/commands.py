"""The command line of the content service."""

from genonaut.platform.service_cli import service_commands

app = service_commands("content")
