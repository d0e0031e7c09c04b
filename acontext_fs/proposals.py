"""Learned changes that could not be merged, kept for a person to decide about.

Each is two commits that no branch has, under `refs/acontext/proposals/<id>`: the skills as the
learner read them, and on top the skills as it would have them. So the proposal is the difference
of the two, `git show <ref>` prints it, and it can still be merged into whatever is there later.

Anybody who can push can put a ref there as well. What changes anything but the skills of one space
is no proposal, and is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from acontext_fs import durable, layout
from acontext_fs.clock import Clock
from acontext_fs.commits import Commit, FileEdit
from acontext_fs.errors import HistoryError, ProposalsFull, UsageError
from acontext_fs.gc_lock import GcLock
from acontext_fs.history import BOT_EMAIL, BOT_NAME
from acontext_fs.objects import Objects
from acontext_fs.revisions import Revisions
from acontext_fs.worktree import Change, plain

PREFIX = "refs/acontext/proposals/"
PROPOSALS_MAX = 100
"""How many may wait at a time; past it a learning that conflicts is recorded as failed."""
_ID_LENGTH = 10
_READ = "The skills as the learner read them\n"
_TRAILERS = ("Kind", "Session", "Task", "Preference", "Lines", "Model")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A learned change that waits; `edits` are its paths in the repository, all below the skills of
    `space`, each with what was read there.
    """

    id: str
    commit: Commit
    space: str
    edits: tuple[FileEdit, ...]

    @property
    def trailers(self) -> dict[str, tuple[str, ...]]:
        """What its commit says of where it comes from, and nothing that acts on other learnings."""
        names = [f"Acontext-{name}" for name in _TRAILERS]
        said = self.commit.trailers
        return {name: said[name] for name in names if name in said}


