"""Jobs over HTTP."""

from collections.abc import Mapping
from datetime import datetime
from secrets import randbelow
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from genonaut.contracts.generation import JobRequested, JobType, Lora, SamplerParams
from genonaut.generation.jobs.domain import TITLE_LENGTH, Status

MAX_PARAMS_BYTES = 64 * 1024
"""The work message carries them, and a message of the bus is at most 1 MiB."""
MAX_PARAMS_DEPTH = 16
SEEDS = 2**53
"""A drawn seed is one that JavaScript can say again."""

IN_PARAMS = (
    "negative_prompt",
    "checkpoint_model",
    "lora_models",
    "width",
    "height",
    "batch_size",
    "sampler_params",
    "title",
    "tags",
    "is_private",
)
"""What a wish may say in its params instead."""

Side = Annotated[int, Field(ge=64, le=2048, multiple_of=8)]
Strength = Annotated[float, Field(ge=-10, le=10)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
ModelName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, max_length=TITLE_LENGTH)]

AnyStatus = Annotated[
    Literal["pending", "queued", "running", "completed", "failed", "cancelled"],
    Field(description="`queued` is another word for `pending`."),
]


def stored_status(status: AnyStatus) -> Status:
    """The one word for it that is stored and shown."""
    return "pending" if status == "queued" else status


def _bounded(params: dict[str, Any]) -> dict[str, Any]:
    if _deeper(params, MAX_PARAMS_DEPTH):
        raise ValueError(f"is nested more than {MAX_PARAMS_DEPTH} deep")
    if len(orjson.dumps(params)) > MAX_PARAMS_BYTES:
        raise ValueError(f"is larger than {MAX_PARAMS_BYTES // 1024} KiB")
    return params


def _deeper(value: Any, levels: int) -> bool:
    """Whether objects and lists are nested more than so many levels deep; looks no further than that."""
    inner = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and (levels == 0 or any(_deeper(each, levels - 1) for each in inner))


Params = Annotated[dict[str, Any], AfterValidator(_bounded)]


class WantedLora(BaseModel):
    name: ModelName
    strength_model: Strength = 0.8
    strength_clip: Strength = 0.8


class WantedSampler(BaseModel):
    seed: int | None = Field(default=None, ge=0, lt=2**64, description="Drawn, and shown in the job, when absent.")
    steps: int = Field(default=28, ge=1, le=200)
    cfg: float = Field(default=5.5, ge=0, le=100)
    sampler_name: Word = "euler"
    scheduler: Word = "normal"
    denoise: float = Field(default=1.0, ge=0, le=1)


def _without_nulls(value: Any) -> Any:
    return {name: entry for name, entry in value.items() if entry is not None} if isinstance(value, dict) else value


class NewJob(BaseModel):
    """A wish. What the body does not say may stand in `params`, which is kept as it came."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "7d0c1c6e-1f7a-4c55-9b0e-2f4f5c1f8a01",
                    "job_type": "image_generation",
                    "prompt": "a lighthouse at dusk, oil on canvas",
                    "width": 832,
                    "height": 1216,
                    "sampler_params": {"steps": 28, "cfg": 5.5},
                    "params": {"title": "A lighthouse", "tags": ["night-sky"]},
                }
            ]
        }
    )

    user_id: UUID
    job_type: JobType = "image_generation"
    prompt: str = Field(min_length=1, max_length=20_000, pattern=r"\S")
    params: Params = Field(default_factory=dict, description="Also called `parameters`.")
    negative_prompt: str = Field(default="", max_length=20_000)
    checkpoint_model: ModelName | None = Field(default=None, description="Default: the platform's.")
    lora_models: list[WantedLora] = Field(default_factory=list, max_length=16)
    width: Side = 832
    height: Side = 1216
    batch_size: int = Field(default=1, ge=1, le=16)
    sampler_params: Annotated[WantedSampler, BeforeValidator(_without_nulls)] = Field(default_factory=WantedSampler)
    title: Title | None = Field(default=None, description="Default: the beginning of the prompt.")
    tags: list[Word] = Field(default_factory=list, max_length=100)
    is_private: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_params(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        given = _without_nulls(body)
        params: dict[str, Any] = {}
        for name in ("parameters", "params"):
            part = given.pop(name, {})
            if not isinstance(part, dict):
                return {**given, "params": part}  # refused as such
            params |= part
        inside = {name: params[name] for name in IN_PARAMS if params.get(name) is not None}
        return {**inside, **given, "params": params}

    def requested(self, job_id: int, *, default_checkpoint: str) -> JobRequested:
        """The job that this asks for, with everything decided that it leaves open."""
        sampler = self.sampler_params
        seed = randbelow(SEEDS) if sampler.seed is None else sampler.seed
        return JobRequested(
            job_id=job_id,
            user_id=self.user_id,
            job_type=self.job_type,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            checkpoint_model=self.checkpoint_model or default_checkpoint,
            lora_models=[Lora(**lora.model_dump()) for lora in self.lora_models],
            width=self.width,
            height=self.height,
            batch_size=self.batch_size,
            sampler_params=SamplerParams(**sampler.model_dump(exclude={"seed"}), seed=seed),
            params=self.params,
            title=self.title or None,
            tags=list(dict.fromkeys(self.tags)),
            is_private=self.is_private,
        )


class Cancellation(BaseModel):
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)] = ""


class Job(BaseModel):
    """A job as it stands."""

    id: int
    user_id: UUID
    job_type: JobType
    status: Status
    prompt: str
    params: dict[str, Any]
    content_id: int | None = Field(description="The first of its items in the gallery, once they are there.")
    content_ids: list[int]
    error_message: str | None
    error_type: str | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None = Field(description="When it ended, whichever way.")
    dispatch_id: UUID = Field(description="Its message in the work queue.")
    negative_prompt: str
    checkpoint_model: str
    lora_models: list[Lora]
    width: int
    height: int
    batch_size: int
    sampler_params: SamplerParams
    comfyui_prompt_id: UUID | None
    output_paths: list[str] = Field(description="Where its images are, in their order.")
    thumbnail_paths: list[str]
    attempt: int = Field(description="How often a worker has begun it.")
    is_private: bool


class JobEvents(BaseModel):
    """What the gateway streams: the job's log from a position on."""

    events: list[Mapping[str, Any]]
