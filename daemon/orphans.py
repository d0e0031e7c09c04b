"""Files that lost their name while somebody has them open.

Git does not write into a file it changes (`stash`, `checkout`, `reset --hard`, `rebase`): it
removes it and makes another. A program that keeps its session file open goes on writing into the
one that has no name any more. So the files that grew last are kept open here, for reading: what
such an orphan still gets can be taken over, and what it got that nobody had read yet.
"""

from __future__ import annotations

import contextlib
import os
import re
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from acontext_fs import files
from acontext_fs.clock import Clock
from acontext_fs.daemon import resources
from acontext_fs.daemon.tail import Identity
from acontext_fs.daemon.tracked import Stamp

OPEN_MAX = 64
"""How many session files are kept open, and how many orphans."""
OPEN_SECONDS = 300.0
"""How long after it grew last a file is kept open."""
ORPHAN_SECONDS_MAX = 3600.0
"""How long an orphan is looked after at most."""
ALONE_SECONDS = 10.0
"""How long an orphan is looked after that nobody seems to have open: not all can be seen."""
LOOK_SECONDS = 0.25
"""The pause between two looks at one orphan."""
WRITERS_SECONDS = 5.0
"""The pause between two looks at who has them open."""
LINKS_MAX = 50_000
"""How many open files of other processes are looked at in one such look."""
CAN_KEEP_OPEN = os.name != "nt"
"""On Windows a file that is open cannot be replaced: git would fail."""

_DELETED = " (deleted)"
_ACCESS = re.compile(r"^flags:\s*([0-7]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Writer:
    """A process that has a file open for writing which has no name any more. `door` is where the
    file can still be opened.
    """

    process: str
    identity: Identity
    path: str
    door: Path


@dataclass(slots=True)
class Orphan:
    """A file that was at `path` (in the store) and has no name any more. Times are monotonic
    seconds. `read_lines` is how many lines of it had been read by then, `taken_bytes` how much of
    it is where it belongs; `astray` is the stamp of a file at the path that is no continuation.
    """

    path: str
    identity: Identity
    descriptor: int
    read_lines: int
    since: float
    taken_bytes: int = 0
    is_placed: bool = False
    astray: Stamp | None = None
    ref: str = ""
    size: int = 0
    saved_bytes: int = 0
    grown_at: float = 0.0
    looked_at: float = float("-inf")
    writers: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    def lines(self, offset: int = 0) -> list[bytes]:
        """Its complete lines behind `offset`.

        Raises:
            OSError: the disk failed.
        """
        size = os.fstat(self.descriptor).st_size
        os.lseek(self.descriptor, offset, os.SEEK_SET)
        pieces = []
        while offset < size:
            piece = os.read(self.descriptor, size - offset)
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces).split(b"\n")[:-1]

    def place(self, offset: int, lines: Sequence[bytes]) -> None:
        """Note that its `lines` behind `offset`, and what is in front, are where they belong."""
        self.is_placed = True
        self.taken_bytes = offset + sum(len(line) + 1 for line in lines)

    def told_of(self) -> str:
        """What a person should know of it, in a sentence."""
        who = f"process {self.writers[0]}"
        if len(self.writers) > 1:
            who = f"processes {', '.join(self.writers)}"
        return (
            f"{self.path}: {who} still writes into the file that was replaced; its lines are taken "
            "over as long as this daemon runs; restart that process"
        )

    @property
    def has_news(self) -> bool:
        """Whether it holds more than was taken over, be it half a line."""
        return os.fstat(self.descriptor).st_size > self.taken_bytes


@dataclass(slots=True)
class _Open:
    identity: Identity
    descriptor: int
    grown_at: float


