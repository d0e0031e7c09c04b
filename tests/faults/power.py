"""A power cut, without one: what was not synced when a process ended may be gone.

In the process, every sync and every change of a name that goes through `os` is noted. What libgit2
does inside is seen by its effects: objects and indexes it leaves to us to sync, and a branch it has
synced itself once it says that the branch moved.

From those notes the survivor is built, as harshly as a journalling file system may be: of the
changes of a folder's names since it was synced only the first so many are there, each of them whole
(a rename is one); each file whose last content was not synced holds what it held when it was, or a
part of the rest, or zeros. Folders are independent of each other, but what was synced inside a new
one is not lost with it.
"""

from __future__ import annotations

import os
import pickle
import random
import resource
import shutil
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from acontext_fs import swapping
from tests.crash import Steps
from tests.faults import deaths
from tests.faults.deaths import AtStage, AtStep
from tests.faults.life import Life, run

Names: TypeAlias = dict[str, int]
"""The entries of a folder, by inode."""
BRANCH_MOVED = frozenset(("set_target", "create_reference", "create_reference_direct"))
SYNCED_BY_GIT = (".git/refs", ".git/logs")


@dataclass
class Disk:
    """What is known to be on disk, and what may be; paths are relative to the store.

    `files` are the contents that were synced, by inode; `folders` the entries that were. `since`
    has the changes after that, in order: what names led to then (None: nothing). `gone` are the
    contents of files that lost a name, with their modes.
    """

    files: dict[int, bytes] = field(default_factory=dict)
    folders: dict[str, Names] = field(default_factory=dict)
    since: dict[str, list[dict[str, int | None]]] = field(default_factory=dict)
    gone: dict[int, tuple[bytes, int]] = field(default_factory=dict)


