"""The lines of a session as they are on disk, in HEAD and at other commits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from acontext_fs import files
from acontext_fs.daemon.committer import Committer
from acontext_fs.errors import UsageError
from acontext_fs.layout import SessionPlace
from acontext_fs.revisions import Revisions
from acontext_fs.store import Store

NOTED_AMONG = 2_000
"""Among so many commits it is looked for those that tell of a session."""
NOTED_MAX = 8


class Versions:
    """Every version of the sessions of one store that can be asked for."""

    def __init__(self, store: Store, committer: Committer) -> None:
        self.before = ""
        """Where the branch was before a person moved it the last time."""
        self._store = store
        self._committer = committer

    def clean(self, lines: Sequence[bytes]) -> list[bytes]:
        """Lines without their secrets.

        Raises:
            RedactionError: one of them cannot be scanned.
        """
        return [self._committer.worktree.clean(line) for line in lines]

    def on_disk(self, place: SessionPlace) -> list[bytes]:
        """The complete lines of the file at the session's path."""
        data = files.read_bytes(self._store.root / place.session_path) or b""
        return self.clean(data.split(b"\n")[:-1])

    def in_git(self, place: SessionPlace) -> list[bytes]:
        """The lines that HEAD has of a session."""
        data = self._committer.history.read(place.session_path) or b""
        return data.split(b"\n")[:-1]

    def committed(self, place: SessionPlace, now: Sequence[bytes]) -> tuple[int, ...]:
        """How many lines of a file git may have had when it put the file back: what it has, or what
        it had before, as a person may have committed what came since. () if it had others.
        """
        have = (self.in_git(place), self.at(self.before, place))
        return tuple(sorted({len(one) for one in have if one and list(now[: len(one)]) == one}))

    def noted(self, place: SessionPlace) -> list[str]:
        """The last commits that tell of a session, newest first: also those of other machines."""
        log = self._committer.history.log(NOTED_AMONG)
        told = (one.id for one in log if str(place) in one.trailers.get("Acontext-Session", ()))
        return list(itertools.islice(told, NOTED_MAX))

    def at(self, revision: str, place: SessionPlace) -> list[bytes]:
        """The lines of a session at another commit, [] if there are none."""
        revisions = Revisions(self._store.root)
        try:
            commit = revisions.resolve(revision)
        except UsageError:
            return []
        return (revisions.files(commit).read(place.session_path) or b"").split(b"\n")[:-1]


def joined(lines: Sequence[bytes]) -> bytes:
    """Lines as they stand in a file."""
    return b"".join(line + b"\n" for line in lines)
