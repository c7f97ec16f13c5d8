"""Aliases and implications over HTTP."""

from pydantic import BaseModel, ConfigDict, Field

from genonaut.content.tags.schemas import Slug, TagWord


class NewAlias(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"alias": "starry-sky"}]})

    alias: Slug = Field(description="A slug, in whatever spelling. It may be that of a tag.")


class NewImplication(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"implied": "animal"}]})

    implied: TagWord = Field(description="An id or a slug. A slug that is unknown becomes a tag.")
