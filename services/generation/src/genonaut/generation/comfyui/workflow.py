"""From a job to ComfyUI's prompt graph: checkpoint, LoRAs, two texts, latent, sampler, decoder, file. Pure."""

from collections.abc import Mapping
from datetime import date
from typing import Any, TypedDict
from uuid import UUID, uuid5

from genonaut.contracts.generation import JobRequested

SAMPLER, CHECKPOINT, LATENT, POSITIVE, NEGATIVE, DECODE, SAVE = "3", "4", "5", "6", "7", "8", "9"
FIRST_LORA = 10


class Node(TypedDict):
    class_type: str
    inputs: dict[str, Any]


Graph = Mapping[str, Node]
"""Nodes by their id. An input is a value, or the link `[node id, output index]`."""


def attempt_id(request_id: UUID, attempt: int) -> UUID:
    """The prompt id of one attempt: the same for whoever drives it, and never that of any other attempt.

    `request_id` is the id of the JobRequested event. A job's number would not do: two databases that share a server
    count the same numbers, and one would be given the other's pictures.
    """
    return uuid5(request_id, f"attempt/{attempt}")


def filename_prefix(prompt_id: UUID, day: date) -> str:
    """Where SaveImage writes. Unique per attempt: an identical prompt would be answered with the first one's file."""
    return f"genonaut/{day:%Y%m%d}/{prompt_id}"


def prompt_graph(job: JobRequested, *, prefix: str) -> Graph:
    """The graph that makes the job's pictures and saves them under `prefix`. SAVE is its only output node."""
    model, clip = [CHECKPOINT, 0], [CHECKPOINT, 1]
    loras: dict[str, Node] = {}
    for number, lora in enumerate(job.lora_models, start=FIRST_LORA):
        loras[str(number)] = _node(
            "LoraLoader",
            lora_name=lora.name,
            strength_model=lora.strength_model,
            strength_clip=lora.strength_clip,
            model=model,
            clip=clip,
        )
        model, clip = [str(number), 0], [str(number), 1]
    return {
        CHECKPOINT: _node("CheckpointLoaderSimple", ckpt_name=job.checkpoint_model),
        **loras,
        POSITIVE: _node("CLIPTextEncode", text=job.prompt, clip=clip),
        NEGATIVE: _node("CLIPTextEncode", text=job.negative_prompt, clip=clip),
        LATENT: _node("EmptyLatentImage", width=job.width, height=job.height, batch_size=job.batch_size),
        SAMPLER: _node(
            "KSampler",
            **job.sampler_params.model_dump(),
            model=model,
            positive=[POSITIVE, 0],
            negative=[NEGATIVE, 0],
            latent_image=[LATENT, 0],
        ),
        DECODE: _node("VAEDecode", samples=[SAMPLER, 0], vae=[CHECKPOINT, 2]),
        SAVE: _node("SaveImage", filename_prefix=prefix, images=[DECODE, 0]),
    }


def _node(class_type: str, **inputs: Any) -> Node:
    return {"class_type": class_type, "inputs": inputs}
