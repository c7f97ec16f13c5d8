"""Settings of the content service, from the section `content` of the configuration file."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from genonaut.platform.settings import ServiceSettings


class ContentSettings(ServiceSettings):
    section: ClassVar[str] = "content"

    # The second recommendation of RFC 9106 for Argon2id. A hash that was made with others is made again at sign-in.
    password_memory_kib: int = Field(
        default=64 * 1024, ge=8, le=2**22, description="What hashing a password takes. Two are hashed at the same time."
    )
    password_passes: int = Field(default=3, ge=1, le=100, description="How often that memory is gone through.")
    password_lanes: int = Field(default=4, ge=1, le=64, description="How many cores may share in it.")

    @model_validator(mode="after")
    def _enough_memory(self) -> Self:
        if self.password_memory_kib < 8 * self.password_lanes:
            raise ValueError("PASSWORD_MEMORY_KIB must be at least 8 for each of PASSWORD_LANES")
        return self