class Orphans:
    """The files of one store that are kept open, and those among them without a name. Used by one
    thread.
    """

    def __init__(self, root: Path, clock: Clock) -> None:
        self.all: list[Orphan] = []
        self._root = root.resolve()
        self._clock = clock
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._writers_at = float("-inf")
        self._found_at = float("-inf")
        self._is_late = False
        self.close = weakref.finalize(self, _close, self._open, self.all)
        """Close every file."""

    def keep_open(self, path: str) -> None:
        """Keep the file at `path` open, which has just grown."""
        if not CAN_KEEP_OPEN:
            return
        found = self._open.get(path)
        if found is None and not resources.may_keep_open():
            return  # Few files may be opened; it is read by its name all the same.
        if found is None:
            try:
                descriptor = files.open_regular(self._root / path)
            except OSError:
                return  # It is read by its name all the same.
            found = _Open(_identity(descriptor), descriptor, 0.0)
            self._open[path] = found
        found.grown_at = self._clock.monotonic()
        self._open.move_to_end(path)
        while len(self._open) > OPEN_MAX:
            _, oldest = self._open.popitem(last=False)
            os.close(oldest.descriptor)

    def check(self, path: str, read_lines: int) -> None:
        """See whether what was at `path` still is; `read_lines` of it were read."""
        found = self._open.get(path)
        if found is None or _is_at(self._root / path, found.identity):
            return
        del self._open[path]
        known = next((one for one in self.all if one.identity == found.identity), None)
        if known is not None:  # It was found while another session was looked at.
            known.read_lines = max(known.read_lines, read_lines)
            os.close(found.descriptor)
        elif os.fstat(found.descriptor).st_nlink:
            os.close(found.descriptor)  # It has another name now, where it is not lost.
        else:
            self._adopt(Orphan(path, found.identity, found.descriptor, read_lines, self._now()))

    def find(self, path: str = "", identity: Identity | None = None, read_lines: int = 0) -> None:
        """Look for all files without a name that others write into. Of the one that was at `path`,
        `read_lines` were read.
        """
        now = self._now()
        if self._found_at + LOOK_SECONDS > now:
            self._is_late = True  # `tend` does it.
            return
        self._found_at, self._is_late = now, False
        known = {one.identity for one in self.all}
        for writer in writers(self._root):
            if writer.identity in known:
                continue
            try:
                descriptor = os.open(writer.door, os.O_RDONLY)
            except OSError:
                continue  # That process ended this moment.
            known.add(writer.identity)
            inside = Path(writer.path).relative_to(self._root).as_posix()
            read = read_lines if (inside, writer.identity) == (path, identity) else 0
            self._adopt(Orphan(inside, writer.identity, descriptor, read, now))

    def of(self, path: str) -> list[Orphan]:
        """The orphans that were at `path`, the oldest first."""
        return [one for one in self.all if one.path == path]

    def due(self, path: str) -> list[Orphan]:
        """The orphans of `path` that may be looked at again."""
        now = self._now()
        found = [one for one in self.of(path) if one.looked_at + LOOK_SECONDS <= now]
        for one in found:
            one.looked_at = now
            size = os.fstat(one.descriptor).st_size
            if size != one.size:
                one.size, one.grown_at = size, now
        return found

    def tend(self) -> list[Orphan]:
        """Let go of files that rest, and find out who has orphans open; returns the orphans that
        need no look any more. They are the caller's to `drop`.
        """
        now = self._now()
        for path, one in list(self._open.items()):
            if one.grown_at + OPEN_SECONDS < now:
                os.close(self._open.pop(path).descriptor)
        due = self._writers_at + WRITERS_SECONDS <= now
        if not due or not (self.all or self._is_late):
            return []
        self._writers_at = now
        if self._is_late:
            self.find()
        found: dict[Identity, set[str]] = {}
        for writer in writers(self._root):
            found.setdefault(writer.identity, set()).add(writer.process)
        for orphan in self.all:
            orphan.writers = tuple(sorted(found.get(orphan.identity, ())))
        return [one for one in self.all if self._is_over(one)]

    def _is_over(self, one: Orphan) -> bool:
        now = self._now()
        alone = not one.writers and now > max(one.since, one.grown_at) + ALONE_SECONDS
        return alone or now > one.since + ORPHAN_SECONDS_MAX

    def drop(self, one: Orphan) -> None:
        """Look after an orphan no longer."""
        self.all.remove(one)
        os.close(one.descriptor)

    def _adopt(self, orphan: Orphan) -> None:
        orphan.grown_at = orphan.since
        self.all.append(orphan)
        self._writers_at = float("-inf")
        if len(self.all) > OPEN_MAX:
            self.drop(self.all[0])

    def _now(self) -> float:
        return self._clock.monotonic()


def _close(opened: dict[str, _Open], orphans: list[Orphan]) -> None:
    for descriptor in [one.descriptor for one in opened.values()]:
        os.close(descriptor)
    for orphan in orphans:
        os.close(orphan.descriptor)
    opened.clear()
    orphans.clear()


def _identity(descriptor: int) -> Identity:
    found = os.fstat(descriptor)
    return (found.st_dev, found.st_ino)


def _is_at(path: Path, identity: Identity) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == identity


def writers(root: Path) -> list[Writer]:
    """Who has session files of the store at `root` open for writing that have no name any more, as
    far as the system tells (proc(5)): of processes of the same user, at most LINKS_MAX files.
    """
    start, found = f"{root}{os.sep}", []
    for count, link in enumerate(_links(Path("/proc"))):
        if count >= LINKS_MAX:
            break
        try:
            target = os.readlink(link)
            if not target.startswith(start) or not target.endswith(f".jsonl{_DELETED}"):
                continue
            process = link.parent.parent
            flags = _ACCESS.search((process / "fdinfo" / link.name).read_text("ascii"))
            if flags is None or int(flags[1], 8) & os.O_ACCMODE == os.O_RDONLY:
                continue
            status = link.stat()
            name = (process / "comm").read_text("utf-8", errors="replace").strip()
        except OSError:
            continue  # It ended, or closed the file, this moment.
        identity = (status.st_dev, status.st_ino)
        path = target.removesuffix(_DELETED)
        found.append(Writer(f"{process.name} ({name})", identity, path, link))
    return found


def _links(folder: Path) -> Iterator[Path]:
    """The open files of all processes that may be looked at."""
    with contextlib.suppress(OSError):
        for process in folder.iterdir():
            if process.name.isdigit():
                with contextlib.suppress(OSError):
                    yield from (process / "fd").iterdir()
