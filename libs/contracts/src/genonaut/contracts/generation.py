"""What the generation service states: the life of a job, up to exactly one of completed, failed, cancelled."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from genonaut.contracts.event import Event
from genonaut.contracts.images import StoredImage

JobType = Literal["text_generation", "image_generation", "video_generation", "audio_generation"]


class Lora(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    strength_model: float = 0.8
    strength_clip: float = 0.8


class SamplerParams(BaseModel):
    """The KSampler node's inputs. The seed is always the one that was used, never "random"."""

    model_config = ConfigDict(frozen=True)

    seed: int = Field(ge=0, lt=2**64)
    steps: int = 28
    cfg: float = 5.5
    sampler_name: str = "euler"
    scheduler: str = "normal"
    denoise: float = 1.0


class JobRequested(Event, type="generation.job.requested"):
    """A job was accepted. It is also work: see `genonaut.contracts.streams.WORK`."""

    job_id: int
    user_id: UUID
    job_type: JobType
    prompt: str
    negative_prompt: str = ""
    checkpoint_model: str
    lora_models: list[Lora] = Field(default_factory=list)
    width: int
    height: int
    batch_size: int
    sampler_params: SamplerParams
    params: dict[str, Any] = Field(default_factory=dict)
    """The client's own parameters, kept as they came."""
    title: str | None = None
    tags: list[str] = Field(default_factory=list)
    is_private: bool = False


class JobStarted(Event, type="generation.job.started"):
    job_id: int
    user_id: UUID
    attempt: int
    """From 1. A job is tried again only when its worker was lost, never after ComfyUI's own verdict."""
    worker: str
    comfyui_prompt_id: UUID
    queue_wait_ms: int


class JobRequeued(Event, type="generation.job.requeued"):
    """The attempt came to nothing through no fault of the job; it waits for a worker again."""

    job_id: int
    user_id: UUID
    attempt: int
    reason: str


def _one_image_to_many(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew one image a job; batches made it a list."""
    image = data.pop("image")
    return {**data, "images": [image]}


class JobCompleted(Event, type="generation.job.completed", version=2):
    upcasters = {1: _one_image_to_many}  # noqa: RUF012 - a ClassVar of the base class

    job_id: int
    user_id: UUID
    attempt: int
    images: list[StoredImage] = Field(min_length=1)
    generation_ms: int
    """From the start of the attempt to its last stored file."""
    title: str
    prompt: str
    tags: list[str] = Field(default_factory=list)
    is_private: bool = False
    checkpoint_model: str
    item_metadata: dict[str, Any] = Field(default_factory=dict)
    """The generation parameters, for the gallery."""


class JobFailed(Event, type="generation.job.failed"):
    job_id: int
    user_id: UUID
    attempt: int
    """0 when no attempt was made."""
    error_type: str
    """A stable word: validation, node_error, out_of_memory, worker_lost, timeout, unsupported_job_type, …"""
    error_message: str
    generation_ms: int
    checkpoint_model: str


class JobCancelled(Event, type="generation.job.cancelled"):
    job_id: int
    user_id: UUID
    attempt: int
    reason: str
    checkpoint_model: str


class JobPublished(Event, type="generation.job.published"):
    """The gallery has the job's images, in their order."""

    job_id: int
    user_id: UUID
    content_ids: list[int] = Field(min_length=1)
