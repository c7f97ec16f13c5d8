"""Settings of the content service, from the section `content` of the configuration file."""

from typing import ClassVar

from genonaut.platform.settings import ServiceSettings


class ContentSettings(ServiceSettings):
    section: ClassVar[str] = "content"
