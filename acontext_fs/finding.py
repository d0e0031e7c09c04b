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
    "transcript",
    "history",
    "settings",
    "skill",
    "hook",
    "leftover",
    "index",
]

Mend: TypeAlias = Literal[
    "", "set up", "bring back", "replace", "append", "put away", "finish", "rebuild"
]
"""What can be done about it without a person: see `acontext_fs.mending`."""


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
    transcript   a transcript that is not what git has, and more
    history      git's objects are damaged, or a batch was committed twice
    settings     a settings file that cannot be used
    skill        a skill that breaks the Agent Skills specification
    hook         git does not tell the daemon when a commit is open
    leftover     a temporary file of a process that died
    index        the index does not say what the files say
    """

    kind: Kind
    path: str
    text: str
    remedy: str
    line: int = 0
    mend: Mend = ""
