"""The folders of a server: names counted as SaveImage counts them, and what `/view` lets through."""

import json
import os
import random
import string
import tempfile
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

JSON = dict[str, Any]
SOFTWARE = "genonaut-comfyui-simulator"


class Files:
    """The output folder, and a temporary one that is made when it is needed and removed at the end."""

    def __init__(self, output_dir: Path) -> None:
        self.output_dir = output_dir.absolute()
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self._random = random.Random()  # noqa: S311 - five letters in the name of a temporary picture

    @cached_property
    def _temporary(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="comfyui-simulator-")

    def close(self) -> None:
        """Remove the temporary pictures."""
        if "_temporary" in self.__dict__:
            self._temporary.cleanup()

    def folder(self, kind: str) -> Path | None:
        """Return the folder of a file type (output, temp); None for any other."""
        if kind == "output":
            return self.output_dir
        return Path(self._temporary.name) if kind == "temp" else None

    def save(
        self, pictures: list[Image.Image], prefix: str, metadata: dict[str, str], *, kind: str, cut: bool
    ) -> list[JSON]:
        """Write PNGs named `{prefix}_{00001}_.png` and return their names as history lists them.

        Raises what the real SaveImage raises: for a prefix outside the folder, too long, or with a null byte.
        """
        root = self.folder(kind)
        if root is None:
            raise ValueError(f"no such folder: {kind}")
        if kind == "temp":
            prefix += "_temp_" + "".join(self._random.choices(string.ascii_lowercase, k=5))
        width, height = pictures[0].size
        folder, name, subfolder, counter = _numbered(root, _filled(prefix, width, height))
        saved = []
        for index, picture in enumerate(pictures):
            filename = f"{name.replace('%batch_num%', str(index))}_{counter + index:05}_.png"
            _write(folder / filename, picture, metadata, level=4 if kind == "output" else 1, cut=cut)
            saved.append({"filename": filename, "subfolder": subfolder, "type": kind})
        return saved

    def find(self, filename: str, subfolder: str | None, kind: str) -> Path | int:
        """Return the file that `/view` is asked for, or the status of its refusal: 400, 403 or 404."""
        for annotation in ("output", "temp", "input"):
            if filename.endswith(f" [{annotation}]"):
                filename, kind = filename.removesuffix(f" [{annotation}]"), annotation
        if kind == "input":
            return 404
        folder = self.folder(kind)
        if folder is None or not filename or filename.startswith("/") or ".." in filename or "\0" in filename:
            return 400
        if subfolder:
            folder = Path(os.path.abspath(folder / subfolder))  # noqa: PTH100 - `..` goes, links stay, as in ComfyUI
            if not folder.is_relative_to(self.folder(kind) or folder):
                return 403
        path = folder / Path(filename).name
        return path if path.is_file() else 404


def _filled(prefix: str, width: int, height: int) -> str:
    """Return a prefix with its %variables% filled in."""
    now = time.localtime()
    values = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        **{
            name: f"{value:02}"
            for name, value in zip(("month", "day", "hour", "minute", "second"), now[1:6], strict=True)
        },
    }
    for name, value in values.items():
        prefix = prefix.replace(f"%{name}%", value)
    return prefix


def _numbered(root: Path, filled: str) -> tuple[Path, str, str, int]:
    """Return folder, name, subfolder and the next free number of a prefix; the folder is made."""
    normal = os.path.normpath(filled)
    subfolder, name = os.path.split(normal)
    folder = Path(os.path.abspath(root / subfolder))  # noqa: PTH100 - `..` must be resolved before it is checked
    if not folder.is_relative_to(root):
        raise Exception(  # noqa: TRY002 - the type is part of what ComfyUI answers
            "**** ERROR: Saving image outside the output folder is not allowed.\n"
            f" full_output_folder: {folder}\n         output_dir: {root}\n"
            f"         commonpath: {os.path.commonpath((folder, root))}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    # Counted on the prefix as it was written: one with a trailing slash finds no files and overwrites, as in ComfyUI.
    length = len(os.path.basename(filled))  # noqa: PTH119 - a Path drops the trailing slash that matters here
    numbers = [
        _number(entry.name[length + 1 :]) for entry in os.scandir(folder) if entry.name[: length + 1] == f"{name}_"
    ]
    return folder, name, "" if subfolder == "." else subfolder, max(numbers, default=0) + 1


def _number(rest: str) -> int:
    digits = rest.split("_", maxsplit=1)[0]
    return int(digits) if digits.isdigit() else 0


def _write(path: Path, picture: Image.Image, metadata: dict[str, str], *, level: int, cut: bool) -> None:
    chunks = PngImagePlugin.PngInfo()
    for key, value in metadata.items():
        chunks.add_text(key, value)
    chunks.add_text("Software", SOFTWARE)
    picture.save(path, pnginfo=chunks, compress_level=level)
    if cut:
        os.truncate(path, path.stat().st_size // 2)


def text_chunks(prompt: JSON, extra_data: JSON) -> dict[str, str]:
    """Return what SaveImage writes into a PNG: the whole prompt, and every key of `extra_pnginfo`."""
    extra = extra_data.get("extra_pnginfo") or {}
    return {"prompt": json.dumps(prompt), **{key: json.dumps(value) for key, value in extra.items()}}
