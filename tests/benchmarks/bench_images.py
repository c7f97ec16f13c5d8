"""What a picture costs: from its bytes to its files, in a picture process and without one; and sizes on demand.

    python tests/benchmarks/bench_images.py [--pictures 20]

One painted PNG of 832 x 1216, as a large model makes them, with other text in each so that every file is a new one.
What the process costs is the difference between the first two rows; a cold size is made, a warm one is found.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from time import perf_counter

import psutil
from harness import Cost, cost, show, table
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from genonaut.contracts.images import StoredImage, ThumbnailSize
from genonaut.platform.images import (
    THUMBNAIL_FORMATS,
    RenditionFormat,
    RenditionSize,
    make_rendition,
    rendition_key,
    store_image,
)
from genonaut.platform.objects import ObjectStore
from genonaut.platform.pictures import drawing
from genonaut.platform.pictures.pool import PicturePool
from genonaut.platform.pictures.protocol import RefusedError

SIZE = (832, 1216)


def pictures(count: int) -> list[bytes]:
    """Noise upon a gradient: as hard to compress as a painting, some 1.4 MB."""
    gradient = Image.linear_gradient("L").resize(SIZE)
    noise = Image.effect_noise(SIZE, 40)
    painted = Image.merge("RGB", [Image.blend(gradient, noise, share) for share in (0.1, 0.15, 0.2)])
    made = []
    for number in range(count):
        info, file = PngInfo(), BytesIO()
        info.add_text("number", str(number))
        painted.save(file, "PNG", pnginfo=info)
        made.append(file.getvalue())
    return made


SIZES = list(ThumbnailSize)
COLD: Sequence[tuple[RenditionSize, RenditionFormat]] = (
    (RenditionSize.S512, "avif"),
    (RenditionSize.S512, "webp"),
    (RenditionSize.S1024, "avif"),
)


async def bench(originals: Sequence[bytes]) -> None:
    with tempfile.TemporaryDirectory(prefix="genonaut-bench-") as folder:
        pictures = PicturePool()
        await first(pictures, originals[0])
        rows = await measured(ObjectStore.at(Path(folder).as_uri()), pictures, originals)
        await bomb(pictures)
        await pictures.close()
    megabytes = sum(map(len, originals)) / len(originals) / 1e6
    report = table(f"Pictures of {SIZE[0]} x {SIZE[1]}, {megabytes:.1f} MB", "", "ms", "CPU ms of this process")
    for name, row in rows.items():
        report.add_row(name, f"{row.seconds / len(originals) * 1e3:.1f}", f"{row.own / len(originals) * 1e3:.1f}")
    show(report)


async def measured(objects: ObjectStore, pictures: PicturePool, originals: Sequence[bytes]) -> dict[str, Cost]:
    stored: list[StoredImage] = []

    async def here() -> None:
        for data in originals:
            drawing.take_in(data, SIZES, THUMBNAIL_FORMATS)

    async def there() -> None:
        for data in originals:
            async with pictures.turn() as turn:
                await turn.ask({"do": "take_in", "sizes": SIZES, "formats": THUMBNAIL_FORMATS}, data)

    async def store() -> None:
        stored.extend([await store_image(objects, pictures, data) for data in originals])

    rows = {
        "thumbnails made in the own process": await cost(here, {}),
        "in a picture process": await cost(there, {}),
        "in a picture process, stored, synced": await cost(store, {}),
    }
    hashes = [image.sha256 for image in stored]
    for size, form in COLD:
        rows[f"{size:d} as {form}, cold"] = await cost(partial(make, objects, pictures, hashes, size, form), {})
    rows[f"{size:d} as {form}, warm"] = await cost(partial(read, objects, hashes, size, form), {})
    return rows


async def make(
    objects: ObjectStore, pictures: PicturePool, hashes: Sequence[str], size: RenditionSize, form: RenditionFormat
) -> None:
    for sha256 in hashes:
        await make_rendition(objects, pictures, sha256, size, form)


async def read(objects: ObjectStore, hashes: Sequence[str], size: RenditionSize, form: RenditionFormat) -> None:
    for sha256 in hashes:
        await objects.read(rendition_key(sha256, size, form))


async def first(pictures: PicturePool, data: bytes) -> None:
    """What the start of a process costs the first who needs one."""
    begun = perf_counter()
    async with pictures.turn() as turn:
        await turn.ask({"do": "clean"}, data)
    started = perf_counter() - begun
    begun = perf_counter()
    async with pictures.turn() as turn:
        await turn.ask({"do": "clean"}, data)
    again = perf_counter() - begun
    memory = psutil.Process(pictures.idle[0]).memory_info().rss
    print(f"A picture process starts in {(started - again) * 1e3:.0f} ms and idles at {memory / 1e6:.0f} MB.")


async def bomb(pictures: PicturePool) -> None:
    """Ten kilobytes that are 67 million pixels decoded, then a few more that are too many."""
    largest, too_large = BytesIO(), BytesIO()
    Image.new("1", (8192, 8192)).save(largest, "PNG", optimize=True)
    Image.new("1", (8192, 8200)).save(too_large, "PNG", optimize=True)
    own = psutil.Process().memory_info().rss
    for name, file in (("largest", largest), ("too large", too_large)):
        begun = perf_counter()
        outcome = "taken"
        try:
            async with pictures.turn() as turn:
                await turn.ask({"do": "take_in", "sizes": [300], "formats": ["webp"]}, file.getvalue())
        except RefusedError as refused:
            outcome = str(refused)
        took, grown = perf_counter() - begun, psutil.Process().memory_info().rss - own
        size = len(file.getvalue())
        print(
            f"The {name}, {size / 1e3:.0f} kB: {outcome}, {took * 1e3:.0f} ms, {grown / 1e6:+.0f} MB in this process."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20)
    asyncio.run(bench(pictures(parser.parse_args().pictures)))


if __name__ == "__main__":
    main()
