"""What a process that died left half-written: temporary files beside those they were to become.

They are put away, not removed: one of them may be what came out of a file's place, and then it
holds what a person had saved there a moment before.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from acontext_fs import layout
from acontext_fs.layout import Layout

LEFTOVERS_MAX = 100
"""How many are kept; past it the oldest go."""

_BEGINNING, _END = ".acontext-", ".tmp"
"""What the names of temporary files begin with and end in (`files.write_atomic`)."""


def folder(root: Layout) -> Path:
    """Where they are put."""
    return root.local / "leftovers"


def put_away(root: Layout) -> list[str]:
    """Move every temporary file of ours to where they are kept; return their paths in the store.

    Only for who owns the store: nobody else makes such files in these places. What cannot be moved
    now is moved another time; nothing depends on it.
    """
    found: list[str] = []
    place = folder(root)
    with contextlib.suppress(OSError):
        found = sorted(_temporary(root))
        for path in found:
            place.mkdir(exist_ok=True)
            os.replace(root.path(path), place / _free_name(place, Path(path).name))
        kept = sorted(place.iterdir(), key=lambda file: file.stat().st_mtime) if found else []
        for old in kept[:-LEFTOVERS_MAX]:
            old.unlink()
    return found


def found(root: Layout) -> list[str]:
    """The paths of the temporary files of ours in the worktree; some may be in use."""
    return sorted(_temporary(root))


def _temporary(root: Layout) -> Iterator[str]:
    for above in ("", ".git/", f"{layout.LOCAL_FOLDER}/"):
        names = os.listdir(root.root / above) if (root.root / above).is_dir() else []
        yield from (f"{above}{name}" for name in names if _is_temporary(name))
    for inside, entry in layout.walk_files(root.spaces, _END):
        if _is_temporary(entry.name):
            yield f"{layout.SPACES_FOLDER}/{inside}"


def _is_temporary(name: str) -> bool:
    return name.startswith(_BEGINNING) and name.endswith(_END)


def _free_name(place: Path, name: str) -> str:
    names = itertools.chain([name], (f"{name}.{number}" for number in itertools.count(2)))
    return next(one for one in names if not (place / one).exists())
