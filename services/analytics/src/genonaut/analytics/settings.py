"""Settings of the analytics service."""

from typing import ClassVar

from genonaut.platform.settings import ServiceSettings


class AnalyticsSettings(ServiceSettings):
    section: ClassVar[str] = "analytics"
