"""Merging a change into a text that somebody else changed too, line by line.

The change is what leads from `base` to `theirs`; it is made in `ours`. Both sides are compared with
`base`, as diff3 does, and what one side changed is taken as long as the other left those lines
alone. Two things are taken that git's own merge refuses: changes that touch without overlapping,
and lines that both sides add at the same place, which are both kept (lists grow at their ends, so
that is what mostly happens to notes). Pure: bytes in, bytes out.

Source: S. Khanna, K. Kunal, B. Pierce, "A Formal Investigation of Diff3" (2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TypeAlias

from acontext_fs.errors import CommitConflict

Lines: TypeAlias = list[bytes]


@dataclass(frozen=True, slots=True)
class Hunk:
    """The lines of the base from `start` to `end` (excluded) that became `lines`."""

    start: int
    end: int
    lines: tuple[bytes, ...]

    @property
    def is_added(self) -> bool:
        """Whether it takes nothing away."""
        return self.start == self.end


def merge(base: bytes | None, ours: bytes | None, theirs: bytes | None) -> bytes | None:
    """`ours` with the change from `base` to `theirs` made in it; None stands for no file.

    Line ends are those of `ours`.

    Raises:
        CommitConflict: both changed the same lines, or one removed what the other changed.
    """
    if theirs in (base, ours):
        return ours
    if base is None or ours is None or theirs is None:
        if ours == base:
            return theirs
        raise CommitConflict(_whole(base, ours))
    base, theirs = with_ends_of(ours, base), with_ends_of(ours, theirs)
    if ours == base:
        return theirs
    if not ours.strip() and base.strip():
        raise CommitConflict("it was emptied meanwhile")
    old = lines_of(base)
    mine, other = hunks(old, lines_of(ours)), hunks(old, lines_of(theirs))
    return _joined(_pieces(old, mine, other))


def _whole(base: bytes | None, ours: bytes | None) -> str:
    if base is None:
        return "somebody made it too meanwhile, with another text"
    return "it was removed or renamed meanwhile" if ours is None else "it was changed meanwhile"


def lines_of(data: bytes) -> Lines:
    """The lines of a text with their ends; the last may have none."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop().removesuffix(b"\n")
    return [*lines, last] if last else lines


def hunks(old: Sequence[bytes], new: Sequence[bytes]) -> list[Hunk]:
    """What leads from `old` to `new`, in order; no two of them touch."""
    first = 0
    while first < min(len(old), len(new)) and old[first] == new[first]:
        first += 1
    last = 0
    while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
        last += 1
    before, after = old[first : len(old) - last], new[first : len(new) - last]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    return [
        Hunk(first + i1, first + i2, tuple(after[j1:j2]))
        for tag, i1, i2, j1, j2 in matcher.get_opcodes()
        if tag != "equal"
    ]


def _pieces(old: Sequence[bytes], mine: list[Hunk], other: list[Hunk]) -> list[Sequence[bytes]]:
    """The merged text, as runs of lines."""
    pieces: list[Sequence[bytes]] = []
    done = 0
    mine, other = list(mine), list(other)
    while mine or other:
        ours, theirs = (side[0] if side else None for side in (mine, other))
        hunk, of_mine, of_other = _next(ours, theirs)
        pieces += [old[done : hunk.start], hunk.lines]
        done = hunk.end
        del mine[:of_mine], other[:of_other]
    return [*pieces, old[done:]]


def _next(ours: Hunk | None, theirs: Hunk | None) -> tuple[Hunk, int, int]:
    """Which of two changes comes first, and how many of each side that is.

    Raises:
        CommitConflict: they overlap.
    """
    if theirs is None or ours is None:
        found = ours or theirs
        assert found is not None
        return found, int(found is ours), int(found is theirs)
    if ours == theirs:
        return ours, 1, 1
    if ours.is_added and theirs.is_added and ours.start == theirs.start:
        return Hunk(ours.start, ours.end, _both(ours.lines, theirs.lines)), 1, 1
    if ours.end <= theirs.start:
        return ours, 1, 0
    if theirs.end <= ours.start:
        return theirs, 0, 1
    first, last = max(ours.start, theirs.start) + 1, min(ours.end, theirs.end)
    where = f"line {first}" if first >= last else f"lines {first}-{last}"
    raise CommitConflict(f"the same text was changed meanwhile ({where})")


def _both(ours: tuple[bytes, ...], theirs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """What two sides added at one place; what one has of the other is there once."""
    for long, short in ((ours, theirs), (theirs, ours)):
        starts = range(len(long) - len(short) + 1)
        if any(long[at : at + len(short)] == short for at in starts):
            return long
    return (*ours, *theirs)


def _joined(pieces: Sequence[Sequence[bytes]]) -> bytes:
    """The pieces as one text: a line without an end gets one if it is not the last any more."""
    lines = [line for piece in pieces for line in piece]
    return b"".join(
        line if line.endswith(b"\n") or at == len(lines) - 1 else line + b"\n"
        for at, line in enumerate(lines)
    )


def with_ends_of(ours: bytes, text: bytes) -> bytes:
    """The text with the line ends of `ours`, if all of those are of one kind."""
    plain = text.replace(b"\r\n", b"\n")
    crlf = ours.count(b"\r\n")
    if not crlf:
        return plain
    return plain.replace(b"\n", b"\r\n") if crlf == ours.count(b"\n") else text
