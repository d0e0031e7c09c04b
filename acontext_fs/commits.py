"""What a commit says: its message, its trailers, and the edits it is made of. Pure text, no git.

Trailers follow `git interpret-trailers`: the last paragraph, one `Name: value` a line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acontext_fs.clock import format_time

REVERTS = re.compile(r"This reverts commit ([0-9a-f]{40,64})")
"""What `git revert` writes into a message; the group is the commit taken back."""


@dataclass(frozen=True, slots=True)
class FileEdit:
    """One path as the commit shall have it.

    `content` None removes it. `base` is what the caller read there before (None: nothing); the
    edit is refused if the worktree or HEAD hold something else. With `archive` True the worktree
    file is a transcript that others append to: the blob is committed, the file is not touched and
    `base` is not looked at; with `is_lost` True, too, it has to be as it was `seen` (inode, size,
    nanoseconds; None for no file), or it is not lost any more. With `merge` True the edit is the
    change from `base` to `content`, and it is made three ways in each of what HEAD, the index and
    the worktree hold, which may differ: a person's edits stay what they are.
    """

    path: str
    content: bytes | None
    base: bytes | None = None
    archive: bool = False
    merge: bool = False
    is_lost: bool = False
    seen: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of the history. `time_seconds` is the committer's, since the epoch."""

    id: str
    subject: str
    body: str
    trailers: Mapping[str, tuple[str, ...]]
    author: str
    time_seconds: int
    parents: tuple[str, ...] = ()

    @property
    def when(self) -> str:
        """The committer's time, RFC 3339 in UTC."""
        return format_time(self.time_seconds)

    def trailer(self, name: str) -> str:
        """The last value of a trailer, "" if there is none."""
        return self.trailers.get(name, ("",))[-1]


def message_of(subject: str, body: str, trailers: Mapping[str, str | Sequence[str]]) -> str:
    """A commit message: subject, body, and the trailers that have a value (or several)."""
    lines = [
        f"{name}: {_one_line(value)}"
        for name, values in trailers.items()
        for value in ([values] if isinstance(values, str) else values)
        if value
    ]
    return "\n\n".join(filter(None, (_one_line(subject), _text(body), "\n".join(lines)))) + "\n"


def _one_line(text: str) -> str:
    """Text without line breaks or control characters: a transcript must not add trailers.

    Nor hide them: for git a line that starts with three dashes ends the message.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f" {line}" if line.startswith("---") else line


def _text(body: str) -> str:
    """A body whose lines are clean; what looks like a trailer in it is none before real ones."""
    return "\n".join(_one_line(line) for line in body.split("\n")).strip("\n")


def parse_commit(
    commit_id: str, message: str, author: str, time_seconds: int, parents: tuple[str, ...] = ()
) -> Commit:
    """A commit's message taken apart; a last paragraph of `Name: value` lines is its trailers."""
    subject, _, rest = message.strip().partition("\n")
    paragraphs = rest.strip().split("\n\n")
    trailers: dict[str, tuple[str, ...]] = {}
    last = paragraphs[-1].split("\n")
    if all(": " in line and " " not in line.partition(":")[0] for line in last):
        for line in last:
            name, _, value = line.partition(": ")
            trailers[name] = (*trailers.get(name, ()), value)
        paragraphs = paragraphs[:-1]
    return Commit(
        id=commit_id,
        subject=subject,
        body="\n\n".join(paragraphs).strip(),
        trailers=trailers,
        author=author,
        time_seconds=time_seconds,
        parents=parents,
    )
