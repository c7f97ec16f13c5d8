"""Runs the benchmarks one after the other, each in a process of its own: `make bench`, or `make bench ONLY=relay`.

    python tests/benchmarks/run.py [NAME ...]

Exit code 1 when one of them could not measure, whatever the others found. No figure is ever a failure.
"""

import subprocess
import sys
import time
from pathlib import Path

ORDER = (
    "gateway",
    "capture",
    "live",
    "relay",
    "jobs",
    "analytics",
    "rebuild",
    "images",
    "tags",
    "import",
    "completion",
    "interactions",
    "recommendations",
    "memory",
    "profile",
)
"""What wants the most quiet first."""
LONGEST_SECONDS = 600


def run(name: str) -> bool:
    """Whether it came to its end."""
    began = time.monotonic()
    print(f"\n== {name} ==", flush=True)
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name(f"bench_{name}.py"))])
    try:
        process.wait(LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()  # it stops its servers
        process.wait()
    well = process.returncode == 0
    print(f"{name}: {'done' if well else 'FAILED'} after {time.monotonic() - began:.0f} s", flush=True)
    return well


def main() -> None:
    wanted = sys.argv[1:] or ORDER
    if unknown := set(wanted) - set(ORDER):
        sys.exit(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(ORDER)}.")
    results = [run(name) for name in wanted]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
