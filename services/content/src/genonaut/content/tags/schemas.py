"""Tags over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from genonaut.content.tags.domain import MAX_SLUG, TagReference, slug_of


def _reference(text: str) -> str:
    TagReference.of(text)
    return text


TagWord = Annotated[str, AfterValidator(_reference)]
"""A tag as a client names it: its id or its slug."""


class NewTag(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"slug": "oil-painting", "name": "Oil Painting", "parents": ["medium"]}]}
    )

    slug: Annotated[str, AfterValidator(slug_of)] | None = Field(default=None, description="Default: from the name.")
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


class Tag(BaseModel):
    id: UUID
    slug: str
    name: str
    created_at: datetime
    updated_at: datetime


class TagWithParents(Tag):
    parents: list[Tag]


class Node(BaseModel):
    id: UUID
    slug: str
    name: str
    parent: UUID | None = Field(description="The first of its parents by name; null for a root.")
    parents: list[UUID]


class HierarchyMetadata(BaseModel):
    total_nodes: int = Field(serialization_alias="totalNodes")
    total_relationships: int = Field(serialization_alias="totalRelationships")
    root_categories: int = Field(serialization_alias="rootCategories")
    last_updated: datetime | None = Field(serialization_alias="lastUpdated")
    format: Literal["flat_array"] = "flat_array"
    version: Literal["2.0"] = "2.0"


class Hierarchy(BaseModel):
    nodes: list[Node]
    metadata: HierarchyMetadata

    @classmethod
    def of(cls, tags: list[dict[str, Any]], edges: list[tuple[UUID, UUID]]) -> Self:
        """From all tags and all (tag, parent) pairs, both in the order they shall have."""
        parents: dict[UUID, list[UUID]] = {}
        for tag_id, parent_id in edges:
            parents.setdefault(tag_id, []).append(parent_id)
        nodes = [
            Node(
                id=tag["id"],
                slug=tag["slug"],
                name=tag["name"],
                parent=next(iter(parents.get(tag["id"], [])), None),
                parents=parents.get(tag["id"], []),
            )
            for tag in tags
        ]
        return cls(
            nodes=nodes,
            metadata=HierarchyMetadata(
                total_nodes=len(nodes),
                total_relationships=len(edges),
                root_categories=sum(not node.parents for node in nodes),
                last_updated=max((tag["updated_at"] for tag in tags), default=None),
            ),
        )
