"""Settings of the content service, from the section `content` of the configuration file."""

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from genonaut.content.search.planner import Knobs
from genonaut.platform.settings import ServiceSettings


class Performance(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    query_planner_tag_prejoin_for_content_queries: Knobs = Knobs()


class ContentSettings(ServiceSettings):
    section: ClassVar[str] = "content"

    search_recount_seconds: float = Field(
        default=24 * 3600, gt=0, description="Between two comparisons of the index of items with the items."
    )
    performance: Performance = Field(default=Performance(), description="Knobs of searches by tags.")

    cache_warm_seconds: float = Field(
        default=30,
        gt=0,
        description="Between two looks for first pages that are often asked for and not kept any more.",
    )
    cache_warm_pages: int = Field(default=20, ge=0, description="Of as many they are made anew.")

    # The second recommendation of RFC 9106 for Argon2id. A hash that was made with others is made again at sign-in.
    password_memory_kib: int = Field(
        default=64 * 1024, ge=8, le=2**22, description="What hashing a password takes. Two are hashed at the same time."
    )
    password_passes: int = Field(default=3, ge=1, le=100, description="How often that memory is gone through.")
    password_lanes: int = Field(default=4, ge=1, le=64, description="How many cores may share in it.")

    @property
    def knobs(self) -> Knobs:
        """Of the planner of searches, under the name that the older configuration has for it."""
        return self.performance.query_planner_tag_prejoin_for_content_queries

    @model_validator(mode="after")
    def _enough_memory(self) -> Self:
        if self.password_memory_kib < 8 * self.password_lanes:
            raise ValueError("PASSWORD_MEMORY_KIB must be at least 8 for each of PASSWORD_LANES")
        return self

    image_grace_seconds: int = Field(
        default=24 * 3600, ge=0, description="How long an image is kept that no item shows, from its last use on."
    )
    image_sweep_seconds: float = Field(default=3600, gt=0, description="Between two looks for such images.")
