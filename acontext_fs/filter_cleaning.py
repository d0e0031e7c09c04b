"""What git is to store of a session file, for the filter that git runs (`git_filter`)."""

from __future__ import annotations

from pathlib import Path

from acontext_fs import redaction
from acontext_fs.revisions import Revisions
from acontext_fs.source import Worktree


class Cleaning:
    """The files of one worktree without their secrets."""

    def __init__(self, root: Path) -> None:
        self._source = Worktree(root)
        revisions = Revisions(root)
        head = revisions.head()
        self._have = revisions.files(head) if head else None

    def clean(self, path: str, data: bytes) -> bytes:
        """What git is to store of a file; what it has already is not scanned again.

        Raises:
            RedactionError: a line cannot be scanned.
        """
        have = self._have.read(path) if self._have is not None else None
        if have and data.startswith(have):
            return redaction.continued(data, len(have), self._source.clean)
        return redaction.cleaned(data, self._source.clean)
