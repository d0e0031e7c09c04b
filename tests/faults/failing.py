"""Calls to the system that fail: on files below one folder, one in so many, while switched on.

Which call fails is decided by the seed, the call, its path and how often it was made, not by when:
files are synced in threads. What libgit2 does inside does not pass here.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import re
import threading
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from acontext_fs import placing

_NO_ROOM, _BROKEN = (errno.ENOSPC, errno.EDQUOT), (errno.EIO,)
_NOT_NOW, _NEVER = (errno.EMFILE, errno.ENFILE), (errno.EACCES, errno.EROFS)
CALLS: dict[str, tuple[int, ...]] = {
    "open": (*_NO_ROOM, *_BROKEN, *_NOT_NOW, *_NEVER),
    "fsync": (*_NO_ROOM, *_BROKEN),
    "replace": (*_NO_ROOM, *_BROKEN, *_NEVER),
    "rename": (*_NO_ROOM, *_BROKEN, *_NEVER),
    "link": (*_NO_ROOM, *_BROKEN, *_NEVER),
    "mkdir": (*_NO_ROOM, *_BROKEN, *_NEVER),
    "unlink": (*_BROKEN, *_NEVER),
    "rmdir": (*_BROKEN, *_NEVER),
    "listdir": (*_BROKEN, *_NOT_NOW, errno.EACCES),
    "scandir": (*_BROKEN, *_NOT_NOW, errno.EACCES),
    "stat": (*_BROKEN, errno.EACCES),
    "lstat": (*_BROKEN, errno.EACCES),
    "chmod": (*_BROKEN, *_NEVER),
    "utime": (*_BROKEN, *_NEVER),
}
_RANDOM = re.compile(r"\.acontext-[^/]*\.tmp$")


class Failing:
    """Makes calls below `root` fail, one in `one_in`, while `on` is true."""

    def __init__(self, root: Path, seed: str, one_in: int) -> None:
        self.on = False
        self.failed: Counter[str] = Counter()
        self.failed_paths: Counter[str] = Counter()
        self.one_in = one_in
        self.only: tuple[int, ...] = ()
        """The errors there may be; none given: all that the call can have."""
        self._root = str(root) + os.sep
        self._seed = seed
        self._made: Counter[str] = Counter()
        self._lock = threading.Lock()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(name, getattr(os, name)))
        real = io.open

        def opened(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            if not isinstance(file, int):
                self.check("open", file)
            found = real(file, mode, *arguments, **named)
            return _File(found, self, file) if "b" in mode and set(mode) & set("wax+") else found

        monkeypatch.setattr(io, "open", opened)
        monkeypatch.setattr(builtins, "open", opened)
        monkeypatch.setattr(placing, "exchange", self._wrapped("rename", placing.exchange))

    def _wrapped(self, name: str, real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self.check(name, arguments[0] if arguments else ".")
            return real(*arguments, **named)

        return call

    def check(self, name: str, place: Any) -> None:
        """Raise the error that the call is to have now, if it is to have one."""
        path = self._path(place) if self.on else ""
        if not path.startswith(self._root):
            return
        key = f"{name} {_RANDOM.sub('a temporary file', path[len(self._root) :])}"
        with self._lock:
            self._made[key] += 1
            number = zlib.crc32(f"{self._seed} {key} {self._made[key]}".encode())
            may = [one for one in CALLS[name] if not self.only or one in self.only]
            if number % self.one_in or not may:
                return
            self.failed[name] += 1
            self.failed_paths[_RANDOM.sub("a temporary file", key)] += 1
        code = may[number // self.one_in % len(may)]
        raise OSError(code, os.strerror(code), path)

    @staticmethod
    def _path(place: Any) -> str:
        if isinstance(place, int):
            try:
                return os.readlink(f"/proc/self/fd/{place}")
            except OSError:
                return ""
        return os.path.abspath(os.fsdecode(place))


class _File:
    """A file opened for writing; a write may fail when half of it is done."""

    def __init__(self, file: Any, failing: Failing, place: Any) -> None:
        self._file = file
        self._failing = failing
        self._place = file.fileno() if isinstance(place, int) else place

    def write(self, data: bytes) -> int:
        try:
            self._failing.check("fsync", self._place)
        except OSError:
            self._file.write(data[: len(data) // 2])
            raise
        return int(self._file.write(data))

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
