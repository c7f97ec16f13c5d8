"""The hierarchy over HTTP."""

from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from genonaut.content.tag_opinions.domain import average
from genonaut.content.tags.schemas import TagLink, TagWord


class NewParents(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"parents": ["medium"]}]})

    parents: list[TagWord] = Field(
        min_length=1, max_length=100, description="Ids or slugs. A slug that is unknown becomes a tag."
    )


class Node(TagLink):
    parent: UUID | None = Field(description="The first of its parents by name; null for a root.")
    parents: list[UUID]
    average_rating: float | None = Field(default=None, description="Only where ratings are included.")
    rating_count: int = Field(default=0, description="Only where ratings are included.")


class Statistics(BaseModel):
    total_nodes: int = Field(serialization_alias="totalNodes")
    total_relationships: int = Field(serialization_alias="totalRelationships")
    root_categories: int = Field(serialization_alias="rootCategories")


class HierarchyMetadata(Statistics):
    last_updated: datetime | None = Field(serialization_alias="lastUpdated")
    format: Literal["flat_array"]
    version: Literal["2.0"]


class Hierarchy(BaseModel):
    nodes: list[Node]
    metadata: HierarchyMetadata

    @classmethod
    def of(cls, tags: list[dict[str, Any]], edges: list[tuple[UUID, UUID]], *, rated: bool = False) -> Self:
        """From all tags and all (tag, parent) pairs, both in the order they shall have.

        Ratings that are not wanted are not set: whoever sends this leaves out what is not.
        """
        parents: dict[UUID, list[UUID]] = {}
        for tag_id, parent_id in edges:
            parents.setdefault(tag_id, []).append(parent_id)
        nodes = []
        for tag in tags:
            above = parents.get(tag["id"], [])
            link = {name: tag[name] for name in TagLink.model_fields}
            node = {**link, "parent": next(iter(above), None), "parents": above}
            if rated:
                node["rating_count"] = tag["rating_count"]
                node["average_rating"] = average(tag["half_stars"], tag["rating_count"])
            nodes.append(Node(**node))
        return cls(
            nodes=nodes,
            metadata=HierarchyMetadata(
                total_nodes=len(nodes),
                total_relationships=len(edges),
                root_categories=sum(not node.parents for node in nodes),
                last_updated=max((tag["updated_at"] for tag in tags), default=None),
                format="flat_array",
                version="2.0",
            ),
        )
