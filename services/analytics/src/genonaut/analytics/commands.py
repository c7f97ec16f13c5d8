"""The command line of the analytics service."""

from genonaut.platform.service_cli import service_commands

app = service_commands("analytics")
