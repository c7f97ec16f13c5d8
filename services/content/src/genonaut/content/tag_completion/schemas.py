"""Completions over HTTP."""

from pydantic import Field

from genonaut.content.tags.schemas import CountedTag


class Completion(CountedTag):
    alias: str | None = Field(description="The alias that what was typed is like, if it is not the tag's own words.")
