"""Tags over HTTP."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from genonaut.content.tag_opinions.domain import average
from genonaut.content.tags.domain import MAX_SLUG, TagReference, slug_of


def _reference(text: str) -> str:
    TagReference.of(text)
    return text


Slug = Annotated[str, AfterValidator(slug_of)]
"""A word in the spelling that slugs have, whatever way it was written."""

TagWord = Annotated[str, AfterValidator(_reference)]
"""A tag as a client names it: its id, its slug or an alias."""


class NewTag(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"slug": "oil-painting", "name": "Oil Painting", "parents": ["medium"]}]}
    )

    slug: Slug | None = Field(default=None, description="Default: from the name.")
    name: str | None = Field(
        default=None, min_length=1, max_length=MAX_SLUG, description="Default: the slug in title case."
    )
    parents: list[TagWord] = Field(
        default_factory=list, max_length=100, description="Ids or slugs. A slug that is unknown becomes a tag."
    )

    _reference: TagReference = PrivateAttr()

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.slug is not None:
            slug = self.slug
        elif self.name is not None:
            slug = slug_of(self.name)
        else:
            raise ValueError("a tag needs a slug or a name")
        self._reference = TagReference.to(slug, self.name)
        return self

    @property
    def reference(self) -> TagReference:
        return self._reference


class TagLink(BaseModel):
    id: UUID
    slug: str
    name: str


class DistantTag(TagLink):
    depth: int = Field(description="Steps of the shortest way; 1 is a parent or child.")


class CountedTag(TagLink):
    cardinality: int = Field(description="How many public items have it.")


class Tag(CountedTag):
    average_rating: float | None = Field(description="To two decimals; null without ratings.")
    rating_count: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Mapping[str, Any], **more: Any) -> Self:
        """From a row of `queries.whole`."""
        return cls.model_validate({**row, "average_rating": average(row["half_stars"], row["rating_count"]), **more})


class TagWithParents(Tag):
    parents: list[TagLink]


class TagDetail(BaseModel):
    tag: Tag
    parents: list[TagLink]
    children: list[TagLink]
    ancestors: list[DistantTag]
    descendants: list[DistantTag]
    aliases: list[str] = Field(description="Other slugs that mean this tag.")
    implies: list[TagLink] = Field(description="What has this tag is given these, too.")
    average_rating: float | None
    rating_count: int
    user_rating: float | None = Field(description="Null without a user, and when they have not rated it.")
    is_favorite: bool | None = Field(description="Null without a user.")


class Done(BaseModel):
    """What an action answers that has nothing to show."""

    success: bool = True
    message: str
