"""Transcripts as they were read, under refs of their own: what a branch cannot have any more.

A person may move the branch, and the files with it, to before lines that were read and not
committed yet. Such a transcript is kept as a commit that no branch has, on top of the commit that
was current when it was read; `git show <ref>:<path>` prints it. Git does not push these refs by
itself, and does not collect what they name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from acontext_fs import durable
from acontext_fs.clock import Clock
from acontext_fs.commits import message_of, parse_commit
from acontext_fs.errors import HistoryError
from acontext_fs.history import BOT_EMAIL, BOT_NAME
from acontext_fs.layout import SessionPlace
from acontext_fs.objects import Objects
from acontext_fs.worktree import Change

PREFIX = "refs/acontext/rescued/"
RESCUED_MAX = 64
"""How many such refs there are at most; past it the oldest becomes a part of OLDER's past, from
where `git log` and `git show` still get it."""
OLDER = PREFIX + "older"


def save(root: Path, place: SessionPlace, content: bytes, onto: str, clock: Clock) -> str:
    """Keep `content` as the transcript of a session, in a commit on top of `onto` ("": of nothing);
    return the ref. The same content twice is one ref; "" where a branch has all of it.

    Raises:
        HistoryError: git refused (a full disk, no permission).
    """
    try:
        repo = pygit2.Repository(str(root))
        parent = _commit_of(repo, onto)
        if _is_on_a_branch(repo, place.session_path, content, parent):
            return ""
        blob = str(pygit2.hash(content))
        ref = f"{PREFIX}{_ref_name(place.session_id)}-{blob[:10]}"
        if ref in repo.references:
            return ref
        author = pygit2.Signature(BOT_NAME, BOT_EMAIL, int(clock.now()), 0)
        objects = Objects(repo)
        change = Change(
            place.session_path,
            "",
            objects.blob(content, is_new=parent is None),
            int(FileMode.BLOB),
            None,
            archive=True,
        )
        trailers = {
            "Acontext-Kind": "archive",
            "Acontext-Session": str(place),
            "Acontext-Path": place.session_path,
        }
        text = message_of(f"Save what was read of {place}", _BODY, trailers)
        commit, written = objects.commit(parent, [change], text, author)
        durable.sync([*written, *sorted({path.parent for path in written})])
        repo.references.create(ref, commit)
        _fold_oldest(repo)
    except (pygit2.GitError, OSError, KeyError, ValueError) as error:
        raise HistoryError(f"cannot keep what was read of {place} in git: {error}") from error
    return ref


_BODY = "The branch went back to before these lines, or has something else in their place."


def _is_on_a_branch(
    repo: pygit2.Repository, path: str, content: bytes, onto: pygit2.Commit | None
) -> bool:
    """Whether a branch, be it a fetched one, has the transcript, and maybe more of it: at its path,
    or at another one, since the session may have another name there. Of those only such are read
    that are new since the commit `onto`.
    """
    folder = path[: path.index("/sessions/") + len("/sessions")]
    for name in repo.branches:
        try:
            tree = repo.branches[name].peel(pygit2.Tree)
        except (pygit2.GitError, KeyError):
            continue  # The default branch of a remote that is no more.
        there = [tree[path].id] if path in tree else []
        if onto is not None and not there:
            changed = (one.new_file for one in onto.tree.diff_to_tree(tree).deltas)
            there = [file.id for file in changed if file.path.startswith(f"{folder}/")]
        for one in there:
            blob = repo.get(one)
            if isinstance(blob, pygit2.Blob) and blob.data.startswith(content):
                return True
        if folder in tree and pygit2.hash(content) in _blobs(tree[folder]):
            return True
    return False


def _blobs(tree: pygit2.Object) -> Iterator[pygit2.Oid]:
    if isinstance(tree, pygit2.Tree):
        for entry in tree:
            if isinstance(entry, pygit2.Tree):
                yield from _blobs(entry)
            else:
                yield entry.id


def drop_found(root: Path) -> None:
    """Drop the refs whose transcript a branch has by now.

    Raises:
        HistoryError: they cannot be read or dropped.
    """
    try:
        repo = pygit2.Repository(str(root))
        for ref in _refs(repo):
            commit = repo.references[ref].peel(pygit2.Commit)
            paths = parse_commit("", commit.message, "", 0).trailers.get("Acontext-Path", ())
            kept = [(path, commit.tree[path]) for path in paths if path in commit.tree]
            onto = commit.parents[0] if commit.parents else None
            if kept and all(
                isinstance(blob, pygit2.Blob) and _is_on_a_branch(repo, path, blob.data, onto)
                for path, blob in kept
            ):
                repo.references.delete(ref)
    except (pygit2.GitError, OSError, KeyError) as error:
        raise HistoryError(f"cannot look through the refs of {root}: {error}") from error


def onto(root: Path, head: str) -> list[tuple[str, str]]:
    """The refs of what was read while the commit `head` was current, with the paths of their
    sessions in front.

    Raises:
        HistoryError: they cannot be read.
    """
    try:
        repo = pygit2.Repository(str(root))
        found = [(ref, repo.references[ref].peel(pygit2.Commit)) for ref in _refs(repo)]
    except (pygit2.GitError, OSError, KeyError) as error:
        raise HistoryError(f"cannot look through the refs of {root}: {error}") from error
    return [
        (path, ref)
        for ref, commit in found
        if commit.parents and str(commit.parents[0].id) == head
        for path in parse_commit("", commit.message, "", 0).trailers.get("Acontext-Path", ())
    ]


def refs(root: Path) -> list[str]:
    """The refs there are.

    Raises:
        HistoryError: they cannot be read.
    """
    try:
        return _refs(pygit2.Repository(str(root)))
    except pygit2.GitError as error:
        raise HistoryError(f"cannot read the refs of {root}: {error}") from error


def drop(root: Path, ref: str) -> None:
    """Remove a ref whose lines another one has.

    Raises:
        HistoryError: git refused.
    """
    try:
        repo = pygit2.Repository(str(root))
        if ref in repo.references:
            repo.references.delete(ref)
    except (pygit2.GitError, OSError) as error:
        raise HistoryError(f"cannot remove {ref}: {error}") from error


def _refs(repo: pygit2.Repository) -> list[str]:
    return [name for name in repo.references if name.startswith(PREFIX)]


def _ref_name(session_id: str) -> str:
    """A session id as a part of a ref: no dots (git-check-ref-format(1)), and not too long."""
    return re.sub(r"\.", "_", session_id)[:100]


def _commit_of(repo: pygit2.Repository, commit_id: str) -> pygit2.Commit | None:
    """A commit, or None where git has collected it since."""
    found = repo.get(commit_id) if commit_id else None
    return found if isinstance(found, pygit2.Commit) else None


def _fold_oldest(repo: pygit2.Repository) -> None:
    """Where there are too many refs, make the oldest a parent of OLDER instead."""
    several = [name for name in _refs(repo) if name != OLDER]
    if len(several) <= RESCUED_MAX:
        return
    commits = {name: repo.references[name].peel(pygit2.Commit) for name in several}
    oldest = min(several, key=lambda name: (commits[name].commit_time, name))
    last = commits[oldest]
    before = repo.references.get(OLDER)
    parents = [last.id] if before is None else [last.id, before.peel(pygit2.Commit).id]
    text = f"Keep {oldest.removeprefix(PREFIX)} with the older ones\n"
    commit = repo.create_commit(None, last.author, last.committer, text, last.tree_id, parents)
    if before is None:
        repo.references.create(OLDER, commit)
    else:
        before.set_target(commit)
    repo.references.delete(oldest)
