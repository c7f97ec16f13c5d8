"""Everything happens to everybody, and every promise is kept."""

from pathlib import Path

import pytest

from chaos.load import Load
from chaos.matrix import platform_under_test, run

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_every_promise_is_kept_whatever_happens_to_whom(tmp_path: Path) -> None:
    with platform_under_test(tmp_path, logs=ROOT / ".genonaut/chaos-logs") as site:
        schedule = site.faults.schedule(seed=1, seconds=90)
        load = Load(site.stack.api_url, seed=1)
        report = run(site, schedule, load=load, seconds=90, say=print)

    assert report.violations == []
    assert report.counts["jobs completed"] > 50
    assert report.counts["jobs watched to their end"] > 10