class Proposals:
    """The proposals of one store. Whoever makes or drops one holds the store's lock."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._root = root
        self._clock = clock

    def make(self, edits: Sequence[FileEdit], message: str) -> str:
        """Keep a change; return its id. The same change twice is one proposal.

        Raises:
            ProposalsFull: PROPOSALS_MAX wait already.
            CommitHeld: git is packing the repository.
            HistoryError: git refused.
        """
        try:
            repo = pygit2.Repository(str(self._root))
            if len(_refs(repo)) >= PROPOSALS_MAX:
                raise ProposalsFull(
                    f"{PROPOSALS_MAX} proposals wait to be decided about, and no more are kept: "
                    "`acontext-fs review` lists them"
                )
            objects = Objects(repo)
            with GcLock(objects.common).hold():
                return self._make(repo, objects, edits, message)
        except (pygit2.GitError, OSError, KeyError, ValueError) as error:
            raise HistoryError(f"cannot keep a proposal in git: {error}") from error

    def _make(
        self, repo: pygit2.Repository, objects: Objects, edits: Sequence[FileEdit], message: str
    ) -> str:
        head = None if repo.head_is_unborn else repo[repo.head.target].peel(pygit2.Commit)
        author = pygit2.Signature(BOT_NAME, BOT_EMAIL, int(self._clock.now()), 0)
        before = [_change(objects, edit.path, edit.base) for edit in edits]
        read, first = objects.commit(head, before, _READ, author)
        after = [_change(objects, edit.path, edit.content) for edit in edits]
        base = repo[read].peel(pygit2.Commit)
        commit, more = objects.commit(base, after, message, author)
        durable.sync(sorted({*first, *more, *(path.parent for path in (*first, *more))}))
        proposal = str(commit)[:_ID_LENGTH]
        ref = PREFIX + proposal
        if ref not in repo.references:
            repo.references.create(ref, commit)
        return proposal

    def count(self) -> int:
        """How many wait.

        Raises:
            HistoryError: the refs cannot be read.
        """
        return len(self._names())

    def all(self) -> list[Proposal]:
        """Those that wait, oldest first.

        Raises:
            HistoryError: the refs cannot be read.
        """
        found = [one for one in map(self._read, self._names()) if isinstance(one, Proposal)]
        return sorted(found, key=lambda one: (one.commit.time_seconds, one.id))

    def foreign(self) -> list[str]:
        """What else is among them, that was put there by somebody else or is damaged: a sentence
        each.

        Raises:
            HistoryError: the refs cannot be read.
        """
        return [one for one in map(self._read, sorted(self._names())) if isinstance(one, str)]

    def get(self, proposal: str) -> Proposal:
        """The one with this id, or with an id that begins so.

        Raises:
            UsageError: there is none, or several, or it is no proposal.
            HistoryError: the refs cannot be read.
        """
        names = [name for name in self._names() if name.startswith(proposal)]
        if len(names) > 1 and proposal not in names:
            raise UsageError(
                f"several proposals begin with {proposal!r}: `acontext-fs review` lists them"
            )
        if not names:
            raise UsageError(
                f"there is no proposal {proposal!r} (any more): `acontext-fs review` lists those "
                "that wait, and `acontext-fs learn --again TASK` has a task learned once more"
            )
        found = self._read(proposal if proposal in names else names[0])
        if isinstance(found, str):
            raise UsageError(found)
        return found

    def drop(self, proposal: str) -> None:
        """Forget a proposal: it was decided about.

        Raises:
            HistoryError: git refused.
        """
        try:
            references = pygit2.Repository(str(self._root)).references
            if PREFIX + proposal in references:
                references.delete(PREFIX + proposal)
        except (pygit2.GitError, OSError) as error:
            raise HistoryError(f"cannot drop the proposal {proposal}: {error}") from error

    def drop_others(self, session: str, about: Set[str], keep: str = "") -> None:
        """Forget the proposals of a session ("space/session") about one of these tasks: there is a
        newer decision. `keep` is the one that stays.

        Raises:
            HistoryError: they cannot be read, or git refused.
        """
        revisions = Revisions(self._root)
        for name in self._names():
            made = _made(revisions, name)
            if made is None or name == keep or made.trailer("Acontext-Session") != session:
                continue
            if about & set(made.trailers.get("Acontext-Task", ())):
                self.drop(name)

    def _names(self) -> list[str]:
        try:
            return _refs(pygit2.Repository(str(self._root)))
        except pygit2.GitError as error:
            raise HistoryError(
                f"{self._root} is not a git repository that can be used ({error}): make it one "
                "with `acontext-fs init`"
            ) from error

    def _read(self, name: str) -> Proposal | str:
        """A proposal, or a sentence that says why it is none."""
        try:
            revisions = Revisions(self._root)
            made = _made(revisions, name)
            if made is None:
                return _foreign(name, "it is not two commits of a daemon, named by the second")
            paths = sorted(revisions.changed_paths(made.id))
            spaces = set(map(_space_of, paths))
            space = next(iter(spaces), "")
            if len(spaces) != 1 or not space:
                return _foreign(name, "it changes something else than the skills of one space")
            after, before = revisions.files(made.id), revisions.files(made.parents[0])
            edits = [FileEdit(p, after.read(p), before.read(p), merge=True) for p in paths]
        except (HistoryError, pygit2.GitError, KeyError, ValueError) as error:
            return _foreign(name, f"not all of it is here or can be read: {error}")
        return Proposal(name, made, space, tuple(edits))


def _foreign(name: str, why: str) -> str:
    return f"{PREFIX}{name} is no proposal that can be decided about, and is left alone: {why}"


def _space_of(path: str) -> str:
    """The space whose skills a path is in, "" if it is not a file of skills."""
    parts = path.split("/")
    is_skill = len(parts) > 4 and parts[0] == layout.SPACES_FOLDER and parts[2] == "skills"
    return parts[1] if is_skill and layout.is_space_name(parts[1]) else ""


def _made(revisions: Revisions, name: str) -> Commit | None:
    """The commit of a proposal; None for what somebody else put among them."""
    try:
        made = revisions.commit(revisions.resolve(PREFIX + name))
    except UsageError:
        return None
    # Else a name could lead to another change than it did when a person was shown it.
    is_named = made.id[:_ID_LENGTH] == name
    is_ours = made.author == BOT_NAME and made.trailer("Acontext-Kind") == "skills"
    return made if is_named and is_ours and len(made.parents) == 1 else None


def _refs(repo: pygit2.Repository) -> list[str]:
    names = (name for name in repo.references if name.startswith(PREFIX))
    return [name.removeprefix(PREFIX) for name in names]


def _change(objects: Objects, path: str, content: bytes | None) -> Change:
    stored = plain(content, path)
    new = "" if stored is None else objects.blob(stored, is_new=False)
    return Change(path, "", new, int(FileMode.BLOB), stored, archive=False)
