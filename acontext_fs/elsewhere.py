"""Sessions that are read on another machine: what of their lines has not come here yet.

What was read of a session is committed with every batch, its transcript later. So a clone may have
progress that is ahead of the transcript, until a later pull brings the rest. A file that git took
lines out of, with no daemon there, looks just the same. Which of the two it is tells git's reflog:
a commit that was made here stands in it by the name of who made it.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from acontext_fs import progress
from acontext_fs.errors import HistoryError
from acontext_fs.history import BOT_NAME
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.revisions import CommitFiles, Revisions

_LOOK = (
    "look for the rest in `git stash list`, `git log -g -p -- {path}` and what `acontext-fs "
    "status` calls rescued, and put it behind, or go on in another session"
)


class Missing(NamedTuple):
    """What a session lacks, and what to do, in a sentence; whether it comes by itself."""

    text: str
    comes: bool


class Elsewhere:
    """What git says of the sessions of one repository, which is opened once it is needed. Used by
    one thread.
    """

    def __init__(self, root: Path, commit: str = "") -> None:
        """The repository is at `root`; what is told of is HEAD, or `commit` if one is given."""
        self._root = root
        self._commit = commit
        self._head = ""
        self._files: CommitFiles | None = None
        self._made: dict[str, list[tuple[str, str]]] | None = None
        """The commits that were made here, and what is in front of each, by the name of a session;
        None where git keeps no reflog."""

    @functools.cached_property
    def _revisions(self) -> Revisions:
        return Revisions(self._root)

    def state(self, place: SessionPlace) -> tuple[object, object]:
        """What changes when git gets something else of a session."""
        files = self._at_head()
        if files is None:
            return (None, None)
        return (files.stamp(place.session_path), files.stamp(place.progress_path))

    def missing(self, place: SessionPlace, state: Progress, data: bytes | None) -> Missing | None:
        """What a session lacks that was read as far as `state` says and whose file is `data`; None
        if it lacks nothing, or is not just what git has of it.

        Raises:
            SessionError: the progress file in git is damaged.
            StoreError: there is no repository, or one that cannot be used.
            HistoryError: git cannot be read.
        """
        files = self._at_head()
        have = files.read(place.session_path) if files is not None else None
        if files is None or have is None or data != have:
            return None
        lines = have.count(b"\n")
        noted = _line(files, place)
        if lines >= state.cursor.line or noted != state.cursor.line:
            return None
        what = f"git has {lines} lines so far, and {noted} were read"
        if self._commit:
            return Missing(f"{what} by then; the rest comes with a later commit", comes=True)
        look = _LOOK.format(path=place.session_path)
        if self._was_read_here(place, lines):
            return Missing(f"{what} here; {place.session_path} has no more: {look}", comes=False)
        if self._made is None:
            where = "where another machine read them, the rest comes with a later pull"
            return Missing(f"{what}: {where}; else {look}", comes=False)
        return Missing(f"{what} on another machine; the rest comes with a later pull", comes=True)

    def _at_head(self) -> CommitFiles | None:
        head = self._commit or self._revisions.head()
        if head != self._head:
            self._head = head
            self._files = self._revisions.files(head) if head else None
            self._made = None
        return self._files

    def _was_read_here(self, place: SessionPlace, lines: int) -> bool:
        """Whether a commit that was made here says that more than `lines` were read."""
        if self._made is None:
            self._made = self._made_here()
        for commit, parent in (self._made or {}).get(str(place), ()):
            if self._line_at(commit, place) > max(lines, self._line_at(parent, place)):
                return True
        return False

    def _made_here(self) -> dict[str, list[tuple[str, str]]] | None:
        found = defaultdict(list)
        made = self._revisions.made_here(BOT_NAME)
        for commit in made or ():
            for name in commit.trailers.get("Acontext-Session", ()):
                found[name].append((commit.id, next(iter(commit.parents), "")))
        return None if made is None else dict(found)

    def _line_at(self, commit: str, place: SessionPlace) -> int:
        try:
            return _line(self._revisions.files(commit), place) if commit else 0
        except HistoryError:
            return 0  # Git has collected it since.


def _line(files: CommitFiles, place: SessionPlace) -> int:
    """How many lines of a session were read at a commit."""
    data = files.read(place.progress_path)
    return progress.decode(data, place.progress_path).cursor.line if data is not None else 0
