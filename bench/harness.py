"""What all benchmarks share: a row of the table, medians, alternation, and what the machine is."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HEADINGS = ("what", "ours", "baseline", "ratio", "target", "met")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its baseline, both in `unit`. `met` None: there is no target."""

    name: str
    ours: float
    baseline: float
    baseline_is: str
    unit: str = "ms"
    target: str = "-"
    met: bool | None = None

    @property
    def ratio(self) -> float:
        """Ours over the baseline: below 1 is less time, memory or disk than the baseline."""
        return self.ours / self.baseline if self.baseline else float("inf")

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        met = {True: "yes", False: "NO", None: "-"}[self.met]
        ratio = f"{self.ratio:.2f}" if self.baseline else "-"
        baseline = f"{_number(self.baseline)} {self.unit}: {self.baseline_is}"
        return (self.name, f"{_number(self.ours)} {self.unit}", baseline, ratio, self.target, met)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows: Sequence[Row]) -> str:
    """All rows below one another."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    rule = tuple("-" * width for width in widths)
    shown = [lines[0], rule, *lines[1:]]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in shown
    )


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def p95(values: Sequence[float]) -> float:
    return sorted(values)[max(0, round(len(values) * 0.95) - 1)]


def timed(action: Callable[[], object]) -> float:
    """Seconds that `action` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def alternate(
    rounds: int,
    ours: Callable[[], object],
    baseline: Callable[[], object],
    between: Callable[[], object] = lambda: None,
) -> tuple[float, float]:
    """Median seconds of two actions that take turns; the first turn of each is not counted.

    `between` is done before every turn, untimed.
    """
    a: list[float] = []
    b: list[float] = []
    for _ in range(rounds + 1):
        between()
        a.append(timed(ours))
        between()
        b.append(timed(baseline))
    return median(a[1:]), median(b[1:])


def git(root: Path, *arguments: str, stdin: bytes | None = None) -> bytes:
    """Run git in `root`, as nobody in particular."""
    nobody = ("-c", "user.name=bench", "-c", "user.email=bench@example.invalid")
    command = ["git", *nobody, *arguments]
    done = subprocess.run(command, cwd=root, check=True, input=stdin, capture_output=True)
    return done.stdout


def command(*arguments: str) -> list[str]:
    """The command line of acontext-fs with these arguments, in this interpreter."""
    return [sys.executable, "-m", "acontext_fs", *arguments]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without a model or a store of the user's, and with this tree."""
    own = {key: value for key, value in os.environ.items() if "LLM_" not in key}
    for key in ("OPENAI_API_KEY", "ACONTEXT_FS_STORE"):
        own.pop(key, None)
    own["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    return {**own, **(more or {})}


def until(condition: Callable[[], bool], seconds: float = 60.0, pause: float = 0.0005) -> float:
    """Wait until `condition` holds; the moment it did, on `time.perf_counter`.

    Raises:
        TimeoutError: it did not within `seconds`.
    """
    deadline = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"nothing happened within {seconds} s")
        time.sleep(pause)
    return time.perf_counter()


def bytes_below(folder: Path) -> int:
    """Apparent bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Spent:
    """How busy the machine was meanwhile, and how much of that was not us."""

    def __init__(self) -> None:
        self._start = self._read()

    def _read(self) -> tuple[float, float, float]:
        own = sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )
        try:
            fields = Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:]
        except FileNotFoundError:
            return own, own, time.monotonic()
        ticks = [int(field) for field in fields]
        busy = sum(ticks) - ticks[3] - ticks[4]
        return own, busy / os.sysconf("SC_CLK_TCK"), time.monotonic()

    def others(self) -> float:
        """How many cores others kept busy since then, on average."""
        before, now = self._start, self._read()
        return max(0.0, (now[1] - before[1]) - (now[0] - before[0])) / max(now[2] - before[2], 1e-9)


def machine(spent: Spent) -> str:
    """One honest line on where the figures come from."""
    others = spent.others()
    load = "nothing else ran" if others < 0.1 else f"others kept {others:.1f} cores busy meanwhile"
    version = git(Path.cwd(), "--version").decode().strip().removeprefix("git version ")
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, git {version}; {load}. "
        "Ratio is ours / baseline of the same run; trust it more than the figures."
    )
