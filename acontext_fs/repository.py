"""A store's git repository: making one, opening one, and what a person has under way in it."""

from __future__ import annotations

from pathlib import Path

import pygit2
from pygit2.enums import RepositoryState

from acontext_fs import files, obstacles
from acontext_fs.errors import StoreError
from acontext_fs.gitlock import IndexLock
from acontext_fs.obstacles import Obstacle

_UNDER_WAY = {
    RepositoryState.MERGE: "a merge",
    RepositoryState.REVERT: "a revert",
    RepositoryState.REVERT_SEQUENCE: "a revert",
    RepositoryState.CHERRYPICK: "a cherry-pick",
    RepositoryState.CHERRYPICK_SEQUENCE: "a cherry-pick",
    RepositoryState.BISECT: "a bisect",
    RepositoryState.REBASE: "a rebase",
    RepositoryState.REBASE_INTERACTIVE: "a rebase",
    RepositoryState.REBASE_MERGE: "a rebase",
    RepositoryState.APPLY_MAILBOX: "a `git am`",
    RepositoryState.APPLY_MAILBOX_OR_REBASE: "a `git am`",
}


def create(root: Path) -> None:
    """Make `root` a git repository if it is none, with the user's `init.defaultBranch` or main.

    Raises:
        StoreError: it lies inside another repository, or cannot be written.
    """
    files.make_folder(root)
    try:
        found = pygit2.discover_repository(str(root))
        if found is None:
            made = pygit2.init_repository(str(root))
            if "init.defaultBranch" not in made.config:
                made.set_head("refs/heads/main")
            return
        _refuse(Path(found))
        workdir = pygit2.Repository(found).workdir
    except (pygit2.GitError, OSError) as error:
        raise StoreError(f"cannot make {root} a git repository: {error}") from error
    if workdir is not None and Path(workdir).resolve() != root.resolve():
        raise StoreError(
            f"{root} lies inside the git repository {workdir}: a store is a whole repository, so "
            f"run `acontext-fs init {workdir}`, or choose a folder outside of it"
        )


def opened(root: Path) -> pygit2.Repository:
    """The repository whose worktree is `root`.

    Raises:
        StoreError: there is no repository, or one that libgit2 cannot use.
    """
    _refuse(root)
    try:
        repo = pygit2.Repository(str(root))
    except pygit2.GitError as error:
        raise StoreError(
            f"{root} is not a git repository that can be used ({error}): "
            "make it one with `acontext-fs init`"
        ) from error
    if repo.workdir is None:
        raise StoreError(f"{root} is a bare repository, which is only read: work in a clone")
    if Path(repo.workdir).resolve() != root.resolve():
        raise StoreError(
            f"{root} is not the top of its git repository ({repo.workdir}): "
            "name the top with --store"
        )
    return repo


def obstacle(root: Path) -> Obstacle | None:
    """What keeps libgit2 from handling the repository at `root`, as far as it is known."""
    try:
        # One of its own, so that a large index is not kept in memory.
        repo = pygit2.Repository(str(root))
        config = repo.config
        settings = {name: config[name] or "" for name in obstacles.ASKED if name in config}
        asked = obstacles.asked_by(settings)
        if not asked and not repo.is_bare:
            repo.index  # noqa: B018 (reads it)
    except pygit2.GitError as error:
        return obstacles.said_by(error)
    return next(iter(asked), None)


def _refuse(root: Path) -> None:
    found = obstacle(root)
    if found is not None:
        raise StoreError(f"{root} cannot be used: {found}")


def under_way(repo: pygit2.Repository) -> str:
    """Why no commit can be made now, in a sentence; "" when one can."""
    what = _UNDER_WAY.get(RepositoryState(repo.state()))
    rebase = Path(repo.path, "rebase-merge")
    if what and rebase.is_dir() and not (rebase / "head-name").exists():
        # Also in the first moment of each; git writes nothing that tells the two apart.
        return (
            "a rebase has put work aside and has not begun; if none is running, "
            "`git rebase --quit` ends it (see `git stash list` then), and the daemon goes on"
        )
    if what:
        return f"{what} is under way in this repository; finish it and the daemon goes on"
    if repo.head_is_detached:
        return "HEAD is detached; switch to a branch and the daemon goes on"
    return ""


def has_left_lock(root: Path) -> bool:
    """Whether the lock of the index is one of ours; without a running daemon a crash left it.

    Raises:
        StoreError: there is no repository that can be used.
    """
    return IndexLock(Path(opened(root).path)).is_ours


def leads_to(repo: pygit2.Repository, head: str, commit: str) -> bool:
    """Whether `head` ("" for none) is `commit` or has it behind it."""
    try:
        made = pygit2.Oid(hex=commit)
        return bool(head) and (head == commit or repo.descendant_of(pygit2.Oid(hex=head), made))
    except (pygit2.GitError, KeyError, ValueError):
        return False
