"""Removing sessions for good, and so that capture never brings them back.

Transcripts, tasks, progress, and the blobs that no other session refers to, leave in one commit;
`spaces/<space>/pruned.jsonl` remembers the ids. Git's history keeps everything, and `git revert` of
the commit brings it back. Skills stay. Which sessions go is found out in `pruning_choice`.

No transcript is read into memory. The files are set aside under `.acontext/pruning`, the commit is
made, and then they are deleted: a crash at any point is settled by `settle`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from acontext_fs import blobs, files, gitcommand, jsonl, layout, sessions
from acontext_fs.clock import format_time
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.errors import AcontextError, SessionError, StoreError
from acontext_fs.history import History
from acontext_fs.layout import SessionPlace
from acontext_fs.pruning_choice import Candidate
from acontext_fs.source import Source
from acontext_fs.store import Store

_READ_BYTES = 1024 * 1024
_REFERENCE_BYTES = 128
"""More than a reference to a blob takes."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a pruning did: the commit, the blobs that went along, and their bytes."""

    commit: str
    blobs: tuple[str, ...]
    blob_bytes: int


def prune(store: Store, history: History, chosen: Sequence[Candidate], why: str) -> Pruned:
    """Remove sessions in one commit. The caller owns the store; `why` is for the commit.

    Raises:
        CommitHeld, CommitConflict: a person is at work here; nothing was removed.
        HistoryError, StoreError: git or the file system refused; nothing was removed.
    """
    settle(store, history)
    gone = lonely_blobs(store, [one.place for one in chosen])
    size = sum(files.size_of(store.layout.path(path)) for path in gone)
    paths = [path for one in chosen for path in _paths(one.place)] + gone
    edits = [FileEdit(path, None, archive=True) for path in paths] + _notes(store, chosen)
    moved = [path for path in paths if store.layout.path(path).is_file()]
    try:
        for path in moved:
            _move(store.layout.path(path), _aside(store) / path)
        commit = history.commit(edits, _message(chosen, why))
    except (AcontextError, OSError) as error:
        settle(store, history)
        if isinstance(error, OSError):
            raise StoreError(f"cannot prune {store.root}: {files.reason(error)}") from error
        raise
    _drop(store, moved)
    return Pruned(commit, tuple(gone), size)


def _paths(place: SessionPlace) -> tuple[str, str, str]:
    return (place.session_path, place.tasks_path, place.progress_path)


def _message(chosen: Sequence[Candidate], why: str) -> str:
    names = [str(one.place) for one in chosen]
    what = names[0] if len(names) == 1 else f"{len(names)} sessions"
    size = sum(one.bytes for one in chosen)
    body = f"{why}\n{size:,} bytes of transcripts. The history has them; `git revert` brings back."
    return message_of(
        f"Prune {what}", body, {"Acontext-Kind": "archive", "Acontext-Session": names}
    )


def _notes(store: Store, chosen: Sequence[Candidate]) -> list[FileEdit]:
    """The edits that note the sessions in the `pruned.jsonl` of their spaces."""
    now = format_time(store.clock.now())
    edits = []
    for space in sorted({one.place.space for one in chosen}):
        path = pruned_path(space)
        have = store.source.read(path)
        glue = b"\n" if have and not have.endswith(b"\n") else b""
        lines = [
            orjson.dumps(
                {"at": now, "bytes": one.bytes, "last": one.last, "session": one.place.session_id},
                option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE,
            )
            for one in chosen
            if one.place.space == space
        ]
        edits.append(FileEdit(path, b"".join([have or b"", glue, *lines]), have))
    return edits


def lonely_blobs(store: Store, places: Sequence[SessionPlace]) -> list[str]:
    """The paths of the blobs that these sessions refer to and no other does."""
    found = []
    doomed = set(places)
    for space in sorted({place.space for place in places}):
        own = set[str]()
        for place in sorted(doomed):
            if place.space == space:
                own |= _names(store.layout.path(place.session_path))
        for place in sessions.places(store.source, space) if own else ():
            if place not in doomed:
                own -= _names(store.layout.path(place.session_path))
        found += [blobs.path_of(space, name) for name in sorted(own)]
    return [path for path in found if store.layout.path(path).is_file()]


def _names(path: Path) -> set[str]:
    """The blobs that a file names; read in pieces, for a line may be long.

    Raises:
        SessionError: it cannot be read: what it refers to must not be taken away.
    """
    found: set[str] = set()
    rest = b""
    try:
        with os.fdopen(files.open_regular(path), "rb") as file:
            while piece := file.read(_READ_BYTES):
                found.update(blobs.references(rest + piece))
                rest = piece[-_REFERENCE_BYTES:]
    except FileNotFoundError:
        return found
    except OSError as error:
        raise SessionError(f"cannot read {path}: {files.reason(error)}") from error
    return found


def settle(store: Store, history: History) -> bool:
    """Finish a pruning that was cut off: what is set aside goes if its commit was made, and comes
    back if it was not. True if there was one. The caller owns the store.

    Raises:
        StoreError: the file system refused.
    """
    aside = _aside(store)
    if not aside.is_dir():
        return False
    history.recover()
    paths = [inside for inside, _ in layout.walk_files(aside, "")]
    if any(_was_pruned(history, path) for path in paths):
        _drop(store, paths)
        return True
    try:
        for path in paths:
            back = store.layout.path(path)
            if not back.exists():
                _move(aside / path, back)
        _remove_empty(aside)
    except OSError as error:
        raise StoreError(f"cannot bring back {aside}: {files.reason(error)}") from error
    return True


def _was_pruned(history: History, path: str) -> bool:
    place = layout.place_of(path)
    if place is None or path != place.session_path or history.read(path) is not None:
        return False
    return place.session_id in _ids(history.read(pruned_path(place.space)))


def _aside(store: Store) -> Path:
    return store.layout.local / "pruning"


def _move(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, to)


def _drop(store: Store, paths: Iterable[str]) -> None:
    """Delete what is set aside, and the folders that `paths` left empty in the store."""
    shutil.rmtree(_aside(store), ignore_errors=True)
    for path in paths:
        folder = store.layout.path(path).parent
        while len(folder.relative_to(store.root).parts) > 3:
            try:
                folder.rmdir()
            except OSError:
                break
            folder = folder.parent


def _remove_empty(folder: Path) -> None:
    for found, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(found)


# -- what was pruned --------------------------------------------------------------------------


def pruned_path(space: str) -> str:
    """Where a space notes the sessions that were pruned: one JSON line each, in any order."""
    return f"{layout.SPACES_FOLDER}/{space}/pruned.jsonl"


def pruned_ids(source: Source, space: str) -> frozenset[str]:
    """The ids of the sessions of a space that were pruned and must not come back.

    Raises:
        StoreError: the file cannot be read.
    """
    return _ids(source.read(pruned_path(space)))


def _ids(data: bytes | None) -> frozenset[str]:
    lines = (line for line in (data or b"").split(b"\n") if line.strip())
    values = (value for line in lines for value in jsonl.decode(line).values)
    return frozenset(str(value["session"]) for value in values if "session" in value)


def history_bytes(store: Store, chosen: Iterable[Candidate]) -> int:
    """How much of the repository's disk space the last versions of these transcripts take.

    Raises:
        HistoryError: there is no git command.
    """
    names = "".join(f"HEAD:{one.place.session_path}\n" for one in chosen)
    asked = ["cat-file", "--batch-check=%(objectsize:disk)"]
    found = gitcommand.ask(store.root, asked, stdin=names.encode())
    return sum(int(line) for line in found.split(b"\n") if line.isdigit())