class Recorder:
    """Notes what the process it lives in has synced. Everything there was before counts as so."""

    def __init__(self, root: Path) -> None:
        self.disk = Disk()
        self._root = str(root)
        self._lock = threading.RLock()
        self._held: dict[int, int] = {}  # While a file is open, its inode is nobody else's.
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        self._everything_below("")

    def _everything_below(self, inside: str) -> None:
        """Take a folder, and all in it, as it is now for synced."""
        names = self._listed(inside)
        self.disk.folders[inside] = names
        self.disk.since.pop(inside, None)
        for name in names:
            path = f"{inside}/{name}" if inside else name
            full = os.path.join(self._root, path)
            if stat.S_ISDIR(os.lstat(full).st_mode):
                self._everything_below(path)
            elif stat.S_ISREG(os.lstat(full).st_mode):
                self._synced_file(_REAL["open"](full, os.O_RDONLY))

    def _listed(self, inside: str) -> Names:
        with os.scandir(os.path.join(self._root, inside)) as entries:
            return {entry.name: entry.inode() for entry in entries}

    def _synced_file(self, descriptor: int) -> None:
        """Note the content of an open file; the descriptor is kept."""
        number = os.fstat(descriptor).st_ino
        self.disk.files[number] = os.pread(descriptor, 1 << 26, 0)
        if number in self._held:
            os.close(descriptor)
        else:
            self._held[number] = descriptor

    # -- what is done instead of the real calls ---------------------------------------------------

    def fsync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        inside = self._inside(path)
        if inside is None:
            return
        with self._lock:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                self.disk.folders[inside] = self._listed(inside)
                self.disk.since.pop(inside, None)
            else:
                again = _REAL["open"](f"/proc/self/fd/{descriptor}", os.O_RDONLY)
                self._synced_file(again)
            self._way_to(inside)

    def _way_to(self, inside: str) -> None:
        """What is synced in a new folder is not lost with the folder."""
        above, _, name = os.path.dirname(inside).rpartition("/")
        while name:
            known = self.disk.folders.setdefault(above, {})
            path = f"{above}/{name}" if above else name
            if name not in known:
                known[name] = os.lstat(os.path.join(self._root, path)).st_ino
            above, _, name = above.rpartition("/")

    def renamed(self, call: str, one: Any, other: Any, **named: Any) -> Any:
        """A rename, a link or a removal: note what the names led to before and lead to then."""
        with self._lock:
            paths = [one] if other is None else [one, other]
            self._note(paths)
            result = _REAL[call](*paths, **named)
            self._note(paths)
            return result

    def _note(self, paths: Sequence[Any]) -> None:
        """Note what the names lead to now, as one change of their folder."""
        changes: dict[str, dict[str, int | None]] = {}
        for path in paths:
            inside = self._inside(os.path.abspath(os.fspath(path)))
            if inside is not None:
                folder, _, name = inside.rpartition("/")
                changes.setdefault(folder, {})[name] = self._kept(inside)
        for folder, change in changes.items():
            self.disk.since.setdefault(folder, []).append(change)

    def _kept(self, inside: str) -> int | None:
        """The inode of what is at a path; its content is noted, because the name may go."""
        full = os.path.join(self._root, inside)
        try:
            found = os.lstat(full)
        except FileNotFoundError:
            return None
        if stat.S_ISREG(found.st_mode):
            descriptor = _REAL["open"](full, os.O_RDONLY)
            data = os.pread(descriptor, 1 << 26, 0)
            self.disk.gone[found.st_ino] = (data, found.st_mode)
            if found.st_ino in self._held:
                os.close(descriptor)
            else:
                self._held[found.st_ino] = descriptor
        return found.st_ino

    def branch_moved(self, name: str) -> None:
        if name in BRANCH_MOVED:
            with self._lock:
                for inside in SYNCED_BY_GIT:
                    self._everything_below(inside)
                    self._way_to(f"{inside}/x")

    def _inside(self, path: str) -> str | None:
        if path == self._root:
            return ""
        return path[len(self._root) + 1 :] if path.startswith(self._root + os.sep) else None

    def install(self) -> None:
        """Take the place of the calls that sync files and change names."""
        os.fsync = self.fsync  # type: ignore[assignment]
        for name in ("replace", "rename", "link"):
            setattr(os, name, self._two(name))
        for name in ("unlink", "remove", "rmdir"):
            setattr(os, name, self._one(name))
        exchange = swapping.exchange
        _REAL["exchange"] = exchange
        for module in _users_of(exchange):
            module.exchange = self._two("exchange")

    def _two(self, call: str) -> Callable[..., Any]:
        return lambda one, other, **named: self.renamed(call, one, other, **named)

    def _one(self, call: str) -> Callable[..., Any]:
        return lambda path, **named: self.renamed(call, path, None, **named)


_REAL: dict[str, Callable[..., Any]] = {
    name: getattr(os, name)
    for name in ("open", "replace", "rename", "link", "unlink", "remove", "rmdir")
}


def _users_of(exchange: object) -> list[Any]:
    import sys

    return [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("acontext_fs") and getattr(module, "exchange", None) is exchange
    ]


def live_until_cut(life: Life, notes: Path) -> None:
    """Live, and at its death let the power go: the notes are written, and nothing more."""
    recorder = Recorder(life.root)
    recorder.install()

    def power_goes() -> None:
        steps.stop()
        with open(notes, "wb") as file:
            pickle.dump(recorder.disk, file)
        deaths.end_now()

    def reached(number: int, name: str) -> None:
        if life.death == AtStep(number):
            power_goes()

    steps = Steps(reached, recorder.branch_moved)
    if isinstance(life.death, AtStage):
        deaths.arm(life.death, power_goes)
    run(life, steps)


# -- what survives ----------------------------------------------------------------------------


