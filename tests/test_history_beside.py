"""Commits beside a person who uses git, in repositories kept in other ways."""

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from acontext_fs.commits import message_of
from acontext_fs.errors import CommitHeld, HistoryError, StoreError
from acontext_fs.history import History
from tests.repository import MESSAGE, A, edit, person, settled

# -- what is under way ----------------------------------------------------------------------------


@pytest.fixture
def branches(git, write):
    """A branch `other` that conflicts with `main` in `x.txt`, and one `easy` that does not."""
    write("x.txt", "base\n")
    git("add", ".")
    git("commit", "-qm", "base")
    git("switch", "-qc", "other")
    write("x.txt", "other\n")
    git("commit", "-qam", "other")
    git("switch", "-q", "main")
    git("switch", "-qc", "easy")
    git("commit", "-q", "--allow-empty", "-m", "easy")
    git("switch", "-q", "main")
    write("x.txt", "main\n")
    git("commit", "-qam", "main")


@pytest.mark.parametrize(
    ("begin", "finish", "word"),
    [
        (["merge", "other"], ["merge", "--abort"], "a merge"),
        (["merge", "--no-ff", "--no-commit", "easy"], ["commit", "-qm", "m"], "a merge"),
        (["rebase", "other"], ["rebase", "--abort"], "a rebase"),
        (["rebase", "--apply", "other"], ["rebase", "--abort"], "a rebase"),
        (["cherry-pick", "other"], ["cherry-pick", "--abort"], "a cherry-pick"),
        (["revert", "--no-edit", "HEAD~1"], ["revert", "--abort"], "a revert"),
        (["bisect", "start", "HEAD", "HEAD~1"], ["bisect", "reset"], "a bisect"),
        (["switch", "-q", "--detach"], ["switch", "-q", "main"], "HEAD is detached"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
@pytest.mark.usefixtures("branches")
def test_what_a_person_has_under_way_is_waited_for_and_then_we_go_on(
    history, git, begin, finish, word
):
    git(*begin, check=False)
    before, head = person(git), git("rev-parse", "HEAD")
    assert history.held().startswith(word)
    with pytest.raises(CommitHeld, match=word) as raised:
        history.commit([edit(A)], MESSAGE)
    assert raised.value.path == ""
    assert (person(git), git("rev-parse", "HEAD")) == (before, head)
    git(*finish)
    assert history.held() == ""
    history.commit([edit(A)], MESSAGE)
    settled(git)


@pytest.mark.usefixtures("branches")
def test_conflicts_in_the_index_are_waited_for(history, git):
    git("merge", "other", check=False)
    (Path(git("rev-parse", "--absolute-git-dir").strip()) / "MERGE_HEAD").unlink()
    before = git("ls-files", "--unmerged")
    assert before
    with pytest.raises(CommitHeld, match="conflicts"):
        history.commit([edit(A)], MESSAGE)
    assert git("ls-files", "--unmerged") == before


# -- the lock of the index ------------------------------------------------------------------------


@pytest.fixture
def lock(store):
    """The index's lock, held by somebody else."""
    path = store.root / ".git" / "index.lock"
    path.write_bytes(b"theirs")
    return path


def test_a_lock_that_stays_is_waited_for_and_never_removed(history, git, lock, monkeypatch):
    monkeypatch.setattr("acontext_fs.gitlock.PATIENCE_SECONDS", 0.05)
    head = history.head()
    with pytest.raises(CommitHeld, match=r"index\.lock"):
        history.commit([edit(A)], MESSAGE)
    history.recover()
    assert lock.read_bytes() == b"theirs"
    assert history.head() == head
    lock.unlink()
    history.commit([edit(A)], MESSAGE)
    settled(git)


def waiting_commit(history, edits) -> tuple[threading.Thread, threading.Event, list]:
    """A commit in a thread; the event is set once it has found the lock taken."""
    tried, got, link = threading.Event(), [], os.link

    def watched(*arguments, **more):
        try:
            link(*arguments, **more)
        except FileExistsError:
            tried.set()
            raise

    def run() -> None:
        os.link = watched
        try:
            got.append(history.commit(edits, MESSAGE))
        except HistoryError as error:
            got.append(error)
        finally:
            os.link = link

    thread = threading.Thread(target=run)
    thread.start()
    return thread, tried, got


def test_a_lock_held_for_a_moment_delays_the_commit_and_no_more(history, git, lock):
    thread, tried, got = waiting_commit(history, [edit(A)])
    assert tried.wait(20)
    head = git("rev-parse", "HEAD").strip()
    lock.unlink()
    thread.join()
    assert git("rev-parse", "HEAD~1").strip() == head
    assert git("rev-parse", "HEAD").strip() == got[0]
    settled(git)


@pytest.mark.parametrize("file", ["HEAD", "MERGE_HEAD"])
def test_what_a_person_does_while_we_wait_for_the_lock_counts(history, store, git, lock, file):
    """A commit that looked only before it had the lock would land in the middle of a merge."""
    thread, tried, got = waiting_commit(history, [edit(A)])
    assert tried.wait(20)
    head = git("rev-parse", "HEAD")
    (store.root / ".git" / file).write_text(head)
    lock.unlink()
    thread.join()
    assert isinstance(got[0], CommitHeld)
    assert git("rev-parse", "HEAD") == head
    assert git("for-each-ref", "--format=%(refname)") == "refs/heads/main\n"
    assert not store.layout.path(A).exists()


PERSON = """
import subprocess, sys
root = sys.argv[1]
def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
for number in range(30):
    open(f"{root}/person-{number}.txt", "w").write("x")
    for arguments in (("add", f"person-{number}.txt"), ("commit", "-qm", f"person {number}")):
        for _ in range(500):
            done = git(*arguments)
            if done.returncode == 0:
                break
        else:
            sys.exit(done.stderr)
"""


def test_a_person_who_commits_at_the_same_time_and_we_revert_nothing_of_each_other(
    history, store, git
):
    other = subprocess.Popen([sys.executable, "-c", PERSON, str(store.root)])
    made = 0
    while made < 30:
        try:
            base = b"%d" % (made - 1) if made else None
            history.commit(
                [edit(A, b"%d" % made, base), edit(f"ours/{made}.txt", b"x")],
                message_of(f"ours {made}", "", {}),
            )
            made += 1
        except CommitHeld:
            continue
    assert other.wait(50) == 0
    settled(git)
    names = set(git("ls-tree", "-r", "--name-only", "HEAD").split("\n"))
    assert {f"person-{n}.txt" for n in range(30)} < names
    assert {f"ours/{n}.txt" for n in range(30)} < names
    assert history.read(A) == b"29"
    removed = git("log", "--diff-filter=D", "--format=%s", "--name-only")
    assert removed == ""
    assert git("rev-list", "--count", "HEAD", "--no-merges") == "61\n"


# -- other ways to keep a repository --------------------------------------------------------------


def test_packed_refs_and_objects_after_gc(history, git):
    history.commit([edit(A, b"one\n")], MESSAGE)
    git("gc", "-q", "--prune=now")
    assert (
        "refs/heads/main"
        in git("pack-refs", "--all")
        + (Path(git("rev-parse", "--absolute-git-dir").strip()) / "packed-refs").read_text()
    )
    history.commit([edit(A, b"two\n", b"one\n")], MESSAGE)
    assert git("log", "--format=%s", "-2") == "Track tasks\nTrack tasks\n"
    settled(git)


def test_settings_of_the_user_for_signing_hooks_and_line_ends_do_no_harm(
    history, store, git, tmp_path
):
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in (
        "pre-commit",
        "commit-msg",
        "post-commit",
        "reference-transaction",
        "post-index-change",
    ):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
        (hooks / name).chmod(0o755)
    for key, value in (
        ("commit.gpgsign", "true"),
        ("user.signingkey", "nobody"),
        ("gpg.program", "/bin/false"),
        ("core.hooksPath", str(hooks)),
        ("core.autocrlf", "true"),
        ("core.safecrlf", "true"),
        ("i18n.commitEncoding", "latin1"),
    ):
        git("config", key, value)
    history = History(store.root)
    data = b"a\nb\r\nc\n"
    history.commit([edit(A, data), edit("spaces/default/skills/s/x.md", b"a\nb\n")], MESSAGE)
    history.commit([edit(A, b"x\r\ny\n", data)], MESSAGE)
    assert store.layout.path(A).read_bytes() == b"x\r\ny\n" == history.read(A)
    assert "gpgsig" not in git("cat-file", "commit", "HEAD")
    assert not (tmp_path / "ran").exists()
    git("config", "--unset", "core.hooksPath")
    settled(git)


def test_the_identity_of_the_user_is_not_used(history, git, monkeypatch):
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    history.commit([edit(A)], MESSAGE)
    assert git("log", "-1", "--format=%an %ae %cn") == (
        "acontext-fs acontext-fs@noreply.invalid acontext-fs\n"
    )


def test_a_linked_worktree_is_a_store_like_any_other(store, git, tmp_path, clock, monkeypatch):
    other = tmp_path / "linked"
    git("worktree", "add", "-q", "-b", "side", str(other))
    main = git("rev-parse", "main")
    history = History(other, clock)
    synced: set[str] = set()
    sync = os.fsync

    def watched(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    if sys.platform == "linux":
        monkeypatch.setattr(os, "fsync", watched)
    commit = history.commit([edit(A, b"side\n")], MESSAGE)
    assert git("rev-parse", "side").strip() == commit
    assert git("rev-parse", "main") == main
    assert git("status", "--porcelain", at=other) == ""
    assert git("status", "--porcelain") == ""
    assert not store.layout.path(A).exists()
    assert (other / A).read_bytes() == b"side\n"
    if sys.platform == "linux":
        assert str(store.root / ".git/objects" / commit[:2] / commit[2:]) in synced


def test_what_is_no_repository_is_refused_with_what_to_do(tmp_path, store):
    with pytest.raises(StoreError, match="acontext-fs init"):
        History(tmp_path / "nothing")
    with pytest.raises(StoreError, match=r"is not the top of its git repository|not a git"):
        History(store.root / "spaces")


def test_an_edit_in_the_second_of_the_index_stays_visible(history, store, git, write):
    # Git compares whole seconds and distrusts entries that are as young as the index; an index
    # that we wrote later would make it trust this one.
    write("mine.txt", "1\n")
    git("add", "mine.txt")
    git("commit", "-qm", "Mine")
    path, index = store.root / "mine.txt", store.root / ".git/index"
    second = int(path.stat().st_mtime) - 100
    git("config", "core.trustctime", "false")  # Which the test cannot set back.
    os.utime(path, (second, second))
    git("update-index", "--refresh")
    write("mine.txt", "2\n")
    os.utime(path, (second, second))
    os.utime(index, (second, second))
    history.commit([edit(A)], MESSAGE)
    assert git("status", "--porcelain") == " M mine.txt\n"


def test_a_switch_in_the_middle_of_a_commit_leaves_nothing_of_it(history, store, git, monkeypatch):
    """Git takes no lock of the index for a new branch at the same commit."""
    real = history._journal.write

    def late(*arguments):
        real(*arguments)
        git("switch", "-q", "-c", "new")

    monkeypatch.setattr(history._journal, "write", late)
    before = git("rev-parse", "HEAD")
    with pytest.raises(CommitHeld, match="another branch") as raised:
        history.commit([edit(A)], MESSAGE)
    assert raised.value.soon
    assert (git("rev-parse", "main"), git("rev-parse", "new")) == (before, before)
    settled(git)
    monkeypatch.undo()
    history.commit([edit(A)], MESSAGE)
    assert git("rev-parse", "new~1") == before
    settled(git)


def test_while_the_branch_is_moved_git_cannot_go_to_another(history, git, monkeypatch):
    told = []
    real = history._head_lock.hold

    @contextlib.contextmanager
    def watched():
        with real():
            told.append(git("symbolic-ref", "HEAD", "refs/heads/other", check=False))
            yield

    monkeypatch.setattr(history._head_lock, "hold", watched)
    history.commit([edit(A)], MESSAGE)
    assert git("symbolic-ref", "HEAD") == "refs/heads/main\n"
    assert len(told) == 1
    settled(git)
