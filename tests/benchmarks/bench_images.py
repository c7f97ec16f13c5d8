"""What a picture costs from its bytes to its files: verified, with six thumbnails, stored and synced.

    python tests/benchmarks/bench_images.py [--pictures 20]

One painted PNG of 832 x 1216, as a large model makes them, with other text in each so that every file is a new one.
The baseline is looking at it alone, which is what an upload that is refused costs.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from harness import cost, show, table
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from genonaut.platform.images import store_image, thumbnails, verify
from genonaut.platform.objects import ObjectStore

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
    async def look() -> None:
        for data in originals:
            verify(data)

    async def shrink() -> None:
        for data in originals:
            thumbnails(data)

    async def store() -> None:
        for data in originals:
            await store_image(objects, data)

    with tempfile.TemporaryDirectory(prefix="genonaut-bench-") as folder:
        objects = ObjectStore.at(Path(folder).as_uri())
        rows = {
            "verified": await cost(look, {}),
            "verified, with its thumbnails": await cost(shrink, {}),
            "stored with its thumbnails, synced": await cost(store, {}),
        }
    size = sum(map(len, originals)) / len(originals) / 1e6
    report = table(f"Pictures of {SIZE[0]} x {SIZE[1]}, {size:.1f} MB", "", "ms", "CPU ms")
    for name, row in rows.items():
        report.add_row(name, f"{row.seconds / len(originals) * 1e3:.0f}", f"{row.own / len(originals) * 1e3:.0f}")
    show(report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20)
    asyncio.run(bench(pictures(parser.parse_args().pictures)))


if __name__ == "__main__":
    main()
