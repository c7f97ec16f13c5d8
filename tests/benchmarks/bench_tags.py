"""Search by tags at the seed's size: ours beside the seed's baseline, an array with GIN, and bitmaps in memory.

    python tests/benchmarks/bench_tags.py [--pairs 100k|10m|88m] [--questions 661]

Questions of some 50 shapes are asked one after the other in random order, each of every design, those in random order,
too, so that what else the machine does meets all alike. Every answer, total and page, is compared with the one from
memory, and one that differs is the end. The baseline takes seconds for each at full size: there it is asked one
question of each shape. Then all but the baseline and the array are asked once more with nothing left to fold, as it is
when nobody has written for a while, the content service is asked over HTTP, and writing is measured.
"""

import argparse
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncpg
import uvloop
from harness import quiet_logs, require, servers, show, table
from load import Latencies
from rich.table import Table
from tag_designs import Arrays, Bitmaps, BitmapsAndRows, ColdSegments, Design, Endpoint, Junction, Segments
from tag_questions import Question, questions
from tag_requests import requested
from tag_tables import fill, fill_junction, stored
from tag_writes import written
from tagged_gallery import SIZES, Gallery

from genonaut.content.search.upkeep import fold_everything

BASELINE_ITEMS = 500_000
"""So many items are gone through for each shape, if not once: the baseline takes seconds for each question."""


@dataclass
class Took:
    """What the questions took of one design."""

    of: dict[Question, float] = field(default_factory=dict)
    """Milliseconds by question."""
    here: float = 0.0
    """Milliseconds of CPU in this process, of all questions."""
    backend: float = 0.0
    """The same in Postgres, without what it does in parallel."""

    def cpu(self) -> list[str]:
        """For each question."""
        return [f"{spent / len(self.of):,.2f}" for spent in (self.here, self.backend)]

    def against(self, other: "Took") -> float:
        """How many times as long it took as the other one did, for the same question: the median."""
        return statistics.median(
            took / other.of[question] for question, took in self.of.items() if question in other.of
        )

    def row(self, group: str | None = None) -> list[str]:
        latencies = [took for question, took in self.of.items() if group in {None, question.group}]
        cuts = Latencies.of(latencies)
        return [f"{ms:,.2f}" for ms in (cuts.p50, cuts.p95, cuts.p99, max(latencies))]

    def deep(self) -> list[float]:
        """How many times as long as the first page a page far behind it took, with the same tags."""
        first = {(question.shape, question.number): took for question, took in self.of.items()}
        pairs = [(took, (q.shape.partition(", deep")[0], q.number)) for q, took in self.of.items() if "deep" in q.shape]
        return [took / first[key] for took, key in pairs if key in first]


def on_cpu(backends: Sequence[int]) -> float:
    """Milliseconds that these processes have been running."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in backends) / 1e6


async def compared(
    designs: Sequence[Design], asked: Sequence[Question], truth: Bitmaps, backends: Sequence[int]
) -> Mapping[str, Took]:
    """Raises RuntimeError when two answers differ."""
    choose = random.Random(1)
    took = {design.name: Took() for design in designs}
    for question in choose.sample(list(asked), len(asked)):
        expected = await truth.answer(question)
        for design in choose.sample(list(designs), len(designs)):
            if isinstance(design, Junction) and question.number * truth.items > BASELINE_ITEMS:
                continue
            each, backend, here, began = took[design.name], on_cpu(backends), time.process_time(), time.perf_counter()
            answer = await design.answer(question)
            each.of[question] = (time.perf_counter() - began) * 1000
            each.here += (time.process_time() - here) * 1000
            each.backend += on_cpu(backends) - backend
            require(answer == expected, f"{design.name} answers {question} with {answer} and not {expected}")
    return took


def reported(took: Mapping[str, Took]) -> list[Table]:
    baseline, ours, limit = took[Junction.name], took[Segments.name], took[BitmapsAndRows.name]
    whole = table(
        "One page and the exact total, in ms; CPU ms for each, on average; how many times faster than the baseline",
        *("", "asked", "p50", "p95", "p99", "most", "CPU here", "in Postgres", "faster", "of the limit", "deep/first"),
    )
    for name, each in took.items():
        ratios = [f"{1 / each.against(baseline):,.0f} x", f"{each.against(limit):,.1f} x"]
        deep = f"{statistics.median(each.deep()):.2f}"
        whole.add_row(name, str(len(each.of)), *each.row(), *each.cpu(), *ratios, deep)
    groups = table("By what is asked, p50 / p95 in ms", "", "asked", *took)
    for group in dict.fromkeys(question.group for question in ours.of):
        cells = [each.row(group) for each in took.values()]
        count = sum(question.group == group for question in ours.of)
        groups.add_row(group, str(count), *(f"{p50} / {p95}" for p50, p95, *_ in cells))
    return [whole, groups]


def reported_folded(took: Mapping[str, Took]) -> Table:
    """Of designs without the baseline among them."""
    found = table(
        "The same with nothing left to fold",
        *("", "p50", "p95", "p99", "most", "CPU here", "in Postgres", "of the limit", "deep/first"),
    )
    for name, each in took.items():
        ratios = f"{each.against(took[BitmapsAndRows.name]):,.1f} x", f"{statistics.median(each.deep()):.2f}"
        found.add_row(name, *each.row(), *each.cpu(), *ratios)
    return found


async def bench(size: str, count: int) -> None:
    gallery = Gallery.of(size)
    began = time.monotonic()
    async with servers() as site:
        connection = await asyncpg.connect(
            site.database_url("genonaut_admin"), server_settings={"search_path": "content", "jit": "off"}
        )
        pairs = await fill(connection, gallery)
        filled = time.monotonic() - began
        await fill_junction(connection)
        truth = Bitmaps(gallery)
        print(
            f"{gallery.items:,} items with {pairs:,} tags in {filled:.0f} s, "
            f"the junction and the bitmaps in {time.monotonic() - began - filled:.0f} s",
            flush=True,
        )
        asked = [
            replace(question, start=truth.before(question)) if question.by_cursor else question
            for question in questions(gallery, count)
        ]
        async with site.database("content") as database:
            ours = Segments(database)
            for question in asked:
                await ours.answer(question)
            slow = [Junction(connection), Arrays(connection)]
            designs = [ColdSegments(database), ours, Endpoint(database), BitmapsAndRows(truth, connection), truth]
            async with database.driver() as driver:
                backends = [driver.get_server_pid(), connection.get_server_pid()]
            took = await compared([*slow, *designs], asked, truth, backends)
            storage = await stored(connection, truth.bytes())
            await fold_everything(database)
            for question in asked:
                await ours.answer(question)
            folded = await compared(designs, asked, truth, backends)
        show(*reported(took), reported_folded(folded), storage, note=AIMS)
        show(await requested(site, asked))
        show(await written(connection, gallery))
        await connection.close()


AIMS = (
    "No answer differed. Aims at full size, ours: p50 2, p95 8, p99 15 ms; 500 times faster than the baseline; "
    "8 times the limit; a deep page 1.2 times the first one; over HTTP 400 requests/s, 1,000 from a cache; 300 MB."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", choices=SIZES, default="100k")
    parser.add_argument("--questions", type=int, default=661)
    options = parser.parse_args()
    quiet_logs()
    uvloop.run(bench(options.pairs, options.questions))


if __name__ == "__main__":
    main()
