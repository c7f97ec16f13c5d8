"""The models a simulated server offers: a built-in list, and whatever files lie in a models folder right now."""

from pathlib import Path

FOLDERS = (
    "checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models", "clip_vision", "style_models",
    "embeddings", "diffusers", "vae_approx", "controlnet", "gligen", "upscale_models", "custom_nodes", "hypernetworks",
    "photomaker", "classifiers", "model_patches", "audio_encoders",
)  # fmt: skip

BROKEN_CHECKPOINTS = {
    "corrupted.safetensors": "header too large",
    "empty.safetensors": "header too small",
    "truncated.safetensors": "incomplete metadata, file not fully covered",
}
"""Checkpoints that pass validation and cannot be loaded, and why."""

_BUILT_IN = {
    "checkpoints": (
        *BROKEN_CHECKPOINTS,
        "sd15_random_fp16.safetensors",
        "sd15_tiny_random.safetensors",
        "sd_xl_base_1.0.safetensors",
        "v1-5-pruned-emaonly-fp16.safetensors",
    ),
    "loras": ("lab_random_lora.safetensors", "styles/sub_lora.safetensors"),
}


class Models:
    """Model names by folder; a file added to the models folder is listed at once."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def names(self, kind: str) -> list[str]:
        """Return the names of one folder, sorted, subfolders with `/`."""
        found = set(_BUILT_IN.get(kind, ()))
        if self._folder:
            root = self._folder / kind
            found.update(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        return sorted(found)
