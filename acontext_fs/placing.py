"""New contents into the worktree, where a person may save a file at the very same moment.

A file is put in place by exchanging names with what is there (`swapping`). What came out is looked
at: if it is not what the change was made for, somebody saved in between; then it goes back and the
change is merged into it. An editor that writes into the file it had opened before the exchange is
noticed by looking at that file once more at the end. What cannot be merged stays as the person has
it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from acontext_fs import durable, files, merging
from acontext_fs.durable import Staged
from acontext_fs.errors import CommitConflict, StoreError
from acontext_fs.swapping import exchange, is_open_for_writing
from acontext_fs.worktree import EXECUTABLE, Change, blob_id, found

ROUNDS_MAX = 8
"""How often a change is merged into a file that is saved again and again."""
SETTLE_SECONDS = 0.02
"""A file that is the same after so long is not being written at this moment."""
WRITTEN_OUT_SECONDS = 1.0
"""How long an editor that has a file open is waited for; then what it writes is kept beside."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Displaced:
    """What had a file's place and has a temporary name now: the blob that it was when it was looked
    at, whose text is the change's `before`. An editor that has it open may still write into it.
    """

    change: Change
    temporary: Path
    blob: str


def place(root: Path, changes: Iterable[Change], first: Iterable[Staged] = ()) -> None:
    """Put `first` in place, then what the changes make of the worktree; transcripts stay.

    Raises:
        StoreError: the file system refused; some of it may be done.
    """
    wanted = [change for change in changes if not change.archive]
    before = list(first)
    waiting: deque[Staged] = deque()
    try:
        for one in wanted:
            if one.content is not None:
                waiting.append(_stage(root, one, one.content))
        durable.sync([file.temporary for file in (*before, *waiting)])
        for other in before:
            os.replace(other.temporary, other.path)
        displaced: list[_Displaced] = []
        try:
            for change in wanted:
                if change.content is None:
                    _remove(root / change.path, change.on_disk[0])
                # From now on it may be a person's file that has the temporary name.
                else:
                    _put(root, change, waiting.popleft(), displaced)
            durable.sync(_folders(root, wanted, before))
        finally:
            _settle(root, displaced)
    except OSError as error:
        where = error.filename or root
        raise StoreError(f"cannot write {where}: {files.reason(error)}") from error
    finally:
        durable.drop([*before, *waiting])


def _folders(root: Path, changes: Sequence[Change], others: Sequence[Staged]) -> list[Path]:
    places = [(root / one.path).parent for one in changes] + [one.path.parent for one in others]
    return sorted({folder for folder in places if folder.is_dir()})


def _stage(root: Path, change: Change, content: bytes) -> Staged:
    """A file to be put in place, with the rights of the one that is there."""
    path = root / change.path
    try:
        there = path.lstat()
    except FileNotFoundError:
        return durable.stage(path, content, 0o755 if change.mode == EXECUTABLE else 0o644)
    staged = durable.stage(path, content, stat.S_IMODE(there.st_mode) & 0o777)
    _keep_owner(there, path, staged.temporary)
    return staged


def _keep_owner(there: os.stat_result, path: Path, temporary: Path) -> None:
    """Give a new file the owner and the attributes (access lists, tags) of the old, if we may."""
    with contextlib.suppress(OSError):
        made = temporary.stat()
        if sys.platform != "win32" and (made.st_uid, made.st_gid) != (there.st_uid, there.st_gid):
            os.chown(temporary, there.st_uid, there.st_gid)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            for name in os.listxattr(path, follow_symlinks=False):
                value = os.getxattr(path, name, follow_symlinks=False)
                os.setxattr(temporary, name, value, follow_symlinks=False)


def _stage_now(root: Path, change: Change, content: bytes) -> Staged:
    """The same, and it is on disk."""
    staged = _stage(root, change, content)
    try:
        durable.sync([staged.temporary])
    except OSError:
        durable.drop([staged])
        raise
    return staged


