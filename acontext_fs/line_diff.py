"""What leads from one text to another, line by line, in a time that is bounded.

Lines that each text has once, in the order in which both have most of them, are what both have
("patience"); between them the search goes on. Where no line is of that kind the runs that both have
are looked for, and where that would cost too much the whole stretch counts as changed: less is
merged then, never something else. Pure.

Source: B. Cohen, "Patience Diff Advantages" (2010); D. Gusfield, "Algorithms on Strings, Trees and
Sequences" (1997), 12.5, for the longest increasing subsequence.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple, TypeAlias

WORK_MAX = 4_000_000
"""So many steps one comparison takes at most, which is some tenths of a second."""

Lines: TypeAlias = list[bytes]


class Hunk(NamedTuple):
    """The lines of the base from `start` to `end` (excluded) that became `lines`."""

    start: int
    end: int
    lines: tuple[bytes, ...]

    @property
    def is_added(self) -> bool:
        """Whether it takes nothing away."""
        return self.start == self.end


class _Gap(NamedTuple):
    """Lines of both texts that are to be compared: `before[i1:i2]`, `after[j1:j2]`."""

    i1: int
    i2: int
    j1: int
    j2: int


def lines_of(data: bytes) -> Lines:
    """The lines of a text with their ends; the last may have none."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop().removesuffix(b"\n")
    return [*lines, last] if last else lines


def hunks(old: Sequence[bytes], new: Sequence[bytes]) -> list[Hunk]:
    """What leads from `old` to `new`, in order; no two of them touch."""
    found: list[_Gap] = []
    for gap in _changes(old, new):
        if found and _are_one(old, new, found[-1], gap):
            gap = _Gap(found[-1].i1, gap.i2, found.pop().j1, gap.j2)
        found.append(gap)
    ceilings = [*(gap.i1 - 1 for gap in found[1:]), len(old)]
    settled: list[Hunk] = []
    for (i1, i2, j1, j2), ceiling in zip(found, ceilings, strict=False):
        floor = settled[-1].end + 1 if settled else 0
        settled.append(_settled(old, Hunk(i1, i2, tuple(new[j1:j2])), floor, ceiling))
    return settled


def _are_one(old: Sequence[bytes], new: Sequence[bytes], one: _Gap, next_one: _Gap) -> bool:
    """Whether two changes touch; or there are but blank lines in between, and one puts a heading
    in the place of other text: then the blank lines are the same by chance.
    """
    if any(line.strip() for line in old[one.i2 : next_one.i1]):
        return False
    return one.i2 == next_one.i1 or any(
        gap.i1 < gap.i2
        and gap.j1 < gap.j2
        and _headings(old[gap.i1 : gap.i2]) != _headings(new[gap.j1 : gap.j2])
        for gap in (one, next_one)
    )


def _headings(lines: Sequence[bytes]) -> int:
    return sum(line.startswith(b"#") for line in lines)


def _settled(old: Sequence[bytes], hunk: Hunk, floor: int, ceiling: int) -> Hunk:
    """Of the places where the same lines could have been added, or taken away, the one at which an
    entry begins: where the lines around a change are like its own, there are several.
    """
    if hunk.lines and not hunk.is_added:
        return hunk
    run = hunk.lines or old[hunk.start : hunk.end]
    text = [*old[floor : hunk.start], *run, *old[hunk.end : ceiling]]
    first = last = hunk.start - floor
    while first and text[first - 1] == text[first - 1 + len(run)]:
        first -= 1
    while last + len(run) < len(text) and text[last] == text[last + len(run)]:
        last += 1
    places = range(last, first - 1, -1)
    best = min(places, key=lambda at: _how_well(text[at], text[at - 1] if at else b""))
    if hunk.is_added:
        return Hunk(floor + best, floor + best, tuple(text[best : best + len(run)]))
    return Hunk(floor + best, floor + best + len(run), ())


def moved(old: Sequence[bytes], hunk: Hunk, start: int) -> Hunk | None:
    """The same addition made at another line of the base, if that gives the same text."""
    run, by = list(hunk.lines), start - hunk.start
    between = list(old[min(start, hunk.start) : max(start, hunk.start)])
    text = run + between if by > 0 else between + run
    if not hunk.is_added or text[: abs(by)] != text[len(run) : len(run) + abs(by)]:
        return None
    return Hunk(start, start, tuple(text[by:] if by > 0 else text[: len(run)]))


