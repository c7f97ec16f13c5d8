"""What the node types do when they run."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from genonaut.comfyui_simulator.faults import Faults
from genonaut.comfyui_simulator.files import Files, text_chunks
from genonaut.comfyui_simulator.models import BROKEN_CHECKPOINTS
from genonaut.comfyui_simulator.run import InterruptedRun, NodeFailure, Run
from genonaut.comfyui_simulator.values import Blank, Conditioning, Drawing, Handle, Inverted, Latent

JSON = dict[str, Any]
T = TypeVar("T")
_LATENT_GREY = 0x6E6A66
_OUT_OF_MEMORY_TIPS = (
    "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might have "
    "accidentally set the batch_size to a large number."
)


@dataclass(frozen=True)
class Result:
    """What a node gives: a value per output slot, and what history shows of it."""

    values: tuple[Any, ...] = ()
    ui: JSON | None = None


@dataclass
class Workshop:
    """What the nodes work with. One thread draws, so that the server answers meanwhile."""

    files: Files
    faults: Faults
    die: Callable[[str], None]
    step_seconds: float
    with_previews: bool
    is_interrupted: bool = False
    painter: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "painter"))

    async def paint(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.painter, work)

    def check_interrupted(self) -> None:
        """Raise InterruptedRun once after an interrupt: asked at every node's start and at every sampling step."""
        if self.is_interrupted:
            self.is_interrupted = False
            raise InterruptedRun


Behaviour = Callable[[Workshop, Run, str, JSON], Awaitable[Result]]


async def load_checkpoint(_: Workshop, __: Run, ___: str, inputs: JSON) -> Result:
    name = inputs["ckpt_name"]
    if name in BROKEN_CHECKPOINTS:
        message = f"Error while deserializing header: {BROKEN_CHECKPOINTS[name]}"
        raise NodeFailure(message, "safetensors._safetensors_rust.SafetensorError")
    return Result((Handle("MODEL", name), Handle("CLIP", name), Handle("VAE", name)))


async def load_lora(_: Workshop, __: Run, ___: str, inputs: JSON) -> Result:
    return Result((inputs["model"], inputs["clip"]))


async def encode_text(_: Workshop, __: Run, ___: str, inputs: JSON) -> Result:
    return Result((Conditioning(inputs["text"]),))


async def empty_latent(_: Workshop, __: Run, ___: str, inputs: JSON) -> Result:
    width, height = inputs["width"] // 8 * 8, inputs["height"] // 8 * 8
    return Result((Latent(width, height, (Blank(width, height, _LATENT_GREY),) * inputs["batch_size"]),))


async def empty_image(_: Workshop, __: Run, ___: str, inputs: JSON) -> Result:
    blank = Blank(inputs["width"], inputs["height"], inputs["color"])
    return Result(((blank,) * inputs["batch_size"],))


async def invert_image(_: Workshop, __: Run, ___: str, inputs: JSON) -> Result:
    return Result((tuple(Inverted(picture) for picture in inputs["image"]),))


async def decode(_: Workshop, __: Run, ___: str, inputs: JSON) -> Result:
    return Result((inputs["samples"].batch,))


async def sample(workshop: Workshop, run: Run, node_id: str, inputs: JSON) -> Result:
    """Turn a latent into drawings, one seed after the other, in steps that can be watched and stopped."""
    if not isinstance(inputs["model"], Handle):
        kind = type(inputs["model"]).__name__
        raise NodeFailure(f"'{kind}' object has no attribute 'get_model_object'", "AttributeError")
    latent: Latent = inputs["latent_image"]
    batch = tuple(
        Drawing(inputs["positive"].text, inputs["seed"] + index, latent.width, latent.height)
        for index in range(len(latent.batch))
    )
    faults = workshop.faults
    slow = faults.value("step_seconds")
    step_seconds = workshop.step_seconds if slow is None else slow
    faults.fire("step_seconds")
    if faults.fire("out_of_memory"):
        raise NodeFailure("Allocation on device ", "torch.OutOfMemoryError", _OUT_OF_MEMORY_TIPS)
    steps = inputs["steps"]
    for step in range(1, steps + 1):
        await asyncio.sleep(step_seconds)
        workshop.check_interrupted()
        preview = None
        if workshop.with_previews and step_seconds and run.is_watched:
            done = step / steps
            preview = await workshop.paint(lambda done=done: batch[0].preview(done))  # type: ignore[misc]
        run.step(node_id, step, steps, preview)
        if faults.value("drop_socket_at_step") == step and faults.fire("drop_socket_at_step"):
            await asyncio.sleep(0)  # the step itself still arrives
            run.sockets.drop(run.client_id)
        if faults.value("die_at_step") == step and faults.fire("die_at_step"):
            workshop.die(f"the fault die_at_step={step}")
            await asyncio.sleep(0)
    return Result((Latent(latent.width, latent.height, batch),))


def saving(prefix: str | None, kind: str) -> Behaviour:
    """Return the behaviour of a node that saves images of a type, under its own `prefix` or the one it is given."""

    async def save(workshop: Workshop, run: Run, _: str, inputs: JSON) -> Result:
        metadata = text_chunks(run.prompt, run.extra_data)
        cut = workshop.faults.fire("corrupt_files")
        name = inputs["filename_prefix"] if prefix is None else prefix

        def work() -> list[JSON]:
            rendered = [picture.render() for picture in inputs["images"]]
            return workshop.files.save(rendered, name, metadata, kind=kind, cut=cut)

        return Result(ui={"images": await workshop.paint(work)})

    return save


BEHAVIOURS: dict[str, Behaviour] = {
    "CheckpointLoaderSimple": load_checkpoint,
    "LoraLoader": load_lora,
    "CLIPTextEncode": encode_text,
    "EmptyLatentImage": empty_latent,
    "KSampler": sample,
    "VAEDecode": decode,
    "EmptyImage": empty_image,
    "ImageInvert": invert_image,
    "SaveImage": saving(None, "output"),
    "PreviewImage": saving("ComfyUI", "temp"),
}
