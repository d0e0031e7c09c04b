"""Encoded answers, kept for as long as the files they were made from are the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

_V = TypeVar("_V")


class Kept(NamedTuple, Generic[_V]):
    """An answer, and the version of what it was made from."""

    version: Hashable
    value: _V
    size: int


class Lru(Generic[_V]):
    """The values used last, up to `capacity` (bytes, or whatever `size` counts). Thread-safe."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[Hashable, Kept[_V]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, version: Hashable) -> _V | None:
        """What was kept for `key`, if it is of this version."""
        with self._lock:
            found = self._kept.get(key)
            if found is None or found.version != version:
                return None
            self._kept.move_to_end(key)
            return found.value

    def put(self, key: Hashable, version: Hashable, value: _V, size: int) -> None:
        """Keep a value; what was not used for longest goes first. One too large is not kept."""
        with self._lock:
            old = self._kept.pop(key, None)
            if old is not None:
                self._size -= old.size
            if size > self._capacity // 4:
                return
            self._kept[key] = Kept(version, value, size)
            self._size += size
            while self._size > self._capacity:
                self._size -= self._kept.popitem(last=False)[1].size
