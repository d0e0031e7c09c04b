"""Two versions of one session's lines, of which one was read and the other is there now: what the
second lacks, and where what was read is in it. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def missing(
    old: Sequence[bytes],
    now: Sequence[bytes],
    committed: Sequence[int],
    read: int,
    *,
    replaced: bool,
) -> list[bytes] | None:
    """The lines of `old` to be appended to `now` so that nothing is lost, [] if it has all of them;
    None if it is not the same session going on, but what somebody made of it.

    `old` is what had been written, of which `read` lines were read; of `now`, git had the first of
    `committed` (one of these numbers) when it put the file back. Git puts a file back as it has it.
    Lines that came behind that since are left alone, if it is another file (`replaced`): nobody
    rewrites an open file and leaves so much.
    """
    same = common(old, now)
    is_whole = same >= (read or min(committed, default=0))
    if same == 0 or not (is_whole or same in committed):
        return None
    rest, there = old[same:], now[same:]
    if there and rest and not replaced:
        return None
    left = rest[_matched(rest, there) :]
    return None if set(left) & set(there) else list(left)


def common(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    """How many lines both begin with."""
    for number, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return number
    return min(len(one), len(other))


def _matched(lines: Sequence[bytes], within: Sequence[bytes]) -> int:
    """How many of the first `lines` are found `within`, in this order."""
    found = 0
    for line in within:
        if found < len(lines) and line == lines[found]:
            found += 1
    return found


def holds(within: Sequence[bytes], lines: Sequence[bytes], behind: Sequence[bytes]) -> bool:
    """Whether all `lines` are `within`, as often; they stood `behind` what stands there as well."""
    rest = within[common(within, behind) :]
    return not Counter(lines) - Counter(rest)
