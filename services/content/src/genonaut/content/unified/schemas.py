"""The unified list over HTTP."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from genonaut.content.images.addresses import Addresses
from genonaut.content.items.schemas import ShownSource, shown_source, shown_thumb
from genonaut.contracts.content import ContentType
from genonaut.platform.http.lists import ListBody


class UnifiedItem(BaseModel):
    id: int
    title: str
    content_type: ContentType
    source_type: ShownSource
    creator_id: UUID
    creator_username: str | None
    quality_score: float
    tags: list[str] = Field(description="Slugs.")
    created_at: datetime
    updated_at: datetime
    path_thumb: str | None
    prompt: str

    @classmethod
    def of(cls, row: Mapping[str, Any], addresses: Addresses) -> Self:
        """From a row of `queries.UNIFIED` with its tags."""
        shown = {"source_type": shown_source(row["source_type"]), "path_thumb": shown_thumb(row, addresses)}
        return cls.model_validate({**row, **shown})


class UnifiedStats(BaseModel):
    """All there is for this viewer, whatever the list is filtered by."""

    user_regular_count: int
    user_auto_count: int
    community_regular_count: int = Field(description="Of other users than the viewer.")
    community_auto_count: int


class UnifiedList(ListBody[UnifiedItem]):
    stats: UnifiedStats
