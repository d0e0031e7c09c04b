"""Which records a session of the store has already: what makes taking in twice the same as once.

Records are known by the name their format gives them (`Dialect.identity`), a line that has none by
its bytes; and how often: a source that holds a record twice has it twice in the store.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from acontext_fs import clock, formats, jsonl
from acontext_fs.formats.dialect import Dialect

MARKS_MAX = 3
"""How many of a session's first records tell that another file is a copy of it."""
_BRANCH_KEYS = ("branchedFrom", "parentSession")


def keys_of(
    data: bytes, values: Sequence[Mapping[str, Any]], dialect: Dialect | None
) -> tuple[str, ...]:
    """The names of what stands on a line, as it is in the store: a name for each record of it."""
    names = [dialect.identity(value) for value in values] if dialect is not None else []
    found = tuple(_digest(name.encode("utf-8", "surrogatepass")) for name in names if name)
    return found or (_digest(data),)


def marks_of(values: Sequence[Mapping[str, Any]], dialect: Dialect | None) -> Iterator[str]:
    """Names of records that no other session has, unless it is a copy: they hold a time too."""
    if dialect is None:
        return
    for value in values:
        if any(key in value for key in _BRANCH_KEYS):
            continue  # The new head of a copy.
        name, time = dialect.identity(value), time_of(value)
        if name and time:
            yield _digest(f"{name}\0{time}".encode("utf-8", "surrogatepass"))


def time_of(value: Mapping[str, Any]) -> str:
    """When a record of a transcript was written (RFC 3339), "" where it does not say."""
    time = clock.parse_time(value.get("timestamp"))
    if time:
        return time
    places: list[object] = [value.get(key) for key in (*formats.TIME_KEYS, "startTime")]
    for inner in ("payload", "snapshot", "message", "data"):
        found = value.get(inner)
        if isinstance(found, dict):
            places.append(found.get("timestamp"))
    return next((time for place in places if (time := clock.parse_time(place))), "")


class Known:
    """Records by name, with how often they are there. `half` is what a crash left of the next."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._counts = Counter(keys)
        self.half = b""

    def __bool__(self) -> bool:
        return bool(self._counts)

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, keys: Iterable[str]) -> None:
        """Note that these are there, once more each."""
        self._counts.update(keys)

    def take(self, keys: Sequence[str]) -> bool:
        """Whether all of these are there; then each of them is there once less."""
        wanted = Counter(keys)
        if not all(self._counts[key] >= count for key, count in wanted.items()):
            return False
        for key, count in wanted.items():
            if self._counts[key] == count:
                del self._counts[key]
            else:
                self._counts[key] -= count
        return True

    def left(self) -> tuple[str, ...]:
        """What was not taken, sorted."""
        return tuple(sorted(self._counts.elements()))


def lines_in(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The lines in a file's pieces, and whether each was complete (the last may not be)."""
    rest: list[bytes] = []
    for piece in pieces:
        first, *more = piece.split(b"\n")
        rest.append(first)
        if more:
            yield b"".join(rest), True
            for line in more[:-1]:
                yield line, True
            rest = [more[-1]]
    last = b"".join(rest)
    if last:
        yield last, False


def decoded(data: bytes) -> tuple[dict[str, Any], ...]:
    """The objects on a line; none of an empty one."""
    return jsonl.decode(data).values if data else ()


def _digest(name: bytes) -> str:
    return hashlib.blake2b(name, digest_size=8).hexdigest()
