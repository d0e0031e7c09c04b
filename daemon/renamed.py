"""Sessions whose file has another name, or stands in another folder, by now.

A file nobody has read yet may be one that was: its lines begin with all that was read of a session
whose file is gone. Then it is that session. Tasks and progress go along in one commit, under the
ids that they would have had from the beginning, and nothing is read again. The commit names what
the session was called, so that what older ones say of it still leads to it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from acontext_fs import files, layout, progress, redaction, tasks
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.daemon import archive, intake, names, tail
from acontext_fs.daemon.committer import Committer
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.errors import CommitConflict, CommitHeld, SessionError
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import Task
from acontext_fs.store import Store

LEFT_MAX = 1_000
"""Among so many sessions of a space without a file it is looked for what a new file was before."""
BYTES_MIN = 200
"""So much of a session tells it from others that begin alike; less does if it is the very file, or
has its id."""
GONE_SECONDS = 2.0
"""How long a file that was read here is gone before another can be it: git takes files away to
write them anew."""


class Before(NamedTuple):
    """A session as it was when its file had another name: what is remembered of it, whether the new
    file is that very one, and whether no other file has its name by now.
    """

    place: SessionPlace
    state: Progress
    session: Tracked | None
    is_it: bool
    is_gone: bool


class Renamed:
    """Finds and commits what became of sessions. Used by one thread."""

    def __init__(self, store: Store, committer: Committer) -> None:
        self._store = store
        self._committer = committer
        self._left: dict[str, list[tuple[SessionPlace, Progress]]] = {}
        self._waits: dict[str, float] = {}

    def look_again(self) -> None:
        """Forget which sessions have no file: some may have one by now, and others none."""
        self._left.clear()

    def before(self, new: Tracked, known: Mapping[str, Tracked]) -> Before | None:
        """What session a file was that nobody has read under its name; None if it is a new one.

        Raises:
            CommitHeld: a moment from now that can be told.
            AcontextError: a file cannot be read, or a line of it not scanned for secrets.
        """
        path = self._store.root / new.place.session_path
        stamp = intake.stamp_of(path)
        if stamp is None or (self._store.root / new.place.tasks_path).exists():
            return None
        gone = [
            one for one in self._gone(new, stamp[0], known) if one.state.cursor.offset <= stamp[1]
        ]
        data = files.read_bytes(path) or b"" if gone else b""
        found = [one for one in gone if self._goes_on(path, data, one)]

        def rank(one: Before) -> tuple[bool, bool, int]:
            is_named_alike = one.place.session_id == new.place.session_id
            return one.is_it, is_named_alike, one.state.cursor.line

        was = max(found, key=rank, default=None)
        if was is not None and was.session is not None and not was.is_it:
            self._wait(new, was)
        self._waits.pop(new.place.session_path, None)
        return was

    def _wait(self, new: Tracked, was: Before) -> None:
        now, path = self._store.clock.monotonic(), new.place.session_path
        if now < self._waits.setdefault(path, now) + GONE_SECONDS:
            text = f"begins like {was.place.session_path}, which is gone: it may come back"
            raise CommitHeld(f"{path} {text}", soon=True)

    def _gone(self, new: Tracked, inode: int, known: Mapping[str, Tracked]) -> Iterator[Before]:
        """The sessions of the space whose file is not at its path: one that was this very file, and
        those of which only tasks and progress are there.
        """
        root, space = self._store.root, new.place.space
        for one in known.values():
            is_it = one.identity is not None and one.identity[1] == inode
            if is_it and one.place.space == space and one is not new and not one.is_duplicate:
                there = intake.stamp_of(root / one.place.session_path)
                was = Before(one.place, one.progress, one, True, there is None)
                # The number of a file that was replaced may be that of its copy by now.
                if there is None or (there[0] != inode and not self._is_there(was)):
                    yield was
        for place, state in self._without_file(space):
            is_telling = max(state.cursor.offset, state.archived_bytes) >= BYTES_MIN
            if not is_telling and place.session_id != new.place.session_id:
                continue
            if intake.stamp_of(root / place.session_path) is None:
                yield Before(place, state, known.get(place.session_path), False, True)

    def _is_there(self, one: Before) -> bool:
        path = self._store.root / one.place.session_path
        return self._goes_on(path, files.read_bytes(path) or b"", one)

    def _without_file(self, space: str) -> list[tuple[SessionPlace, Progress]]:
        if space not in self._left:
            found = self._left[space] = []
            folder = f"{layout.SPACES_FOLDER}/{space}/progress"
            for path in sorted(self._committer.worktree.paths(folder, ".json"), reverse=True):
                place = layout.place_of(path)
                if place is None or (self._store.root / place.session_path).exists():
                    continue
                data = files.read_bytes(self._store.root / path)
                with contextlib.suppress(SessionError):  # A damaged one is the doctor's.
                    if data is not None:
                        found.append((place, progress.decode(data, path)))
                if len(found) == LEFT_MAX:
                    break
        return self._left[space]

    def _goes_on(self, path: Path, data: bytes, one: Before) -> bool:
        """Whether a file begins with all that was read of a session, and that git has of it."""
        cursor, session = one.state.cursor, one.session
        clean, kept = self._committer.worktree.clean, session.kept if session is not None else []
        if cursor.offset and data[cursor.offset - 1 : cursor.offset] != b"\n":
            return False
        if tail.check(path, cursor, None, clean) is not None:
            return False
        if data.count(b"\n", 0, cursor.offset) != cursor.line:
            return False
        have = self._committer.history.read(one.place.session_path) or b""
        have = have[: have.rfind(b"\n") + 1]
        if not (cursor.line or have or kept):
            return False
        if session is not None and not archive.has_kept(data, session, clean):
            return False
        return data.startswith(have) or redaction.cleaned(data, clean).startswith(have)

    def move(self, was: Before, new: Tracked) -> str:
        """Commit that a session goes on under another name; return why that has to wait, or ""."""
        try:
            held = self._committer._try(new.place, lambda: self._move(was, new))
        except CommitConflict as error:
            return str(error)
        return held or self._committer.reason

    def _move(self, was: Before, new: Tracked) -> None:
        old, place = was.place, new.place
        if was.is_gone and intake.stamp_of(self._store.root / old.session_path) is not None:
            raise CommitConflict(f"{old.session_path} is there again")  # Git took it away to write.
        trailers = {
            "Acontext-Kind": "tasks",
            "Acontext-Session": str(place),
            names.WAS: str(old) if str(old) != str(place) else "",
        }
        body = f"{old.session_path} is {place.session_path} now; nothing is read again."
        message = message_of(f"Move {old} to {place.stem_path}", body, trailers)
        gone = FileEdit(old.session_path, None, archive=True)
        try:
            whole = archive.whole_of(
                self._store.root, self._committer.history, new, self._committer.worktree.clean
            )
            data = files.read_bytes(self._store.root / place.session_path) or b""
            level = whole.size_bytes if whole is not None else data.rfind(b"\n") + 1
            edits = [gone, *([whole.edit] if whole is not None else [])]
            self._committer._commit([*edits, *self._derived(old, place, level)], message)
        except CommitHeld as error:
            if error.path not in (old.session_path, place.session_path):
                raise
            # A person has staged the move, or one of both is theirs: tasks and progress go first.
            self._committer._commit(self._derived(old, place, 0), message)

    def _derived(self, old: SessionPlace, place: SessionPlace, level: int) -> list[FileEdit]:
        """The edits that give tasks and progress their new place."""
        root = self._store.root
        edits = []
        found: tuple[Task, ...] = ()
        data = files.read_bytes(root / old.tasks_path)
        if data is not None:
            found = tasks.decode(data, old.tasks_path)
            edits.append(FileEdit(old.tasks_path, None, data))
            edits.append(FileEdit(place.tasks_path, tasks.encode(names.moved(found, old, place))))
        data = files.read_bytes(root / old.progress_path)
        if data is not None:
            edits.append(FileEdit(old.progress_path, None, data))
            state = progress.decode(data, old.progress_path)
            text = progress.encode(dataclasses.replace(state, archived_bytes=level))
            for one, other in names.new_ids(old, place, len(found)).items():
                text = text.replace(one.encode(), other.encode())  # What an extractor remembers.
            edits.append(FileEdit(place.progress_path, text))
        return edits
