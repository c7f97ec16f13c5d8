"""What a list of items can be narrowed by, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from genonaut.content.search.domain import Wanted, phrases
from genonaut.contracts.content import ContentType
from genonaut.platform.http.errors import BadRequestError

MAX_SEARCH_TERM = 500
MAX_TAG_WORDS = 100

Viewer = Annotated[UUID | None, Query(alias="user_id", description="Who looks: their private items are there, too.")]
TagWords = Annotated[list[str] | None, Query(max_length=MAX_TAG_WORDS)]
_Word = Annotated[
    list[str] | None,
    Query(
        max_length=MAX_TAG_WORDS,
        description="Ids or slugs. `animal~descendants` is met by any tag below animal, too.",
        examples=[["night-sky", "animal~descendants"]],
    ),
]


# A coroutine, because FastAPI sends plain functions to a thread.
async def filters(
    *,
    viewer: Viewer = None,
    content_type: ContentType | None = None,
    creator_id: UUID | None = None,
    tag: _Word = None,
    tag_names: Annotated[TagWords, Query(description="Another word for tag.")] = None,
    tag_match: Annotated[str, Query(description="any or all of the tags.", examples=["any"])] = "any",
    exclude_tag: Annotated[TagWords, Query(description="Items with any of these are left out.")] = None,
    search_term: Annotated[
        str | None,
        Query(max_length=MAX_SEARCH_TERM, description='Words and "quoted phrases", all in the title or the prompt.'),
    ] = None,
    min_quality_score: Annotated[float | None, Query(ge=0, le=1)] = None,
    public_only: bool = False,
) -> Wanted:
    """The dependency that reads them. Raises BadRequestError (INVALID_TAG_MATCH)."""
    return Wanted(
        viewer=viewer,
        tags=named_tags([*(tag or []), *(tag_names or [])]),
        every_tag=is_every(tag_match),
        unwanted_tags=named_tags(exclude_tag or []),
        content_type=content_type,
        creator_id=creator_id,
        public_only=public_only,
        min_quality=min_quality_score,
        phrases=phrases(search_term or ""),
    )


def is_every(tag_match: str) -> bool:
    """Whether all tags are wanted rather than any. Raises BadRequestError (INVALID_TAG_MATCH)."""
    if tag_match not in {"any", "all"}:
        raise BadRequestError("tag_match is any or all", error_code="INVALID_TAG_MATCH")
    return tag_match == "all"


def named_tags(words: list[str]) -> list[str]:
    """Each once, without those that are blank."""
    return list(dict.fromkeys(word.strip() for word in words if word.strip()))
