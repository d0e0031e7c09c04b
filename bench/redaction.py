"""Redaction: how fast it is beside reading and parsing, what it finds, and its false alarms.

    python bench/redaction.py [--corpus FOLDER] [--seed N]

prints every secret that was missed and, with a folder of real transcripts, everything that was
taken out of it, for a person to judge.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import orjson
from corpus import lines
from harness import Row, alternate

from acontext_fs.errors import RedactionError
from acontext_fs.redact import Redactor
from tests.redact_samples import Sample, remains, samples

ROUNDS = 5
MEGABYTES = 1e6
SECRETS = 300
RECALL_MIN = 0.98
GIVING_UP_SECONDS_MAX = 5
RATE_MIN = 100
"""Megabytes a second, for lines that hold no secret."""


def rows(quick: bool, folder: Path) -> Iterator[Row]:
    block = lines(2_000 if quick else 20_000)
    size = sum(map(len, block)) / MEGABYTES
    redactor = Redactor()
    ours, theirs = alternate(
        ROUNDS,
        lambda: [redactor.clean(line) for line in block],
        lambda: [orjson.loads(line) for line in block],
    )
    yield Row(
        f"redact {size:.0f} MB of lines",
        ours * 1000,
        theirs * 1000,
        "orjson.loads of the same lines",
        target=f">= {RATE_MIN} MB/s",
        met=size / ours >= RATE_MIN,
    )
    hostile = b"password=" * (30_000 if quick else 60_000)
    half = hostile[: len(hostile) // 2]
    ours, theirs = alternate(1, lambda: redactor.clean(hostile), lambda: redactor.clean(half))
    yield Row(
        f"redact {len(hostile) / MEGABYTES:.1f} MB of 'password='",
        ours * 1000,
        theirs * 1000,
        "half of it",
        target="<= 3.00",
        met=ours / theirs <= 3,
    )
    ours, theirs = alternate(1, lambda: _kept_back(redactor, hostile * 20), lambda: None)
    yield Row(
        f"keep back {len(hostile) * 20 / MEGABYTES:.0f} MB of it",
        ours * 1000,
        theirs * 1000,
        "nothing",
        target=f"<= {GIVING_UP_SECONDS_MAX} s",
        met=ours <= GIVING_UP_SECONDS_MAX,
    )
    missed, tried = misses(redactor, 1)
    yield Row(
        f"{tried} secrets in transcripts, missed",
        len(missed),
        tried,
        "all of them",
        unit="",
        target=f"<= {1 - RECALL_MIN:.2f}",
        met=len(missed) <= (1 - RECALL_MIN) * tried,
    )


def _kept_back(redactor: Redactor, line: bytes) -> None:
    try:
        redactor.clean(line)
    except RedactionError:
        return
    raise AssertionError("it was searched")


def misses(redactor: Redactor, seed: int) -> tuple[list[Sample], int]:
    """The samples of which something remains, and how many were tried."""
    tried = random.Random(seed).sample(samples(seed, rounds=5), SECRETS)
    return [one for one in tried if remains(one, redactor.clean(one.line).data)], len(tried)


def alarms(redactor: Redactor, folder: Path) -> tuple[Counter[tuple[str, str]], int]:
    """What is taken out of the files of a folder, with the text before it, and their bytes."""
    found: Counter[tuple[str, str]] = Counter()
    size = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            for line in path.read_bytes().split(b"\n"):
                size += len(line) + 1
                cleaned = redactor.clean(line)
                if cleaned.kinds:
                    at = cleaned.data.find(b"[REDACTED:" + cleaned.kinds[0].encode())
                    around = cleaned.data[max(0, at - 60) : at + 40].decode(errors="replace")
                    found[path.relative_to(folder).as_posix(), around] += len(cleaned.kinds)
    return found, size


def main() -> int:
    """Print what is missed and what is taken; 1 where too much is missed."""
    parser = argparse.ArgumentParser(description="What redaction finds and what it misses.")
    parser.add_argument("--corpus", type=Path, help="a folder of real transcripts")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    redactor = Redactor()
    missed, tried = misses(redactor, options.seed)
    kinds = {one.kind for one in samples(options.seed)}
    print(f"{tried} secrets of {len(kinds)} kinds: found {tried - len(missed)}")
    for one in missed:
        print(f"  missed {one.kind} ({one.place}): {one.line.decode(errors='replace')[:200]}")
    if options.corpus:
        found, size = alarms(redactor, options.corpus)
        count = found.total()
        print(f"{size / MEGABYTES:.1f} MB of transcripts: {count} taken out of them,")
        print(f"  {count * MEGABYTES / size:.2f} a megabyte:")
        for (name, around), times in found.most_common():
            print(f"  {times} x {name}: {around!r}")
    return 0 if len(missed) <= (1 - RECALL_MIN) * tried else 1


if __name__ == "__main__":
    sys.exit(main())
