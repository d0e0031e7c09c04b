"""What a check of the store found: one thing that is not as it should be, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "damage",
    "unfinished",
    "unknown",
    "format",
    "size",
    "misplaced",
    "progress",
    "tasks",
    "blob",
    "filter",
    "git",
    "held",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, where it is (`line` 0: not on a line), and what to do about it.

    damage       a line that is not one JSON object
    unfinished   bytes behind the last newline
    unknown      lines that are JSON and mean nothing we know
    format       a session of which nothing was understood
    size         a file too large for git hosts
    misplaced    something below `sessions/` that is no session
    progress     a progress file that does not fit its session
    tasks        a tasks file that does not fit its session
    blob         a blob that is missing, damaged or not referred to
    filter       git would store session files with their secrets
    git          a repository that cannot be used as it is
    held         a session the daemon cannot go on with
    """

    kind: Kind
    path: str
    text: str
    remedy: str
    line: int = 0
