"""A line of JSON as the text it stands for, and the way back to its bytes.

Some writers escape more than they have to (`\\/`, `\\u0026`). A secret written so is found in a
view in which those few escapes are undone; where it lies in the line is told by `View.raw`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

_ESCAPE = re.compile(rb"\\+(?:/|u00([2-7][0-9a-fA-F]))")
_KEPT = {b'"': b'\\"', b"\\": b"\\\\"}
_VALUE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)
_QUOTE = ord('"')
_DEEPER = re.compile(rb"u[0-9a-fA-F]{4}|[nrtbf]")
_ENDS_IN_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")


class View(NamedTuple):
    """`text` is what is searched; its places are those of the line where `starts` is empty."""

    text: bytes
    starts: tuple[int, ...] = ()
    raws: tuple[int, ...] = ()

    def raw(self, at: int) -> int:
        """The place in the line of the place `at` in the text."""
        if not self.starts:
            return at
        part = bisect_right(self.starts, at) - 1
        # Parts take turns: text as it stands, and an escape, within which there is no place.
        return self.raws[part] + (0 if part % 2 else at - self.starts[part])


def view_of(line: bytes) -> View:
    """The line with the escapes undone that need not be there."""
    if b"\\/" not in line and b"\\u00" not in line:
        return View(line)
    pieces: list[bytes] = []
    starts: list[int] = []
    raws: list[int] = []
    at = size = 0
    for match in _ESCAPE.finditer(line):
        char = bytes([int(match[1], 16)]) if match[1] else b"/"
        for piece, raw in ((line[at : match.start()], at), (_KEPT.get(char, char), match.start())):
            starts.append(size)
            raws.append(raw)
            pieces.append(piece)
            size += len(piece)
        at = match.end()
    if not at:
        return View(line)
    starts.append(size)
    raws.append(at)
    pieces.append(line[at:])
    return View(b"".join(pieces), tuple(starts), tuple(raws))


def whole(line: bytes, start: int, end: int) -> tuple[int, int]:
    """`start:end`, widened so that it cuts no escape and no character of several bytes."""
    while 0 < start < len(line) and line[start] & 0xC0 == 0x80 and end - start < len(line):
        start -= 1
    while end < len(line) and line[end] & 0xC0 == 0x80:
        end += 1
    for _ in range(6):
        if _is_cut(line, start):
            start -= 1
    if line[start - 1 : start] == b"\\" and (escape := _DEEPER.match(line, start, end)):
        start = escape.end()  # The escape of JSON within JSON has no room for a marker.
    for _ in range(6):
        if end < len(line) and _is_cut(line, end):
            end += 1
    return start, end


def _is_cut(line: bytes, at: int) -> bool:
    """Whether `at` is within an escape."""
    match = _ENDS_IN_ESCAPE.search(line, max(0, at - 5), at)
    if match is None or at >= len(line):
        return False
    first = match.start()
    while first > 0 and line[first - 1 : first] == b"\\":
        first -= 1
    if (match.start() - first) % 2:
        return False
    return len(match[0]) == 1 or line[at : at + 1] in b"0123456789abcdefABCDEF"


Part = tuple[int, int] | tuple[int, int, bool]
"""A piece of a line; a number that stands outside of strings has a third item."""


def in_strings(line: bytes, spans: list[tuple[int, int]]) -> list[list[Part]]:
    """For each span of a line of JSON, in order, the parts of it in strings, and the numbers."""
    parts: list[list[Part]] = [[] for _ in spans]
    first = 0
    for match in _VALUE.finditer(line):
        is_text = line[match.start()] == _QUOTE
        start, end = (match.start() + 1, match.end() - 1) if is_text else match.span()
        while first < len(spans) and spans[first][1] <= start:
            first += 1
        if first == len(spans):
            break
        at = first
        while at < len(spans) and spans[at][0] < end:
            low, high = max(start, spans[at][0]), min(end, spans[at][1])
            if low < high:
                parts[at].append((low, high) if is_text else (start, end, True))
            at += 1
    return parts
