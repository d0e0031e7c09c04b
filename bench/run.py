"""All benchmarks, or the named ones, as one table.

    python bench/run.py [--quick] [NAME ...]

Every figure stands beside a baseline measured in the same run, where possible taking turns.
`ratio` is ours / baseline, so smaller is better. Exit 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import asking
import capturing
import commits
import dead_model
import growth
import idle
import latency
import redaction
import serving
import startup
import tailing
from harness import Spent, machine, table

BENCHMARKS = {
    "asking": asking.rows,
    "capturing": capturing.rows,
    "redaction": redaction.rows,
    "commits": commits.rows,
    "tailing": tailing.rows,
    "latency": latency.rows,
    "serving": serving.rows,
    "startup": startup.rows,
    "growth": growth.rows,
    "idle": idle.rows,
    "dead_model": dead_model.rows,
}


def main() -> int:
    """Run what was asked for; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description="Benchmarks of acontext-fs, beside baselines.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="smaller stores, fewer rounds")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}: there are {', '.join(BENCHMARKS)}")
    spent = Spent()
    found = []
    # Removed at the very end: file systems are slow to reuse what was removed a moment ago.
    with tempfile.TemporaryDirectory(prefix="acontext-fs-bench-") as folder:
        for name in options.names or BENCHMARKS:
            for row in BENCHMARKS[name](options.quick, Path(folder)):
                print("  ".join(row.cells()), file=sys.stderr, flush=True)
                found.append(row)
        line = machine(spent)
    print(table(found))
    print(line)
    return 1 if any(row.met is False for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
