"""The merge driver that git runs on tasks and progress files, which it cannot merge as text: every
learning changes the same few lines of them, so taking an older one back would conflict.

Git runs `python -P -m acontext_fs.git_merge %O %A %B %L %P` for each file that both sides changed
(gitattributes(5), "Defining a custom merge driver"). What comes out is said in `session_merge`.
Where that cannot be known, the file is left as ours and git reports a conflict.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from acontext_fs import git_settings, ids, layout, progress, session_merge, tasks, union_merge
from acontext_fs.errors import AcontextError, SessionError
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.session_merge import Joint, Side

NAME = "acontext-fs"
_GITHEAD = "GITHEAD_"
"""`git merge` names the commit it merges by a variable that begins so."""
_AGAIN = "it is left as it is here; added so, what was read on the other side is read again"
_UNKNOWN = f"both sides went on reading the session, and git does not say from where: {_AGAIN}"
_IN_PIECES = f"both sides went on, one without reading all of it: {_AGAIN}"


def install(root: Path) -> bool:
    """Have the repository at `root` run the driver with this Python; whether that is news to it.

    Raises:
        StoreError: its configuration cannot be read or written.
    """
    command = f"{git_settings.program('git_merge')} %O %A %B %L %P"
    wanted = {f"merge.{NAME}.name": "tasks and progress", f"merge.{NAME}.driver": command}
    return git_settings.tell(root, wanted)


@dataclass(frozen=True, slots=True)
class Versions:
    """A file as both sides began with it, and as they have it."""

    base: bytes
    ours: bytes
    theirs: bytes


def merged(path: str, versions: Versions, environment: Mapping[str, str]) -> bytes:
    """What the file at `path` (in the store, with `/`) becomes.

    Raises:
        AcontextError: it cannot be said; the text tells why.
    """
    place = layout.place_of(path)
    if place is not None and path == place.tasks_path:
        return _merged_tasks(place, versions, environment)
    if place is not None and path == place.progress_path:
        return _merged_progress(place, versions, environment)
    raise SessionError(f"{path} is neither tasks nor progress of a session")


def _merged_tasks(place: SessionPlace, versions: Versions, environment: Mapping[str, str]) -> bytes:
    path = place.tasks_path
    base, ours, theirs = (
        _tasks(place, data) for data in (versions.base, versions.ours, versions.theirs)
    )
    joint = session_merge.AS_THEY_ARE
    if session_merge.has_new_lines(base, theirs):
        found = _commits(place, path, versions, environment)
        if found is not None:
            joint = _join(place, found)
        elif session_merge.has_new_lines(base, ours):
            raise SessionError(_UNKNOWN)
    return tasks.encode(session_merge.merge_tasks(base, ours, theirs, joint, place.space))


def _merged_progress(
    place: SessionPlace, versions: Versions, environment: Mapping[str, str]
) -> bytes:
    path = place.progress_path
    base, ours, theirs = (
        _progress(data, path) for data in (versions.base, versions.ours, versions.theirs)
    )
    found = _commits(place, path, versions, environment)
    renamed = _renamed_alone(found) if found is not None else None
    if renamed is not None:
        joint = _stay(_progress(renamed.progress, path))
    elif theirs.cursor.line <= base.cursor.line:
        joint = _stay(ours)
    elif found is not None:
        joint = _join(place, found)
    elif ours.cursor == base.cursor:
        joint = _stay(theirs)
    else:
        raise SessionError(_UNKNOWN)
    state = session_merge.merge_progress(base, ours, theirs, joint)
    if renamed is not None:
        waiting = session_merge.waiting(_tasks(place, renamed.tasks), state)
        state = replace(state, learning_pending=waiting)
    elif found is not None:
        was, mine, other = (_tasks(place, one.tasks) for one in found)
        all_tasks = session_merge.merge_tasks(was, mine, other, joint, place.space)
        state = replace(state, learning_pending=session_merge.waiting(all_tasks, state))
    return progress.encode(state)


def _tasks(place: SessionPlace, data: bytes) -> tasks.Tasks:
    """The tasks of a session; where one side gave its file another name, under that."""
    found = tasks.decode(data, place.tasks_path)
    known = {
        ids.task_id(place.space, name, n): ids.task_id(place.space, place.session_id, n)
        for name in {task.session_id for task in found} - {place.session_id}
        for n in range(len(found) + 1)
    }
    return tuple(
        replace(task, id=known.get(task.id, task.id), session_id=place.session_id) for task in found
    )


def _progress(data: bytes, path: str) -> Progress:
    return progress.decode(data, path) if data else Progress()


def _stay(state: Progress) -> Joint:
    """Reading goes on where one side stopped."""
    return Joint(None, None, state.cursor, state.archived_bytes)


# -- the commits that are merged --------------------------------------------------------------


class _Files(NamedTuple):
    """A session's files in a commit, by the name it has there; b"" for one that is not there."""

    commit: str
    place: SessionPlace
    transcript: bytes
    tasks: bytes
    progress: bytes


class _Commits(NamedTuple):
    """A session as the commits have it that are merged."""

    base: _Files
    ours: _Files
    theirs: _Files