def _put(root: Path, change: Change, staged: Staged, displaced: list[_Displaced]) -> None:
    """Give a file its place, or let a person's stay; add to `displaced` what came out of it."""
    expected, before, content = change.on_disk[0], change.before, change.content
    ours = blob_id(content, change.path)
    try:
        for _ in range(ROUNDS_MAX):
            if _take_place(staged, expected, ours):
                if staged.temporary.exists():
                    out = dataclasses.replace(change, before=before)
                    displaced.append(_Displaced(out, staged.temporary, expected))
                return
            saved, older = _settled(staged.path), _saved_over(staged, ours)
            merged = _into(change, before, [saved, *older], content)
            if merged is None or merged == saved:
                break
            again = _stage_now(root, change, merged)
            # It was in place for a moment, in which somebody may have opened it.
            was = older[0] if older else content
            out = dataclasses.replace(change, before=was)
            displaced.append(_Displaced(out, staged.temporary, blob_id(was, change.path)))
            staged, content, ours = again, merged, blob_id(merged, change.path)
            before, expected = saved, blob_id(saved, change.path)
    except CommitConflict:
        _drop_ours(staged, ours)
        return
    except (OSError, StoreError):
        _drop_ours(staged, ours)
        raise
    _drop_ours(staged, ours)


def _drop_ours(staged: Staged, ours: str) -> None:
    """Remove a staged file that was not used. What else has its name, cannot be read, or is being
    written is kept where leftovers are.
    """
    with contextlib.suppress(StoreError):
        if _is_written_out(staged.temporary) and not _saved_over(staged, ours):
            durable.drop([staged])


def _saved_over(staged: Staged, ours: str) -> list[bytes]:
    """What a person saved and saved over while it was out of its place, if that happened."""
    data = files.read_bytes(staged.temporary)
    return [] if data is None or blob_id(data, staged.path.name) == ours else [data]


def _into(
    change: Change, before: bytes | None, saved: Sequence[bytes | None], content: bytes | None
) -> bytes | None:
    """What became of `before` when it was saved, with what the change makes of it.

    Raises:
        CommitConflict: they overlap, or it is not a text that can be merged.
    """
    if not change.merge:
        raise CommitConflict("it is no text that can be merged")
    for one in saved:
        content = merging.merge(before, one, content)
    return content


def _take_place(staged: Staged, expected: str, ours: str) -> bool:
    """Put a staged file, the blob `ours`, where a blob `expected` ("" nothing) is; False, and all
    as before, if there is something else. What came out is under the temporary name.
    """
    temporary, path = staged.temporary, staged.path
    try:
        if not exchange(temporary, path):
            if _blob_at(path, path) != expected:
                return False
            os.replace(temporary, path)
            return True
    except FileNotFoundError:
        if expected:
            return False  # Removed or renamed meanwhile: it stays so.
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        temporary.unlink()
        return True
    try:
        if _blob_at(temporary, path) == expected:
            return True
    except StoreError:
        _exchange_back(temporary, path, ours)
        raise
    _exchange_back(temporary, path, ours)
    return False


def _exchange_back(temporary: Path, path: Path, last: str) -> bool:
    """Put what came out of a place back. If what is there is not the blob `last`, which we put
    there, somebody saved in between: then that is the newest, and stays. Whether the temporary name
    is of what we had put there; else it is of what a person saved before.
    """
    for _ in range(ROUNDS_MAX):
        going_in = _blob_at(temporary, path)
        try:
            exchange(temporary, path)
        except FileNotFoundError:
            return False  # Removed since: then it stays removed.
        if _blob_at(temporary, path) == last:
            return True
        if going_in is None:
            break
        last = going_in
    return False


def _blob_at(place: Path, path: Path) -> str | None:
    """The blob that git would make of the file at `place` if it were at `path`; "" for nothing,
    None for what is no file.

    Raises:
        StoreError: it cannot be read now, and nothing can be said of it.
    """
    try:
        if not stat.S_ISREG(place.lstat().st_mode):
            return None
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StoreError(f"cannot look at {place}: {files.reason(error)}") from error
    return blob_id(files.read_bytes(place), path.name)


