"""Events of a generation job, with plausible values for all that a test does not say."""

from typing import Any
from uuid import UUID

from genonaut.contracts.generation import JobCompleted, JobRequested, SamplerParams
from genonaut.contracts.images import StoredImage

IMAGE = StoredImage(sha256="ab" * 32, media_type="image/png", width=832, height=1216, size_bytes=9)

_JOB = {"job_id": 7, "user_id": UUID(int=1)}


def job_requested(**said: Any) -> JobRequested:
    usual: dict[str, Any] = {
        **_JOB,
        "job_type": "image_generation",
        "prompt": "a lighthouse",
        "checkpoint_model": "model",
        "width": 832,
        "height": 1216,
        "batch_size": 1,
        "sampler_params": SamplerParams(seed=1),
    }
    return JobRequested(**(usual | said))


def job_completed(**said: Any) -> JobCompleted:
    """The first attempt, with one image."""
    usual: dict[str, Any] = {
        **_JOB,
        "attempt": 1,
        "images": [IMAGE],
        "generation_ms": 5000,
        "title": "A lighthouse",
        "prompt": "a lighthouse",
        "checkpoint_model": "model",
    }
    return JobCompleted(**(usual | said))