def _join(place: SessionPlace, found: _Commits) -> Joint:
    ours, theirs = (
        Side(one.transcript, _progress(one.progress, place.progress_path))
        for one in (found.ours, found.theirs)
    )
    merged = _union(found.base.transcript, ours.transcript, theirs.transcript)
    joint = session_merge.join(ours, theirs, merged)
    if joint is None or _is_taken(found, joint):
        raise SessionError(_IN_PIECES)
    return joint


def _is_taken(found: _Commits, joint: Joint) -> bool:
    """Whether git takes a tasks file as it is, because one side alone changed it, although its
    lines stand elsewhere by now.
    """
    is_ours = found.base.tasks == found.theirs.tasks != found.ours.tasks
    is_theirs = found.base.tasks == found.ours.tasks != found.theirs.tasks
    return (is_ours and joint.ours is not None) or (is_theirs and joint.theirs is not None)


def _union(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """What git makes of two transcripts (gitattributes(5), "union")."""
    if ours.startswith(theirs) or theirs.startswith(ours):
        return max(ours, theirs, key=len)
    if b"acontext_fs.union_merge" in _git(["config", f"merge.{union_merge.NAME}.driver"]):
        merged = union_merge.united(base, ours, theirs)
        if merged is not None:
            return merged
    with tempfile.TemporaryDirectory(prefix="acontext-fs-") as folder:
        names = [Path(folder) / name for name in ("ours", "base", "theirs")]
        for name, data in zip(names, (ours, base, theirs), strict=True):
            name.write_bytes(data)
        return _git(["merge-file", "--union", "-p", *map(str, names)])


def _commits(
    place: SessionPlace, path: str, versions: Versions, environment: Mapping[str, str]
) -> _Commits | None:
    """The commits that are merged, if they are what this merge of a file is about."""
    heads = [name.removeprefix(_GITHEAD) for name in environment if name.startswith(_GITHEAD)]
    wanted = {place.tasks_path: "tasks", place.progress_path: "progress"}[path]
    for head in heads:
        base = _git(["merge-base", "HEAD", head]).decode().strip()
        if not base:
            continue
        sides = zip((base, "HEAD", head), astuple(versions), strict=True)
        found = [_files(commit, place, wanted, data) for commit, data in sides]
        was, ours, theirs = found
        if was is not None and ours is not None and theirs is not None:
            return _Commits(was, ours, theirs)
    return None


def _files(commit: str, place: SessionPlace, wanted: str, data: bytes) -> _Files | None:
    """The files of the session whose tasks or progress are `data` in a commit."""
    for one in (place, *_named(commit, place, wanted, data)):
        names = (one.session_path, one.tasks_path, one.progress_path)
        found = _Files(commit, one, *_contents([f"{commit}:{name}" for name in names]))
        if getattr(found, wanted) == data:
            return found
    return None


def _named(commit: str, place: SessionPlace, wanted: str, data: bytes) -> Iterator[SessionPlace]:
    """The sessions whose tasks or progress are `data`: one side gave the file another name."""
    if not data:
        return
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    folder = f"{layout.SPACES_FOLDER}/{place.space}/{wanted}/"
    for entry in _git(["ls-tree", "-r", "-z", commit, "--", folder]).split(b"\0"):
        about, _, path = entry.partition(b"\t")
        if about.endswith(blob.encode()):
            found = layout.place_of(os.fsdecode(path))
            if found is not None:
                yield found


def _renamed_alone(found: _Commits) -> _Files | None:
    """The side that gave the session another name, if git takes its tasks alone: it does not see
    that they are those of the other side, since their ids changed with the name. What was read
    there is to be read again.
    """
    was = found.base
    for side, other in ((found.ours, found.theirs), (found.theirs, found.ours)):
        if side.place.tasks_path == was.place.tasks_path or other.tasks == was.tasks:
            continue
        names = (was.place.tasks_path, side.place.tasks_path)
        words = ["diff", "--find-renames", "--diff-filter=R", "--name-only"]
        if not _git([*words, was.commit, side.commit, "--", *names]):
            return side
    return None


def _contents(names: Sequence[str]) -> list[bytes]:
    """What git has under these names (git-cat-file(1), "Batch output")."""
    output = _git(["cat-file", "--batch"], "".join(f"{name}\n" for name in names))
    contents = []
    for _ in names:
        header, _, output = output.partition(b"\n")
        kind, _, size = header.partition(b" ")[2].partition(b" ")
        length = int(size) if kind == b"blob" else 0
        contents.append(output[:length])
        output = output[length + 1 :] if kind == b"blob" else output
    return contents


def _git(arguments: Sequence[str], stdin: str = "") -> bytes:
    """What git prints; nothing where it fails."""
    return subprocess.run(
        ["git", *arguments],
        input=stdin.encode("utf-8", "surrogateescape"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    ).stdout


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Merge as git asks: into the second file; 0 if that could be done."""
    base, ours, theirs, _, path = arguments
    versions = Versions(*(Path(name).read_bytes() for name in (base, ours, theirs)))
    try:
        Path(ours).write_bytes(merged(path, versions, environment))
    except AcontextError as error:
        sys.stderr.write(f"acontext-fs: {path}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
