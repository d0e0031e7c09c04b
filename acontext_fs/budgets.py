"""What could run short, how much of it may be used, and how much is: docs/budgets.md lists all.

The daemon measures and tells in `.acontext/state.json`. What was spent on models is told from its
own file, so that it is known also when no daemon runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from acontext_fs import files
from acontext_fs.clock import format_time

FULL = 1.0
NEARLY_FULL = 0.8
OVERFULL = 1.01
"""From which share of its maximum a person is told of a level. To be full is what some are for."""


@dataclass(frozen=True, slots=True)
class Maximum:
    """Something that has one: what is counted in which `unit`, what happens `then`, and what a
    person can do. `told_from` is the share of it from which on that is worth a sentence.
    """

    name: str
    unit: str
    then: str
    advice: str = ""
    told_from: float = FULL


@dataclass(frozen=True, slots=True)
class Level:
    """How much is used of what has a maximum; `since` when all of it is ("" if it is not)."""

    name: str
    unit: str
    used: int
    maximum: int
    since: str = ""

    @property
    def is_full(self) -> bool:
        """Whether the maximum is reached."""
        return self.used >= self.maximum


_ALL = (
    Maximum(
        "processes",
        "processes",
        "git is asked one thing at a time",
        "a program that was started and does not end can be seen with `ps`; restart the daemon",
        OVERFULL,
    ),
    Maximum(
        "threads",
        "threads",
        "no more are started",
        "this should not happen; restart the daemon",
        OVERFULL,
    ),
    Maximum(
        "open_files",
        "files",
        "session files are no longer kept open, and what cannot be opened is tried again",
        "raise the limit of the process (`ulimit -n`) and restart the daemon",
        NEARLY_FULL,
    ),
    Maximum(
        "memory",
        "bytes",
        "what is kept is archived, and sessions are read and transcripts taken in a little at a "
        "time",
        "if that lasts, restart the daemon: nothing is lost",
        NEARLY_FULL,
    ),
    Maximum(
        "tokens",
        "tokens a day",
        "work for the model waits until midnight UTC",
        "raise max_tokens_per_day",
        NEARLY_FULL,
    ),
    Maximum("commits", "commits a minute", "the next ones wait, for seconds"),
    Maximum("model_calls", "calls", "further work waits for one to end", "raise max_concurrency"),
    Maximum("hints", "paths", "all sessions are looked at instead"),
    Maximum("folders", "folders watched", "changes in others are found by rescans"),
    Maximum("lines_ahead", "lines", "other sessions are read when these are done"),
    Maximum("bytes_ahead", "bytes", "other sessions are read when these are done"),
    Maximum("kept", "bytes", "the largest transcripts are archived now"),
    Maximum("results", "results", "no further work is started until they are committed"),
    Maximum(
        "held_results",
        "results",
        "no further work is started until some can be committed",
        "commit or put away your changes to the files that `acontext-fs status` names",
        NEARLY_FULL,
    ),
    Maximum("requests", "requests", "further commands wait until these are answered"),
    Maximum(
        "proposals",
        "proposals",
        "no further one is kept",
        "decide about them with `acontext-fs review`",
        NEARLY_FULL,
    ),
    Maximum(
        "rescues",
        "rescued transcripts",
        "the oldest becomes a part of the past of refs/acontext/rescued/older",
        "take what you need out of them (`git log --all -- PATH` finds it)",
        NEARLY_FULL,
    ),
)
MAXIMA: Mapping[str, Maximum] = {one.name: one for one in _ALL}


def sentence(level: Level) -> str:
    """A level that is at its maximum or near it, what that leads to and what to do; else ""."""
    about = MAXIMA[level.name]
    if level.used < about.told_from * level.maximum:
        return ""
    full = f" since {level.since}" if level.since else ""
    then = about.then if level.is_full else f"then {about.then}"
    advice = f"; {about.advice}" if about.advice else ""
    what = f"{_shown(level.used, level.unit)} of {_shown(level.maximum, level.unit)}"
    return f"{level.name} {what}{full}: {then}{advice}"


def _shown(number: int, unit: str) -> str:
    if unit == "bytes":
        return f"{number / 2**20:,.0f} MiB"
    return f"{number:,}"


def encode(levels: Iterable[Level]) -> list[dict[str, Any]]:
    """The levels as JSON has them; `since` is null where the maximum is not reached."""
    return [
        {
            "name": one.name,
            "unit": one.unit,
            "used": one.used,
            "maximum": one.maximum,
            "since": one.since or None,
        }
        for one in levels
    ]


def decode(found: object) -> tuple[Level, ...]:
    """The levels that a state file tells; what is none is passed over."""
    levels = []
    for one in found if isinstance(found, list) else ():
        about = MAXIMA.get(str(one.get("name"))) if isinstance(one, dict) else None
        if about is not None and all(isinstance(one.get(key), int) for key in ("used", "maximum")):
            since = str(one.get("since") or "")
            levels.append(Level(about.name, about.unit, one["used"], one["maximum"], since))
    return tuple(levels)


# -- tokens: counted in a file, per day in UTC -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spent:
    """The tokens of one day (`2026-05-01`); `since` when that was all there may be."""

    day: str = ""
    tokens: int = 0
    since: str = ""

    def on(self, now: float) -> Spent:
        """What counts `now`: nothing, if that is another day."""
        today = format_time(now)[:10]
        return self if self.day == today else Spent(today)

    def encode(self) -> bytes:
        """The file's content."""
        return orjson.dumps({"day": self.day, "tokens": self.tokens, "since": self.since})


def spent(file: Path) -> Spent:
    """What the file says was spent last; nothing where there is none or it is damaged.

    Raises:
        StoreError: there is something, and it cannot be read.
    """
    try:
        value = orjson.loads(files.read_bytes(file) or b"{}")
        return Spent(str(value["day"]), int(value["tokens"]), str(value.get("since", "")))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return Spent()


def tokens(found: Spent, tokens_per_day: int) -> Level:
    """The day's tokens as a level."""
    full = found.tokens >= tokens_per_day
    since = found.since if full else ""
    return Level("tokens", MAXIMA["tokens"].unit, found.tokens, tokens_per_day, since)
