"""Transcripts into commits: those that grew, with the blobs their lines refer to, and what was read
of one that is lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from acontext_fs import files, layout, progress, tasks
from acontext_fs import spaces as starter
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.daemon import archive, following, intake
from acontext_fs.daemon.archive import Whole
from acontext_fs.daemon.following import Move
from acontext_fs.daemon.gate import Event, Gate
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.errors import CommitConflict, CommitHeld
from acontext_fs.progress import Progress
from acontext_fs.store import Store


class _Ready(NamedTuple):
    """A transcript that can be committed, and what its progress says then."""

    session: Tracked
    whole: Whole
    note: FileEdit
    state: Progress


class Archiver(Gate):
    """Commits transcripts. Used by one thread."""

    def __init__(self, store: Store, report: Callable[[Event], None]) -> None:
        super().__init__(store, report)
        self.blobs = self._new_blobs()
        """The files under `blobs/`, by their paths, that git does not have yet."""

    def _new_blobs(self) -> set[str]:
        found = set()
        for space in self.store.layout.space_names():
            folder = f"{layout.SPACES_FOLDER}/{space}/blobs"
            for path in self.worktree.paths(folder):
                if not self.history.holds(path):
                    found.add(path)
        return found

    def archive(self, sessions: Sequence[Tracked]) -> None:
        """Commit these transcripts together, as far as they can be."""
        ready: list[_Ready] = []
        for session in sessions:
            held = self._try(session.place, lambda s=session: self._add_archive(s, ready))  # type: ignore[misc]
            self._hold_archive(session, held)
        if not ready:
            return
        names = [str(one.session.place) for one in ready]
        what = names[0] if len(names) == 1 else f"{len(names)} sessions"
        trailers = {"Acontext-Kind": "archive", "Acontext-Session": names}
        message = message_of(f"Archive {what}", "", trailers)
        blobs = self._blob_edits([one.session for one in ready])
        edits = [edit for one in ready for edit in (one.whole.edit, one.note)]

        def commit() -> None:
            done = self._commit([*blobs, *edits], message)
            for one in ready:
                self._advance(one.session, one.state)
                self._archived(one.session, one.whole, blobs)
                self._report(Event("archived", one.session.place, "", done))

        try:
            held = self._try(ready[0].session.place, commit)
        except CommitConflict as error:  # A commit that was cut off is finished first.
            held = str(error)
        if not held or self.reason:
            return
        if len(ready) == 1:
            self._hold_archive(ready[0].session, held)
        else:
            # One of them is in a person's hands; the others need not wait for it.
            for one in ready:
                self.archive([one.session])

    def _hold_archive(self, session: Tracked, held: str) -> None:
        if held and not self.reason:
            if held != session.archive_held:
                self._report(Event("held", session.place, held))
            session.archive_retry_at = self.store.clock.monotonic() + self.held_seconds
        session.archive_held = held if not self.reason else ""

    def _add_archive(self, session: Tracked, ready: list[_Ready]) -> None:
        stamp = session.stamp
        whole = archive.whole_of(self.store.root, self.history, session, self.worktree.clean)
        if whole is None:
            self.history.compare_again(session.place.session_path)
            session.level_stamp = stamp
            session.let_all_go()
            return
        try:
            state, data = self._known_progress(session)
        except CommitConflict:
            return  # It was just taken from disk again; the next step archives it.
        state = dataclasses.replace(state, archived_bytes=whole.size_bytes)
        note = FileEdit(session.place.progress_path, progress.encode(state), data)
        ready.append(_Ready(session, whole, note, state))

    def _whole(self, session: Tracked) -> Whole | None:
        """The transcript, to go into a batch's commit; a batch never waits for it."""
        try:
            return archive.whole_of(self.store.root, self.history, session, self.worktree.clean)
        except CommitHeld as error:
            session.last_error = str(error)
            return None

    def _blob_edits(self, sessions: Sequence[Tracked]) -> list[FileEdit]:
        """What these sessions' spaces have that git does not: blobs, and the first skills."""
        spaces = {one.place.space for one in sessions}
        wanted = sorted(path for path in self.blobs if path.split("/")[1] in spaces)
        found = ((path, files.read_bytes(self.store.layout.path(path))) for path in wanted)
        edits = [FileEdit(path, data, archive=True) for path, data in found if data is not None]
        return edits + [edit for space in sorted(spaces) for edit in self._first_skills(space)]

    def _first_skills(self, space: str) -> list[FileEdit]:
        """The skills that a space begins with, which tell the learner what to file where."""
        folder = f"{layout.SPACES_FOLDER}/{space}"
        if self.store.layout.skills(space).exists() or self.history.holds(folder):
            return []
        found = starter.template_files().items()
        return [FileEdit(f"{folder}/{inside}", data) for inside, data in found]

    def _archived(self, session: Tracked, whole: Whole, blobs: Sequence[FileEdit]) -> None:
        """Note that git has these."""
        session.archived = (whole.size_bytes, whole.digest)
        session.archive_held = ""
        self.blobs -= {edit.path for edit in blobs}

    def rescue(self, session: Tracked, edit: FileEdit) -> None:
        """Give git what was read of a transcript that is lost, so that a person can take it back.

        The progress file is not touched: by its `archived_bytes` the session is still behind, and
        so it stays left alone until its file is whole.
        """
        place = session.place
        trailers = {"Acontext-Kind": "archive", "Acontext-Session": str(place)}
        message = message_of(f"Save what was read of {place}", session.lost, trailers)
        with contextlib.suppress(CommitConflict):  # It is there again: it is looked at anew.
            self._try(place, lambda: self._saved(session, self._commit([edit], message)))

    def follow(self, session: Tracked, move: Move) -> str:
        """Note where the lines of a session that were read are now, unless that is more than can be
        noted; what it has to wait for, or "".
        """
        return self._try(session.place, lambda: self._follow(session, move))

    def _follow(self, session: Tracked, move: Move) -> None:
        place = session.place
        disk, disk_data = self._tasks(place)
        state, state_data = self._known_progress(session)
        after = following.moved_progress(state, move)
        if after is None:
            return
        edits = [FileEdit(place.progress_path, progress.encode(after), state_data)]
        found = following.moved_tasks(disk, move.to)
        if found != disk:
            edits.append(FileEdit(place.tasks_path, tasks.encode(found), disk_data))
        trailers = {"Acontext-Kind": "tasks", "Acontext-Session": str(place)}
        body = "Other lines came between them: they are read as batches of their own."
        message = message_of(f"Note where the lines of {place} are now", body, trailers)
        commit = self._commit(edits, message)
        intake.load(self.store.layout, session)
        text = "other lines came between those that were read; reading on"
        self._report(Event("found", place, text, commit))

    def _saved(self, session: Tracked, commit: str) -> None:
        session.let_all_go()
        self._report(Event("archived", session.place, "what was read of it is saved", commit))
