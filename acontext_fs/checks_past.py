"""Checks of the history: git's own, whether every batch is there once, and what HEAD has that the
worktree does not.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import Literal

from acontext_fs import gitcommand, layout, redaction
from acontext_fs import tasks as task_file
from acontext_fs.checks_sessions import BACK
from acontext_fs.errors import AcontextError, HistoryError, SessionError
from acontext_fs.finding import Finding
from acontext_fs.progress import decode
from acontext_fs.source import Source
from acontext_fs.store import Store

LISTED_MAX = 20
"""So many complaints of git are listed one by one."""
HEAD = "HEAD"
"""The path of a finding about the commit itself."""
_TRIED = "`git fsck` says more; a clone of it elsewhere may have what is missing"


def of_objects(store: Store) -> Iterator[Finding]:
    """What `git fsck` says, and says again: what is committed while it looks seems to lack parts,
    and the next time does not.
    """
    try:
        said = gitcommand.fsck(store.root)
        if said:
            again = set(gitcommand.fsck(store.root))
            said = [line for line in said if line in again]
    except HistoryError:
        return  # That there is no git is said where its settings are looked at.
    for line in said[:LISTED_MAX]:
        yield Finding("history", ".git", f"git says: {line}", _TRIED)
    if len(said) > LISTED_MAX:
        yield Finding("history", ".git", f"git says {len(said) - LISTED_MAX} things more", _TRIED)


def of_batches(store: Store) -> Iterator[Finding]:
    """Whether no batch was committed behind itself. Two clones that read the same lines commit the
    same batch side by side, and merging their tasks makes one of it.
    """
    later: dict[str, list[str]] = {}
    try:
        for commit in store.revisions.log():
            for batch in commit.trailers.get("Acontext-Batch", ()):
                known = later.setdefault(batch, [])
                for one in known:
                    if store.revisions.leads_to(one, commit.id):
                        text = f"batch {batch} was committed here and in {one[:10]}"
                        remedy = f"`git show {commit.id[:10]}` and the other tell what each did"
                        yield Finding("history", commit.id[:10], text, remedy)
                known.append(commit.id)
    except HistoryError as error:
        yield Finding("history", ".git", str(error), _TRIED)


def of_worktree(store: Store, chosen: Iterable[str] | None = None) -> Iterator[Finding]:
    """What HEAD has of sessions, tasks, progress and blobs, against the worktree; of these paths
    or of all.
    """
    try:
        head = store.revisions.head()
        have = store.revisions.files(head) if head else None
    except HistoryError as error:
        yield Finding("history", HEAD, str(error), _TRIED)
        return
    if have is None:
        return
    try:
        paths = list(_paths(have)) if chosen is None else chosen
    except HistoryError as error:
        yield Finding("history", HEAD, str(error), _TRIED)
        return
    for path in paths:
        try:
            yield from _of_path(store.source, have, path)
        except HistoryError as error:
            yield Finding("history", path, str(error), _TRIED)


def _paths(have: Source) -> Iterator[str]:
    for space in have.space_names():
        for kind in ("sessions", "tasks", "progress", "blobs"):
            yield from have.paths(f"{layout.SPACES_FOLDER}/{space}/{kind}")


def _of_path(source: Source, have: Source, path: str) -> Iterator[Finding]:
    kind = path.split("/")[2]
    if kind == "blobs":
        if have.stamp(path) is not None and source.stamp(path) is None:
            text, remedy = "git has it, and it is not here", BACK.format(path=shlex.quote(path))
            yield Finding("blob", path, text, remedy, mend="bring back")
        return
    committed = have.read(path)
    if committed is not None:
        yield from (_transcript if kind == "sessions" else _derived)(source, path, committed)
        if kind == "progress":
            yield from _without_tasks(source, have, path, committed)


def _without_tasks(source: Source, have: Source, path: str, committed: bytes) -> Iterator[Finding]:
    """A progress file without the tasks that were read, here and in git."""
    place = layout.place_of(path)
    if place is None or not is_readable(committed, path):
        return
    lines = decode(committed, path).cursor.line
    if lines and not any(one.stamp(place.tasks_path) for one in (source, have)):
        text = f"it is missing, and {lines} lines were read"
        back = BACK.format(path=shlex.quote(place.tasks_path))
        yield Finding("tasks", place.tasks_path, text, back)


def _transcript(source: Source, path: str, committed: bytes) -> Iterator[Finding]:
    if not path.endswith(".jsonl"):
        return
    try:
        data = source.read(path)
        if data is not None and not data.startswith(committed):
            data = redaction.cleaned(data[: data.rfind(b"\n") + 1], source.clean)
    except AcontextError as error:
        yield Finding("misplaced", path, str(error), "make it a plain file that can be read")
        return
    if data is None:
        text = "git has the transcript, and it is not here"
        back = f"`git checkout HEAD -- {shlex.quote(path)}` brings it back"
        remedy = f"if you renamed it, `acontext-fs flush` goes on with it; else {back}"
        yield Finding("transcript", path, text, remedy)
    elif not data.startswith(committed):
        if committed.startswith(data):
            lines = committed.count(b"\n") - data.count(b"\n")
            noun = "line" if lines == 1 else "lines"
            text = f"git has {lines} {noun} more than the file"
            remedy = f"`git show {shlex.quote(f'HEAD:{path}')}` prints them all"
            yield Finding("transcript", path, text, remedy, mend="append")
        else:
            text = "it is not a continuation of what git has of it"
            compare = f"git diff HEAD -- {shlex.quote(path)}"
            remedy = (
                f"compare with `{compare}`: put what is missing back in front, or move the new "
                "lines to a file of their own"
            )
            yield Finding("transcript", path, text, remedy)


def _derived(source: Source, path: str, committed: bytes) -> Iterator[Finding]:
    """A file that is only written together with its commit."""
    kind: Literal["tasks", "progress"] = "tasks" if path.endswith(".jsonl") else "progress"
    try:
        data = source.read(path)
    except AcontextError as error:
        yield Finding(kind, path, str(error), BACK.format(path=path))
        return
    if data == committed:
        return
    if data is None:
        place = layout.place_of(path)
        if place is None or source.stamp(place.session_path) is None:
            return  # Its transcript is what is missing, and that is said.
        text = "git has it, and it is not here"
        yield Finding(kind, path, text, BACK.format(path=path), mend="bring back")
    elif not is_readable(data, path):
        return  # Said where the session is looked at.
    else:
        text = "it has changes that are not committed, and the daemon waits for that"
        look = f"look at them with `git diff HEAD -- {path}`"
        yield Finding(kind, path, text, f"{look}: commit them, or put the file back")


def is_readable(data: bytes, path: str) -> bool:
    """Whether a tasks or progress file says what one can say."""
    try:
        if path.endswith(".jsonl"):
            task_file.decode(data, path)
        else:
            decode(data, path)
    except SessionError:
        return False
    return True
