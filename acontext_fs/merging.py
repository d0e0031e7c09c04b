"""Merging a change into a text that somebody else changed too, line by line.

The change is what leads from `base` to `theirs`; it is made in `ours`. Both sides are compared with
`base`, as diff3 does, and what one side changed is taken as long as the other left those lines
alone. Two things are taken that git's own merge refuses: changes that touch without overlapping,
and lines that both sides add at the same place, which are both kept (lists grow at their ends, so
that is what mostly happens to notes), what both say once (`additions`). Pure: bytes in, bytes out.

Source: S. Khanna, K. Kunal, B. Pierce, "A Formal Investigation of Diff3" (2007).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from acontext_fs import additions, line_diff
from acontext_fs.errors import CommitConflict
from acontext_fs.line_diff import Hunk, Lines, hunks, lines_of

__all__ = ["Hunk", "Lines", "Sides", "hunks", "lines_of", "merge", "partly", "with_ends_of"]


class Sides(NamedTuple):
    """A piece of text as both began with it, and as each has it."""

    base: Sequence[bytes]
    ours: Sequence[bytes]
    theirs: Sequence[bytes]


class _Piece(NamedTuple):
    """A piece of the merged text; `overlap` (first and last line of the base) if it has none."""

    sides: Sides
    overlap: tuple[int, int] | None = None


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
    pieces = []
    for piece in _pieces(Sides(lines_of(base), lines_of(ours), lines_of(theirs))):
        if piece.overlap is not None:
            first, last = piece.overlap
            where = f"line {first}" if first >= last else f"lines {first}-{last}"
            raise CommitConflict(f"the same text was changed meanwhile ({where})")
        pieces.append(piece.sides.ours)
    return _joined(pieces)


def partly(base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, bytes, bytes]:
    """The three texts with everything merged that can be: what they still differ in, both changed.

    All have the line ends of `ours`.
    """
    texts = [with_ends_of(ours, text) for text in (base, ours, theirs)]
    pieces = list(_pieces(Sides(*map(lines_of, texts))))
    one, two, three = (_joined([piece.sides[side] for piece in pieces]) for side in range(3))
    return one, two, three


def _whole(base: bytes | None, ours: bytes | None) -> str:
    if base is None:
        return "somebody made it too meanwhile, with another text"
    return "it was removed or renamed meanwhile" if ours is None else "it was changed meanwhile"


def _pieces(texts: Sides) -> Iterator[_Piece]:
    """The merged text, as runs of lines that are the same on all sides or changed by both."""
    old = texts.base
    mine, other = hunks(old, texts.ours), hunks(old, texts.theirs)
    mine, other = _beside(old, mine, other), _beside(old, other, mine)
    mine, other = _within(old, mine, other), _within(old, other, mine)
    done = 0
    while mine or other:
        taken = _next(mine, other)
        both = (*taken[0], *taken[1])
        start, end = min(hunk.start for hunk in both), max(hunk.end for hunk in both)
        yield _same(old[done:start])
        yield _merged(old, start, end, taken)
        done = end
        del mine[: len(taken[0])], other[: len(taken[1])]
    yield _same(old[done:])


def _beside(old: Sequence[bytes], side: list[Hunk], other: list[Hunk]) -> list[Hunk]:
    """One side's changes; additions that fall into a change of the other stand at its edge, where
    that gives the same text: the blank line between two entries may belong to either of them.
    """
    starts = [hunk.start for hunk in other]
    placed: list[Hunk] = []
    for number, hunk in enumerate(side):
        around = other[max(0, bisect_left(starts, hunk.start) - 1) :][:1]
        edges = [at for one in around if _overlap(hunk, one) for at in (one.start, one.end)]
        floor = placed[-1].end if placed else -1
        ceiling = side[number + 1].start if number + 1 < len(side) else len(old) + 1
        found = (
            line_diff.moved(old, hunk, at)
            for at in edges
            if floor < at < ceiling and _is_blank(old, at, hunk.start)
        )
        placed.append(next(filter(None, found), hunk))
    return placed


def _within(old: Sequence[bytes], side: list[Hunk], other: list[Hunk]) -> list[Hunk]:
    """One side's changes; an addition to what the other took away, or gave another heading, is a
    change of that: where it stands is part of what it says.
    """
    changed = {one.end: one for one in other if not one.is_added}
    placed: list[Hunk] = []
    for hunk in side:
        floor, start = placed[-1].end if placed else 0, hunk.start
        while start > floor and not old[start - 1].strip():
            start -= 1
        above = changed.get(start) or changed.get(hunk.start)
        if above is not None and _is_of(hunk, old, above):
            at = max(floor, above.end - 1)
            hunk = Hunk(at, hunk.end, (*old[at : hunk.start], *hunk.lines))
        placed.append(hunk)
    return placed


def _is_of(hunk: Hunk, old: Sequence[bytes], above: Hunk) -> bool:
    """Whether what a change adds belongs to what one above it took away or gave another heading."""
    first = _first(hunk.lines)
    if not hunk.is_added and _depth(first) <= _depth(_first(old[hunk.start : hunk.end])):
        return False
    if first[:1] in (b" ", b"\t"):
        return not above.lines
    before, after = (
        [line for line in lines if line.startswith(b"#")]
        for lines in (old[above.start : above.end], above.lines)
    )
    is_other = bool(first) and before != after
    return is_other and _depth(first) > min(map(_depth, before + after))


def _first(lines: Sequence[bytes]) -> bytes:
    """The first line that says something."""
    return next(filter(bytes.strip, lines), b"")


def _depth(line: bytes) -> int:
    """How deep in the outline a line stands; what is no heading stands below all."""
    return len(line) - len(line.lstrip(b"#")) or 7


def _is_blank(lines: Sequence[bytes], one: int, other: int) -> bool:
    return not any(line.strip() for line in lines[min(one, other) : max(one, other)])


_Taken = tuple[list[Hunk], list[Hunk]]


def _same(lines: Sequence[bytes]) -> _Piece:
    return _Piece(Sides(lines, lines, lines))


def _next(mine: list[Hunk], other: list[Hunk]) -> _Taken:
    """The changes that come first: one of one side, or those of both that depend on each other."""
    if not mine or not other:
        return mine[:1], other[:1]
    ours, theirs = mine[0], other[0]
    if not _meet(ours, theirs):
        return (mine[:1], []) if ours.end <= theirs.start else ([], other[:1])
    counts = [1, 1]
    sides = (mine, other)
    grown = True
    while grown:
        grown = False
        for side in (0, 1):
            last = sides[1 - side][counts[1 - side] - 1]  # Those before it end before it begins.
            following = sides[side][counts[side] : counts[side] + 1]
            if following and _overlap(following[0], last):
                counts[side] += 1
                grown = True
    return mine[: counts[0]], other[: counts[1]]


def _meet(ours: Hunk, theirs: Hunk) -> bool:
    """Whether two changes cannot be made one after the other."""
    both_added = ours.is_added and theirs.is_added and ours.start == theirs.start
    return ours == theirs or both_added or _overlap(ours, theirs)


def _overlap(ours: Hunk, theirs: Hunk) -> bool:
    return ours.end > theirs.start and theirs.end > ours.start


def _merged(old: Sequence[bytes], start: int, end: int, taken: _Taken) -> _Piece:
    """What becomes of the lines of the base from `start` to `end`."""
    mine, other = taken
    ours, theirs = (_changed(old, start, end, side) for side in taken)
    if not other or (ours == theirs and mine):
        return _same(ours)
    if not mine:
        return _same(theirs)
    if start == end:
        return _same(additions.united(ours, theirs))
    first, last = max(mine[0].start, other[0].start) + 1, min(mine[0].end, other[0].end)
    return _Piece(Sides(old[start:end], ours, theirs), (first, last))


def _changed(old: Sequence[bytes], start: int, end: int, side: list[Hunk]) -> Lines:
    lines: Lines = []
    for hunk in side:
        lines += [*old[start : hunk.start], *hunk.lines]
        start = hunk.end
    return [*lines, *old[start:end]]


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
