"""What a commit is about to do to the index and the worktree, written down before the branch moves.

One JSON file that is written whole or not at all; it is there only while a commit is under way, or
after a crash in the middle of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson

from acontext_fs import durable, files
from acontext_fs.worktree import Change


class Journal:
    """The journal of one store, at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, commit: str, changes: Sequence[Change], objects: Iterable[Path]) -> None:
        """Write it; when this returns it is on disk, and so are `objects`.

        Raises:
            StoreError: the file system refused.
        """
        items = [
            {
                "path": change.path,
                "old": change.old or None,
                "new": change.new or None,
                "mode": change.mode,
                "archive": change.archive,
                "disk": change.disk,
                "staged": change.staged,
            }
            for change in changes
        ]
        data = orjson.dumps({"commit": commit, "files": items})
        durable.replace([durable.stage(self._path, data)], objects)

    def read(self) -> tuple[str, list[Change]] | None:
        """The commit and its changes, without their contents; None if there is no journal.

        A file that is no journal is removed: it cannot be from after the branch moved.
        """
        data = files.read_bytes(self._path)
        if data is None:
            return None
        try:
            entry = orjson.loads(data)
            changes = [
                Change(
                    path=str(item["path"]),
                    old=item["old"] or "",
                    new=item["new"] or "",
                    mode=int(item["mode"]),
                    content=None,
                    archive=bool(item["archive"]),
                    disk=_pair(item.get("disk")),
                    staged=_pair(item.get("staged")),
                )
                for item in entry["files"]
            ]
            return str(entry["commit"]), changes
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            self.drop()
            return None

    def is_there(self) -> bool:
        """Whether a commit is under way, or was cut off."""
        return self._path.exists()

    def drop(self) -> None:
        """Remove it: what it says is done."""
        self._path.unlink(missing_ok=True)


def _pair(value: object) -> tuple[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("not two blobs")
    return str(value[0]), str(value[1])
