"""Settings of the notifications service."""

from typing import ClassVar

from genonaut.platform.settings import ServiceSettings


class NotificationsSettings(ServiceSettings):
    section: ClassVar[str] = "notifications"
