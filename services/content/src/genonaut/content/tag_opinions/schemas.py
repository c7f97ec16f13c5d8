"""Opinions over HTTP."""

from uuid import UUID

from pydantic import BaseModel


class Rating(BaseModel):
    tag_id: UUID
    user_id: UUID
    rating: float


class RatingValue(BaseModel):
    rating: float | None


class Ratings(BaseModel):
    ratings: dict[UUID, float]