def _settled(path: Path) -> bytes | None:
    """What a file holds once nobody is in the middle of writing it."""
    found = files.read_bytes(path)
    for _ in range(ROUNDS_MAX):
        time.sleep(SETTLE_SECONDS)
        before, found = found, files.read_bytes(path)
        if before == found:
            break
    return found


def _settle(root: Path, displaced: Sequence[_Displaced]) -> None:
    """Look at what came out once more: an editor may have had it open and saved into it. What comes
    out when that is given back is looked at in turn.
    """
    waiting = deque(displaced)
    rounds = ROUNDS_MAX
    while waiting:
        one = waiting.popleft()
        is_over = _is_written_out(one.temporary)
        if _blob_at(one.temporary, root / one.change.path) != one.blob:
            if rounds == 0:
                continue  # It is kept where leftovers are.
            rounds -= 1
            is_over &= _give_back(root, one, _settled(one.temporary), waiting)
        if is_over:
            one.temporary.unlink(missing_ok=True)


def _is_written_out(path: Path) -> bool:
    """Wait a little for who has a file open to write into it; whether nobody has it any more."""
    until = time.monotonic() + WRITTEN_OUT_SECONDS
    while is_open_for_writing(path):
        if time.monotonic() > until:
            return False
        time.sleep(SETTLE_SECONDS)
    return True


def _give_back(
    root: Path, one: _Displaced, saved: bytes | None, displaced: deque[_Displaced]
) -> bool:
    """Merge what was saved into a displaced file into the one in its place, or put it back; whether
    its temporary name has nothing to keep. What comes out is added to `displaced`.
    """
    path, change = root / one.change.path, one.change
    for _ in range(ROUNDS_MAX):
        now = files.read_bytes(path)
        there = blob_id(now, change.path)
        out = dataclasses.replace(change, before=now)
        try:
            merged = _into(change, change.before, [saved], now)
        except CommitConflict:
            if _exchange_back(one.temporary, path, there):
                displaced.append(_Displaced(out, one.temporary, there))
            return False
        if merged is None or merged == now:
            return True
        staged = _stage_now(root, change, merged)
        if _take_place(staged, there, blob_id(merged, change.path)):
            if staged.temporary.exists():
                displaced.append(_Displaced(out, staged.temporary, there))
            return True
        _drop_ours(staged, blob_id(merged, change.path))
    return False


def _remove(path: Path, expected: str) -> None:
    """Remove a file that holds the blob `expected`, and its folder if that is empty now."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".acontext-", suffix=".tmp", dir=path.parent)
    except (FileNotFoundError, NotADirectoryError):
        return  # Gone with its folder.
    os.close(descriptor)
    out = Path(name)
    try:
        os.replace(path, out)
    except (FileNotFoundError, NotADirectoryError):
        out.unlink()  # It is gone, or a folder by now.
        return
    is_expected = False
    try:
        is_expected = _blob_at(out, path) == expected
    finally:
        if not is_expected:
            with contextlib.suppress(FileExistsError):
                os.link(out, path)  # Saved meanwhile, or nobody knows: it stays.
        out.unlink()
    with contextlib.suppress(OSError):
        path.parent.rmdir()


def edited_since(
    root: Path, changes: Iterable[Change], text: Callable[[str], bytes | None]
) -> Iterator[Change]:
    """The changes of an interrupted commit whose file a person saved, as it was before, since: with
    the change made in it, or the next commit of theirs would take ours back. `text` gives a blob.
    """
    for change in changes:
        before, after = change.on_disk
        if change.archive or not change.path.endswith((".md", ".jsonl")) or before == after:
            continue
        there, disk = found(root, change.path)
        if there is None or disk is None or disk in (before, after):
            continue
        with contextlib.suppress(CommitConflict):
            merged = merging.merge(text(before), there, text(after))
            if merged != there:
                yield dataclasses.replace(change, content=merged, disk=(disk, after), before=there)
