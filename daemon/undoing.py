"""How to take back a learning: what its skills become. Reads, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from acontext_fs import files, layout, merging
from acontext_fs.commits import Commit, FileEdit
from acontext_fs.daemon.verdicts import UNDOES, is_learning, verdicts
from acontext_fs.errors import CommitConflict, SkillInvalid, UsageError
from acontext_fs.layout import SKILL_FILE
from acontext_fs.revisions import CommitFiles, Revisions
from acontext_fs.skill_file import validate
from acontext_fs.worktree import plain

LATER_MAX = 3
"""How many later commits are named where they are in the way."""


@dataclass(frozen=True, slots=True)
class Undoing:
    """A learning that is to be taken back, the changes of skills that do it (`base` is what HEAD
    has), and sentences about what stays nevertheless.
    """

    learning: Commit
    edits: tuple[FileEdit, ...]
    notes: tuple[str, ...]


def undoing(root: Path, revision: str) -> Undoing | None:
    """How to take back the learning that `revision` names; None if it was taken back already.

    Raises:
        UsageError: it is no learning of this branch, or later work is in the way.
        HistoryError: the history cannot be read.
    """
    revisions = Revisions(root)
    head = revisions.head()
    learning = revisions.commit(revisions.resolve(revision))
    _check(revisions, head, learning)
    said = verdicts(revisions, learning.id, head)
    if any(one.learning.id == learning.id and one.is_taken_back for one in said):
        return None
    before, then, now = map(revisions.files, (learning.parents[0], learning.id, head))
    edits: list[FileEdit] = []
    notes = []
    moved = revisions.moved(learning.id, head)
    for was in sorted(revisions.skill_paths(learning.id), key=_skill_file_last):
        path = moved.get(was, was)
        old, text = before.read(was), now.read(path)
        try:
            content = without(then.read(was), old, text)
        except CommitConflict as error:
            raise _in_the_way(revisions, learning, path, str(error)) from error
        is_nothing = content != old and _is_bare(content)
        if is_nothing and _is_as_committed(root, path, text):
            content = None
        if content == text:
            continue
        if why := _why_it_stays(root, now, path, content, edits):
            notes.append(f"{path} stays as it is: {why}")
        else:
            edits.append(FileEdit(path, content, text, merge=True))
    return Undoing(learning, tuple(edits), tuple(notes))


def _skill_file_last(path: str) -> tuple[bool, str]:
    return path.endswith(f"/{SKILL_FILE}"), path


def _check(revisions: Revisions, head: str, commit: Commit) -> None:
    """See that a commit is a learning that can be taken back."""
    what = f"{commit.id[:10]} ({commit.subject})"
    if not revisions.leads_to(head, commit.id):
        raise UsageError(f"{what} is not in the history of this branch: switch to one that has it")
    if is_learning(commit):
        if commit.parents:
            return
        raise UsageError(
            f"{what} is where this clone of the history begins, so nobody knows what it changed: "
            "`git fetch --unshallow` brings the rest"
        )
    if commit.trailers.get(UNDOES):
        task = (*commit.trailers.get("Acontext-Task", ()), "TASK")[0]
        again = f"to have it learned again, run `acontext-fs learn --again {task[:8]}`"
        if commit.trailers.get("Acontext-Preference"):  # Those have no name to ask for them by.
            again = f"`git revert {commit.id[:10]}` brings back what it took"
        raise UsageError(f"{what} took a learning back; {again}")
    raise UsageError(
        f"{what} is no learning: `acontext-fs log --kind skills` lists those, and `git revert` "
        "takes back any other commit"
    )


def without(new: bytes | None, old: bytes | None, text: bytes | None) -> bytes | None:
    """What becomes of `text` where the change from `old` to `new` is taken out of it.

    What was written since in between of lines that go away stays, and so does the title of a file
    in which something is left.

    Raises:
        CommitConflict: that overlaps with what was changed since.
    """
    if text == new or text is None or new is None:
        return merging.merge(new, text, old)
    try:
        left = b"" if _is_blank(text) else merging.merge(new, text, old or b"")
    except CommitConflict:
        left = _taken_out(merging.lines_of(new), merging.lines_of(old or b""), text)
    if old is not None or _is_blank(left) or left is None:
        return left
    title = b"".join(merging.lines_of(new)[:2])
    is_titled = title.startswith(b"# ") and text.startswith(title) and not left.startswith(title)
    return (title if is_titled else b"") + left


def _taken_out(new: list[bytes], old: list[bytes], text: bytes) -> bytes:
    """A text without lines that were added, though others stand in between of them by now."""
    back, later = merging.hunks(new, old), merging.hunks(new, merging.lines_of(text))
    for mine in later:
        for other in back:
            is_inside = mine.start < other.end and other.start < mine.end
            if mine.is_added:
                is_inside = other.start < mine.start < other.end
            # Lines that only went away leave room for others, and are gone if others took them out.
            if is_inside and (other.lines or (mine.lines and not mine.is_added)):
                raise CommitConflict("the same text was changed meanwhile")
    pieces: list[bytes] = []
    for at in range(len(new) + 1):
        for one in (*later, *back):
            pieces += one.lines if one.start == at else ()
        if at < len(new) and not any(one.start <= at < one.end for one in (*later, *back)):
            pieces.append(new[at])
    return b"".join(pieces)


def _is_blank(content: bytes | None) -> bool:
    return content is None or not content.strip()


def _is_bare(content: bytes | None) -> bool:
    """Whether nothing, or nothing but a title, is left of a file."""
    title, _, rest = (content or b"").partition(b"\n")
    return _is_blank(content) or (title.startswith(b"# ") and _is_blank(rest))


def _is_as_committed(root: Path, path: str, text: bytes | None) -> bool:
    return plain(files.read_bytes(root / path), path) == text


def _why_it_stays(
    root: Path, now: CommitFiles, path: str, content: bytes | None, edits: list[FileEdit]
) -> str:
    """Why a file must not become that, "" if it may: what is left must be a skill."""
    folder, _, name = path.rpartition("/")
    if name != SKILL_FILE:
        return ""
    if content is None or _is_blank(content):
        gone = {one.path for one in edits if one.content is None} | {path}
        on_disk = {f"{folder}/{inside}" for inside, _ in layout.walk_files(root / folder, "")}
        left = sorted({*now.paths(folder), *on_disk} - gone)
        return f"the skill has other files, such as {left[0]}" if left else ""
    try:
        validate(content, folder.rpartition("/")[2])
    except SkillInvalid as error:
        return str(error)
    return ""


def _in_the_way(revisions: Revisions, learning: Commit, path: str, reason: str) -> UsageError:
    """The error that says what later work overlaps."""
    later = []
    for commit in revisions.since(learning.id, revisions.head()):
        if path in revisions.skill_paths(commit.id):
            later.append(f"{commit.id[:10]} ({commit.subject})")
    by = f" by {', '.join(later[-LATER_MAX:])}" if later else ""
    return UsageError(
        f"{learning.id[:10]} ({learning.subject}) cannot be taken back alone, because in {path} "
        f"{reason}{by}: take that back first, or take the lines out by hand"
    )
