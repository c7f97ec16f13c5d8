"""A search as a body."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from genonaut.content.search.domain import Wanted, phrases
from genonaut.content.search.schemas import MAX_SEARCH_TERM, MAX_TAG_WORDS, named_tags
from genonaut.contracts.content import ContentType


class SearchBody(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "search_term": 'lighthouse "at dusk"',
                    "tags": ["sea", "weather~descendants"],
                    "tag_match": "all",
                    "exclude_tags": ["storm"],
                    "metadata": {"category": "landscape"},
                    "min_quality_score": 0.5,
                }
            ]
        },
    )

    search_term: str | None = Field(
        default=None, max_length=MAX_SEARCH_TERM, description='Words and "quoted phrases", all in title or prompt.'
    )
    tags: list[str] = Field(default_factory=list, max_length=MAX_TAG_WORDS, description="Ids or slugs.")
    tag_match: Literal["any", "all"] = "any"
    exclude_tags: list[str] = Field(default_factory=list, max_length=MAX_TAG_WORDS)
    metadata: dict[str, Any] = Field(
        default_factory=dict, description="What item_metadata contains, as PostgreSQL's @> has it."
    )
    content_type: ContentType | None = None
    creator_id: UUID | None = None
    min_quality_score: float | None = Field(default=None, ge=0, le=1)
    created_after: AwareDatetime | None = None
    public_only: bool = False

    def wanted(self, viewer: UUID | None) -> Wanted:
        since: datetime | None = self.created_after
        return Wanted(
            viewer=viewer,
            tags=named_tags(self.tags),
            every_tag=self.tag_match == "all",
            unwanted_tags=named_tags(self.exclude_tags),
            content_type=self.content_type,
            creator_id=self.creator_id,
            public_only=self.public_only,
            min_quality=self.min_quality_score,
            since=since,
            phrases=phrases(self.search_term or ""),
            metadata=self.metadata,
        )


class Overview(BaseModel):
    """What there is of one source for this viewer."""

    total: int
    by_content_type: dict[ContentType, int]
    own: int = Field(description="The viewer's own, private ones included; 0 without a viewer.")
    own_private: int
