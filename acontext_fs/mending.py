"""What can be mended without a person: only what loses nothing and can be said in a sentence.

Whoever mends owns the store (`acontext_fs.owning.own`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from acontext_fs import checks_past, durable, files, leftovers, redaction, setup, worktree
from acontext_fs.errors import StoreError
from acontext_fs.finding import Finding, Mend
from acontext_fs.history import History
from acontext_fs.index.index import folder_of
from acontext_fs.store import Store

WHAT: Mapping[Mend, str] = {
    "set up": "set up git as `acontext-fs init` does (filter, merge drivers, hooks, attributes)",
    "bring back": "write the file again as git has it",
    "replace": "put the damaged file into .acontext/replaced, and write it again as git has it",
    "append": "append to the file the lines that git has and it has not",
    "put away": "move the file into .acontext/leftovers",
    "finish": "finish the commit that was cut off, and remove its lock",
    "rebuild": "move the index aside, so that it is built again",
}
"""What is done about a finding, by its `mend`."""


def mend(store: Store, finding: Finding) -> str:
    """Do about a finding what WHAT says; return why that cannot be done, or "".

    Raises:
        AcontextError: the file system or git refused; what was there is as it was.
    """
    match finding.mend:
        case "set up":
            setup.complete(store.root, store.clock)
        case "bring back":
            return _bring_back(store, finding.path)
        case "replace":
            return _replace(store, finding.path)
        case "append":
            return _append(store, finding.path)
        case "put away":
            leftovers.put_away(store.layout)
        case "finish":
            History(store.root, store.clock).recover()
        case "rebuild":
            _rebuild(store)
        case "":
            return "a person has to decide about it"
    return ""


def _committed(store: Store, path: str) -> bytes | None:
    head = store.revisions.head()
    return store.revisions.files(head).read(path) if head else None


def _bring_back(store: Store, path: str) -> str:
    content = _committed(store, path)
    if content is None:
        return "git does not have it any more"
    worktree.check_way(store.root, path)
    if files.read_bytes(store.layout.path(path)) is not None:
        return "it is there by now"
    files.write_atomic(store.layout.path(path), content)
    return ""


def _replace(store: Store, path: str) -> str:
    content = _committed(store, path)
    if content is None or not checks_past.is_readable(content, path):
        return "what git has of it cannot be read either"
    here = store.layout.path(path)
    damaged = worktree.read(store.root, path)
    if damaged is None or checks_past.is_readable(damaged, path):
        return "it can be read by now"
    mode = stat.S_IMODE(here.stat().st_mode)
    keep_aside(store, here)
    files.write_atomic(here, content, mode)
    return ""


def keep_aside(store: Store, path: Path) -> Path:
    """Move a file or folder of the store to a free name in `.acontext/replaced`; return it."""
    folder = store.layout.local / "replaced"
    files.make_folder(folder)
    number = 1
    while (place := folder / f"{path.name}.{number}").exists():
        number += 1
    try:
        os.replace(path, place)
    except OSError as error:
        raise StoreError(f"cannot move {path}: {files.reason(error)}") from error
    return place


def _append(store: Store, path: str) -> str:
    """Append what is missing; never write a line that is there."""
    content, here = _committed(store, path), store.layout.path(path)
    data = worktree.read(store.root, path)
    if content is None or data is None:
        return "it is gone, here or in git"
    clean = data
    if not content.startswith(data):
        end = data.rfind(b"\n") + 1
        clean = redaction.cleaned(data[:end], store.source.clean) + data[end:]
    if not content.startswith(clean):
        return "it is not the beginning of what git has any more"
    try:
        with open(here, "ab") as file:
            file.write(content[len(clean) :])
        durable.sync([here])
    except OSError as error:
        raise StoreError(f"cannot append to {here}: {files.reason(error)}") from error
    return ""


def _rebuild(store: Store) -> None:
    folder = folder_of(store)
    if folder.exists():
        keep_aside(store, folder)
