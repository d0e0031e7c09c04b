"""Front matter of which both sides changed something: merged key by key. Pure.

A key that one side changed takes that change, `metadata` in the same way. The order is ours, behind
it stand the keys that theirs added. Only what is plain block YAML is taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

Lines: TypeAlias = list[bytes]
Three: TypeAlias = tuple[Lines, Lines, Lines]

_FENCE = b"---"
_KEY = re.compile(rb"( *)([A-Za-z][\w.-]*|\"[^\"\\]*\"|'[^']*'):(?=\s|$)")
_NESTED = b"metadata"


def cut(lines: Sequence[bytes]) -> tuple[Lines, Lines] | None:
    """The lines between the fences of the front matter, and those behind them; None if none."""
    if not lines or lines[0].rstrip() != _FENCE:
        return None
    ends = (at for at, line in enumerate(lines) if at and line.rstrip() == _FENCE)
    end = next(ends, None)
    return None if end is None else (list(lines[1:end]), list(lines[end + 1 :]))


def partly(base: Lines, ours: Lines, theirs: Lines) -> Three | None:
    """The three with everything merged that can be; None if one of them cannot be taken apart.

    A key that both changed is as it was in each.
    """
    sides = [_by_key(lines) for lines in (base, ours, theirs)]
    was, mine, other = sides
    if was is None or mine is None or other is None:
        return None
    found: Three = ([], [], [])
    for key in dict.fromkeys((*mine, *other)):
        texts = tuple(side.get(key, []) for side in (was, mine, other))
        for lines, merged in zip(found, _merged(key, *texts), strict=True):
            lines += merged
    return found


def _merged(key: bytes, base: Lines, ours: Lines, theirs: Lines) -> Three:
    """What a key becomes; [] for a side that lacks it."""
    if theirs in (base, ours):
        return ours, ours, ours
    if ours == base:
        return theirs, theirs, theirs
    if key.strip(b"\"'") == _NESTED and ours and theirs and ours[0] == theirs[0]:
        inner = partly(base[1:], ours[1:], theirs[1:])
        if inner is not None:
            return ours[:1] + inner[0], ours[:1] + inner[1], ours[:1] + inner[2]
    return base, ours, theirs


def _by_key(lines: Sequence[bytes]) -> dict[bytes, Lines] | None:
    """The lines of each key, those below it included; None if that is not what they are."""
    found: dict[bytes, Lines] = {}
    key, indent = b"", -1
    for line in lines:
        match = _KEY.match(line)
        if match and indent in (-1, len(match[1])):
            key, indent = match[2], len(match[1])
            if key in found:
                return None
            found[key] = [line]
        elif key and (not line.strip() or line.startswith(b" " * (indent + 1))):
            found[key].append(line)
        else:
            return None
    return found