def cut(root: Path, notes: Path, chances: random.Random) -> list[str]:
    """Make of a store what the power cut left of it, and boot anew; tell what was lost."""
    disk: Disk = pickle.loads(notes.read_bytes())
    survivor = root.parent / f"{root.name}-survivor"
    cutter = _Cutter(root, survivor, disk, chances)
    cutter.folder("")
    shutil.rmtree(root)
    survivor.rename(root)
    boot_anew(root)
    return cutter.lost


class _Cutter:
    def __init__(self, root: Path, survivor: Path, disk: Disk, chances: random.Random) -> None:
        self.lost: list[str] = []
        self._root = root
        self._survivor = survivor
        self._disk = disk
        self._chances = chances
        self._late = chances.choice((0.0, 0.5, 1.0))
        """How likely it is that contents got to the disk without having been synced."""
        self._names_late = chances.choice((0.0, 0.5, 1.0))
        """How likely it is that all names did."""
        self._made: dict[int, Path] = {}

    def folder(self, inside: str) -> None:
        """Build one folder of the survivor, and those in it."""
        target = self._survivor / inside
        target.mkdir(parents=True)
        source = self._root / inside
        now = {entry.name: entry.inode() for entry in os.scandir(source)} if source.is_dir() else {}
        names = self._names(inside, now)
        for name in sorted({*now, *names}):
            path = f"{inside}/{name}" if inside else name
            number = names.get(name)
            if number != now.get(name):
                self.lost.append(f"{path}: name")
            if number is not None:
                self._entry(path, number, is_now=number == now.get(name))

    def _names(self, inside: str, now: Names) -> dict[str, int | None]:
        """What the names of a folder lead to after the cut."""
        changes: list[dict[str, int | None]] = list(self._disk.since.get(inside, []))
        last: dict[str, int | None] = dict(self._disk.folders.get(inside, {}))
        for change in changes:
            last |= change
        # What was made and removed inside libgit2, or made by opening it, in no known order.
        others = [name for name in {*last, *now} if last.get(name) != now.get(name)]
        changes += [{name: now.get(name)} for name in sorted(others)]
        names: dict[str, int | None] = dict(self._disk.folders.get(inside, {}))
        count = len(changes)
        if self._chances.random() >= self._names_late:
            count = self._chances.randint(0, count) if self._names_late else 0
        for change in changes[:count]:
            names |= change
        return names

    def _entry(self, path: str, number: int, *, is_now: bool) -> None:
        source = self._root / path
        if is_now and source.is_dir() and not source.is_symlink():
            self.folder(path)
            return
        if number in self._made:
            os.link(self._made[number], self._survivor / path)
            return
        if is_now:
            data, mode = source.read_bytes(), source.stat().st_mode
        elif number in self._disk.gone:
            data, mode = self._disk.gone[number]
        else:
            return  # A folder that was removed since: what was in it was, too.
        target = self._survivor / path
        left = self._content(path, data, self._disk.files.get(number))
        if left != data:
            self.lost.append(f"{path}: {len(data) - len(left)} bytes, {len(left)} left")
        target.write_bytes(left)
        target.chmod(stat.S_IMODE(mode))
        self._made[number] = target

    def _content(self, path: str, data: bytes, synced: bytes | None) -> bytes:
        if data == synced or (synced is None and self._chances.random() < self._late):
            return data
        if synced is None or (path.endswith(".jsonl") and data.startswith(synced)):
            begun = len(synced or b"")
            kept = self._chances.choice((begun, self._chances.randint(begun, len(data))))
            is_whole = path.endswith(".jsonl")
            zeros = 0 if is_whole or self._chances.random() < 0.7 else len(data) - kept
            return data[:kept] + b"\0" * zeros
        return data if self._chances.random() < self._late else synced


def boot_anew(root: Path) -> None:
    """Let the note of the last daemon be of another boot of the machine."""
    note = root / ".acontext" / "boot.json"
    if not note.exists():
        return
    try:
        value = orjson.loads(note.read_bytes())
    except orjson.JSONDecodeError:
        return
    note.write_bytes(orjson.dumps({**value, "boot": "before"}))
