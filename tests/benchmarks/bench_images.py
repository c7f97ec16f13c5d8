"""What a picture costs: from its bytes to its files, in a picture process and without one; and a size that is asked for.

    python tests/benchmarks/bench_images.py [--pictures 20]

One painted PNG of 832 x 1216, as a large model makes them, with other text in each so that every file is a new one.
What the process costs is the difference between the first two rows; a cold size is made, a warm one is found.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from io import BytesIO
from pathlib import Path
from time import perf_counter

import psutil
from harness import cost, show, table
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


async def bench(originals: Sequence[bytes]) -> None:
    sizes = list(ThumbnailSize)
    task = {"do": "take_in", "sizes": sizes, "formats": THUMBNAIL_FORMATS}
    stored: list[StoredImage] = []

    async def here() -> None:
        for data in originals:
            drawing.take_in(data, sizes, THUMBNAIL_FORMATS)

    async def there() -> None:
        for data in originals:
            async with pictures.turn() as turn:
                await turn.ask(task, data)

    async def store() -> None:
        stored.extend([await store_image(objects, pictures, data) for data in originals])

    def cold(size: RenditionSize, form: RenditionFormat) -> Callable[[], Awaitable[None]]:
        async def make() -> None:
            for image in stored:
                await make_rendition(objects, pictures, image.sha256, size, form)

        return make

    async def warm() -> None:
        for image in stored:
            await objects.read(rendition_key(image.sha256, RenditionSize.S512, "avif"))

    with tempfile.TemporaryDirectory(prefix="genonaut-bench-") as folder:
        objects, pictures = ObjectStore.at(Path(folder).as_uri()), PicturePool()
        await first(pictures, originals[0])
        rows = {
            "thumbnails made in the own process": await cost(here, {}),
            "in a picture process": await cost(there, {}),
            "in a picture process, stored, synced": await cost(store, {}),
        }
        for size, form in ((RenditionSize.S512, "avif"), (RenditionSize.S512, "webp"), (RenditionSize.S1024, "avif")):
            rows[f"{size:d} as {form}, cold"] = await cost(cold(size, form), {})
        rows["512 as avif, warm"] = await cost(warm, {})
        await bomb(pictures)
        await pictures.close()
    size_mb = sum(map(len, originals)) / len(originals) / 1e6
    report = table(f"Pictures of {SIZE[0]} x {SIZE[1]}, {size_mb:.1f} MB", "", "ms", "CPU ms of this process")
    for name, row in rows.items():
        report.add_row(name, f"{row.seconds / len(originals) * 1e3:.1f}", f"{row.own / len(originals) * 1e3:.1f}")
    show(report)


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