def _how_well(line: bytes, above: bytes) -> int:
    """How well an entry can begin with a line; the lower, the better."""
    if line.startswith(b"#"):
        return 0
    if line[:1] in (b" ", b"\t"):
        return 3
    return 1 if line.strip() and not above.strip() else 2


def _changes(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[_Gap]:
    """What differs, in order; two of them may touch."""
    budget = WORK_MAX
    gaps = [_Gap(0, len(old), 0, len(new))]
    while gaps:
        gap = _trimmed(old, new, gaps.pop())
        if gap.i1 == gap.i2 and gap.j1 == gap.j2:
            continue
        if gap.i1 == gap.i2 or gap.j1 == gap.j2 or budget <= 0:
            yield gap
            continue
        budget -= gap.i2 - gap.i1 + gap.j2 - gap.j1
        between = _around(gap, _anchors(old, new, gap))
        if len(between) > 1:
            gaps += reversed(between)
            continue
        cost = _cost(old, new, gap)
        if cost > budget:
            yield gap
            continue
        budget -= cost
        yield from _by_runs(old, new, gap)


def _trimmed(old: Sequence[bytes], new: Sequence[bytes], gap: _Gap) -> _Gap:
    """Without what both begin and end with."""
    i1, i2, j1, j2 = gap
    while i1 < i2 and j1 < j2 and old[i1] == new[j1]:
        i1, j1 = i1 + 1, j1 + 1
    while i1 < i2 and j1 < j2 and old[i2 - 1] == new[j2 - 1]:
        i2, j2 = i2 - 1, j2 - 1
    return _Gap(i1, i2, j1, j2)


def _anchors(old: Sequence[bytes], new: Sequence[bytes], gap: _Gap) -> list[tuple[int, int]]:
    """The places of lines that both texts have once, as many as stand in one order."""
    once = [Counter(old[gap.i1 : gap.i2]), Counter(new[gap.j1 : gap.j2])]
    places = {line: j for j, line in enumerate(new[gap.j1 : gap.j2], gap.j1) if once[1][line] == 1}
    pairs = [
        (i, places[line])
        for i, line in enumerate(old[gap.i1 : gap.i2], gap.i1)
        if once[0][line] == 1 and line in places
    ]
    tails: list[
        int
    ] = []  # The last place of the best chain of each length, and which pair that is.
    ends: list[int] = []
    before: list[int] = []
    for number, (_, j) in enumerate(pairs):
        at = bisect_left(tails, j)
        before.append(ends[at - 1] if at else -1)
        tails[at : at + 1] = [j]
        ends[at : at + 1] = [number]
    chain: list[tuple[int, int]] = []
    number = ends[-1] if ends else -1
    while number >= 0:
        chain.append(pairs[number])
        number = before[number]
    return chain[::-1]


def _around(gap: _Gap, anchors: Sequence[tuple[int, int]]) -> list[_Gap]:
    """The stretches between the anchors."""
    i1, j1 = gap.i1, gap.j1
    found = []
    for i, j in anchors:
        found.append(_Gap(i1, i, j1, j))
        i1, j1 = i + 1, j + 1
    return [*found, _Gap(i1, gap.i2, j1, gap.j2)]


def _cost(old: Sequence[bytes], new: Sequence[bytes], gap: _Gap) -> int:
    """How many steps `_by_runs` takes at most: one for each pair of lines that are the same and for
    each line, as often as there can be runs.
    """
    before, after = Counter(old[gap.i1 : gap.i2]), Counter(new[gap.j1 : gap.j2])
    pairs = sum(count * after[line] for line, count in before.items())
    runs = sum(min(count, after[line]) for line, count in before.items())
    return (gap.i2 - gap.i1 + gap.j2 - gap.j1 + pairs) * (runs + 1)


def _by_runs(old: Sequence[bytes], new: Sequence[bytes], gap: _Gap) -> Iterator[_Gap]:
    """What differs beside the longest runs of lines that both have."""
    before, after = old[gap.i1 : gap.i2], new[gap.j1 : gap.j2]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            yield _Gap(gap.i1 + i1, gap.i1 + i2, gap.j1 + j1, gap.j1 + j2)
