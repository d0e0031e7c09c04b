"""What two sides added at one place of a Markdown text, as one text.

Ours stands first. An entry that both have is there once: a section, an item of a list, a paragraph,
whatever it says of the session it was learned from. Sections of one heading become one where that
says the same (lists of items, sections in them, a page's title); where each tells a story of its
own, both stand. An item stays below the paragraph that it stood below; one that stood below none
is put below none, so in front of those. Code is never taken apart, nor are numbered steps, nor is
what a line that ends with a colon introduces. Pure.

Source: CommonMark 0.31 (4.2, 4.5, 5.2), as far as notes need it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_HEADING = re.compile(rb"(#{1,6})[ \t]")
_FENCE = re.compile(rb" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_ITEM = re.compile(rb"(?:[-*+]|\d{1,9}[.)])[ \t]")
_BULLET = re.compile(rb"[-*+][ \t]")
_RULE = re.compile(rb" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}\r?$")
_ORIGIN = re.compile(
    rb"^(?:Source: session \S+, task [0-9a-f]{8}"
    rb"|(Status: \w+)(?:, \d\d:\d\d UTC)?, session \S+, task [0-9a-f]{8})$"
)
"""How a learner says where an entry comes from."""


class _Block(NamedTuple):
    """Lines that belong together; `gap` are the blank ones, and rules, in front of them."""

    gap: list[bytes]
    lines: list[bytes]

    @property
    def is_item(self) -> bool:
        return _ITEM.match(self.lines[0]) is not None

    @property
    def is_bullet(self) -> bool:
        """Whether it is an item of a list whose order says nothing."""
        return _BULLET.match(self.lines[0]) is not None

    @property
    def is_label(self) -> bool:
        """Whether it only introduces what follows."""
        return not self.is_item and self.lines[-1].rstrip(b" \t\r\n*_").endswith(b":")

    def says(self) -> bytes:
        """What it says, wherever it comes from."""
        lines = (line.rstrip() for line in self.lines)
        return b"\n".join(_ORIGIN.sub(rb"\1", line) for line in lines)

    def key(self) -> bytes:
        """What tells it from others: where it comes from, if it says nothing else."""
        return self.says() or self.lines[0]


class _Section(NamedTuple):
    """A heading (None in front of the first), the blocks below it, and the sections in it."""

    level: int
    heading: _Block | None
    blocks: list[_Block]
    parts: list[_Section]

    def title(self) -> bytes:
        return self.heading.says() if self.heading else b""

    def says(self) -> tuple[bytes, ...]:
        heading = (self.heading.says(),) if self.heading else ()
        blocks = tuple(text for block in self.blocks if (text := block.says()))
        return (*heading, *blocks, *(text for part in self.parts for text in part.says()))

    def is_list(self) -> bool:
        """Whether it has nothing of its own but items of a list whose order says nothing."""
        return all(block.is_bullet for block in self.blocks)


def united(ours: Sequence[bytes], theirs: Sequence[bytes]) -> list[bytes]:
    """The lines of both: ours in their order, and among them what only theirs say."""
    for long, short in ((ours, theirs), (theirs, ours)):
        if _has(long, short):
            return list(long)
    (whole, tail), (other, other_tail) = _read(ours), _read(theirs)
    longer = max(tail, other_tail, key=len)
    _unite(whole, other, [line for line in longer if not line.strip()][:1])
    return [*_written(whole), *longer]


def _has(long: Sequence[bytes], short: Sequence[bytes]) -> bool:
    """Whether one is a run of lines of the other, and says there what it says alone."""
    text, part = (
        b"\n" + b"".join(line.removesuffix(b"\n") + b"\n" for line in lines)
        for lines in (long, short)
    )
    at = text.find(part)
    if at < 0:
        return False
    above, _ = _read(long[: text.count(b"\n", 0, at)])
    first = next(filter(bytes.strip, short), b"")
    is_bound = first.startswith((b" ", b"\t")) or _ITEM.match(first)
    return not above.parts and not (is_bound and any(not block.is_item for block in above.blocks))


# -- reading ----------------------------------------------------------------------------------


def _read(lines: Sequence[bytes]) -> tuple[_Section, list[bytes]]:
    """The lines as sections in each other, and the blank lines and rules behind them all."""
    top = _Section(0, None, [], [])
    within = [top]
    blocks, tail = _blocks(lines)
    for block in blocks:
        heading = _HEADING.match(block.lines[0])
        if heading:
            section = _Section(len(heading[1]), block, [], [])
            while within[-1].level >= section.level:
                within.pop()
            within[-1].parts.append(section)
            within.append(section)
        else:
            _put(within[-1].blocks, block)
    return top, tail


def _put(blocks: list[_Block], block: _Block) -> None:
    """Add a block, to the last one if that introduces it."""
    last = blocks[-1] if blocks else None
    if last and (last.is_label or (block.is_item and _is_led(last))):
        last.lines.extend([*block.gap, *block.lines])
    else:
        blocks.append(block)


def _is_led(block: _Block) -> bool:
    """Whether it is a label with a list behind it."""
    is_plain = not (block.is_item or _FENCE.match(block.lines[0]))
    return is_plain and any(map(_ITEM.match, reversed(block.lines)))


def _blocks(lines: Sequence[bytes]) -> tuple[list[_Block], list[bytes]]:
    """The blocks of a text, headings among them, and the blank lines and rules behind the last."""
    found: list[_Block] = []
    gap: list[bytes] = []
    fence = b""
    for line in lines:
        if fence:
            found[-1].lines.extend([*gap, line])
            gap = []
            fence = b"" if _closes(line, fence) else fence
            continue
        goes_on = bool(found) and _goes_on(found[-1], line, gap)
        if not line.strip() or (_RULE.match(line) and not goes_on):
            gap.append(line)
            continue
        opened = _FENCE.match(line)
        fence = opened[1] if opened else b""
        if goes_on:
            found[-1].lines.extend([*gap, line])
        else:
            found.append(_Block(gap, [line]))
        gap = []
    return found, gap


def _goes_on(block: _Block, line: bytes, gap: Sequence[bytes]) -> bool:
    """Whether a line belongs to the block above it."""
    if line.startswith((b" ", b"\t")):
        return not _HEADING.match(block.lines[0])
    is_new = _HEADING.match(line) or _HEADING.match(block.lines[0])
    return not (gap or is_new or _ITEM.match(line))


def _closes(line: bytes, fence: bytes) -> bool:
    mark = _FENCE.match(line)
    return bool(mark and mark[1].startswith(fence) and not line[mark.end() :].strip())


# -- uniting ----------------------------------------------------------------------------------


def _unite(ours: _Section, theirs: _Section, blank: list[bytes]) -> None:
    """Put into ours what only theirs says; `blank` is what stands between two paragraphs."""
    ours.blocks[:] = _united_blocks(ours.blocks, theirs.blocks, blank)
    said = {part.says() for part in ours.parts}
    new_parts: list[_Section] = []
    twins: dict[bytes, _Section] = {}
    for part in ours.parts:
        twins.setdefault(part.title(), part)
    for part in theirs.parts:
        if part.says() in said:
            continue
        twin = twins.get(part.title())
        if twin is not None and _is_one(twin, part):
            _unite(twin, part, blank)
        else:
            new_parts.append(part)
    _insert(ours.parts, new_parts)


def _insert(parts: list[_Section], new: Sequence[_Section]) -> None:
    """Put sections behind the others; what lies deeper belongs to the section above all of them."""
    for level in range(6, 0, -1):
        some = [part for part in new if part.level == level]
        if some:
            places = (at for at, one in enumerate(parts) if one.level < level)
            at = next(places, len(parts))
            parts[at:at] = some


def _united_blocks(
    ours: Sequence[_Block], theirs: Sequence[_Block], blank: list[bytes]
) -> list[_Block]:
    """The blocks of both, each group of ours with what only that group of theirs says behind it."""
    groups = _groups(ours)
    twins: dict[bytes, list[_Block]] = {}
    for group in groups[1:]:
        twins.setdefault(group[0].key(), group)
    above: _Block | None = None
    for number, other in enumerate(_groups(theirs)):
        twin = groups[0] if not number else twins.get(other[0].key())
        new = other if twin is None else _lacking(twin, other)
        if new:
            at = other.index(new[0])
            end = groups[-1] if twin is None else twin
            new[0].gap[:] = _between(end[-1:], new[0], other[at - 1] if at else above, blank)
            if twin is None:
                groups.append(new)
            else:
                twin.extend(new)
        above = other[-1] if other else None
    following = groups[1][0] if groups[0] and len(groups) > 1 else None
    if following is not None and not following.gap:
        following.gap[:] = blank or [_end(groups[0][-1])]
    return [block for group in groups for block in group]


def _groups(blocks: Sequence[_Block]) -> list[list[_Block]]:
    """The items that nothing introduces, then each other block with the items below it."""
    groups: list[list[_Block]] = [[]]
    for block in blocks:
        if block.is_item:
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def _lacking(ours: Sequence[_Block], theirs: Sequence[_Block]) -> list[_Block]:
    """The items of a group of theirs that ours lacks: of steps all, or none."""
    items = [block for block in theirs if block.is_item]
    keys = [block.key() for block in ours]
    if all(block.is_bullet for block in items):
        known = set(keys)
        return [block for block in items if block.key() not in known]
    rest = iter(keys)
    return [] if all(block.key() in rest for block in items) else items


def _between(
    ours: list[_Block], new: _Block, above: _Block | None, blank: list[bytes]
) -> list[bytes]:
    """What stands between our last block, if any, and a new one, which had the one `above` it."""
    if not ours or any(map(bytes.strip, new.gap)):
        return new.gap
    if above is not None and (above.is_item or not new.is_item):
        return new.gap
    if ours[0].is_item and new.is_item:
        return []
    is_plain = not (ours[0].is_item or new.is_item or ours[0].is_label or _is_led(ours[0]))
    return new.gap or blank or ([] if is_plain else [_end(ours[0])])


def _end(block: _Block) -> bytes:
    return b"\r\n" if block.lines[-1].endswith(b"\r\n") else b"\n"


def _is_one(ours: _Section, theirs: _Section) -> bool:
    """Whether two sections of one heading are one with more in it."""
    if ours.level == 1 or (ours.is_list() and theirs.is_list()):
        return True
    pairs = zip(ours.blocks, theirs.blocks, strict=False)
    return len(ours.blocks) == len(theirs.blocks) and all(a.says() == b.says() for a, b in pairs)


def _written(section: _Section) -> Iterator[bytes]:
    """The lines of a section; a heading has a blank line above it."""
    above: _Block | None = None
    for block in _in_order(section):
        is_close = not block.gap and _HEADING.match(block.lines[0])
        yield from [_end(above)] if above and is_close else block.gap
        yield from block.lines
        above = block


def _in_order(section: _Section) -> Iterator[_Block]:
    if section.heading:
        yield section.heading
    yield from section.blocks
    for part in section.parts:
        yield from _in_order(part)
