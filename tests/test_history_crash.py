"""Whatever step of a commit the process dies at, the store is whole after the next start."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from acontext_fs import setup
from acontext_fs.clock import FakeClock
from acontext_fs.commits import FileEdit
from acontext_fs.errors import HistoryError
from acontext_fs.history import History
from tests import crash
from tests.conftest import run_git

AFTER = {crash.CHANGED: b"after\n", crash.ADDED: b"after\n", crash.SCRIPT: b"after\n"}


@pytest.fixture
def template(tmp_path) -> Path:
    """A store in which a person has staged, edited and new files, and a transcript that grew."""
    root = tmp_path / "template"
    setup.init(root, FakeClock())
    for name in (crash.CHANGED, crash.REMOVED, crash.SCRIPT, "mine.txt"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"before\n")
    (root / crash.SCRIPT).chmod(0o755)
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Before")
    (root / "staged.txt").write_text("staged\n")
    run_git(root, "add", "staged.txt")
    (root / "mine.txt").write_text("edited\n")
    (root / "loose.txt").write_text("loose\n")
    transcript = root / crash.ARCHIVED
    transcript.parent.mkdir(parents=True, exist_ok=True)
    transcript.write_bytes(crash.TRANSCRIPT + b"more, behind what is committed\n")
    for sample in (root / ".git" / "hooks").iterdir():
        sample.unlink()
    return root


def status(root: Path) -> str:
    """What `git status` says. The filter, which takes long to start, has nothing to do here."""
    off = [f"filter.acontext-fs.{setting}" for setting in ("process=", "clean=", "required=false")]
    options = [part for setting in off for part in ("-c", setting)]
    return run_git(root, *options, "status", "--porcelain")


def leftovers(root: Path) -> list[str]:
    """Temporary files and locks anywhere in the store."""
    return [
        os.path.join(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if name in ("index.lock", "acontext-journal.json")
    ]


@pytest.fixture
def whole(template, tmp_path) -> tuple[str, str]:
    """The tree and the `git status` of the same commit when nothing goes wrong."""
    root = tmp_path / "whole"
    subprocess.run(["cp", "-R", str(template), str(root)], check=True)
    crash.commit(root)
    tree = run_git(root, "rev-parse", "HEAD^{tree}").strip()
    return tree, status(root)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the steps are tried in forked processes")
def test_a_commit_cut_off_at_any_step_is_finished_or_not_begun(template, whole, tmp_path):
    work = tmp_path / "work"
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash", str(template), str(work)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    steps = done.stdout.split()
    # All that a commit is made of has been cut off: the lock, objects, branch, index and files.
    assert {"link", "create_blob", "create_commit", "set_target", "git_index_write"} <= set(steps)
    assert steps.count("replace") >= 3
    assert steps.count("exchange") >= 2
    before = run_git(template, "rev-parse", "HEAD").strip()
    landed = set()
    for number, step in enumerate(steps, start=1):
        root = work / str(number)
        where = f"step {number}, before {step}"
        history = History(root, FakeClock())
        history.recover()
        assert leftovers(root) == [], where
        if history.head() == before:
            landed.add("before")
            assert {p: (root / p).read_bytes() for p in (crash.CHANGED, crash.REMOVED)} == {
                crash.CHANGED: b"before\n",
                crash.REMOVED: b"before\n",
            }, where
            assert not (root / crash.ADDED).exists(), where
            assert history.commit(crash.EDITS, crash.MESSAGE), where
        else:
            landed.add("after")
        assert {path: (root / path).read_bytes() for path in AFTER} == AFTER, where
        assert not (root / crash.REMOVED).exists(), where
        assert os.access(root / crash.SCRIPT, os.X_OK), where
        tree, parent = run_git(root, "log", "-1", "--format=%T %P").split()
        assert (parent, tree, status(root)) == (before, *whole), where
        assert (root / "mine.txt").read_text() == "edited\n", where
        if number % 4 == 0:
            assert run_git(root, "fsck", "--strict", "--no-dangling") == "", where
    assert landed == {"before", "after"}


def test_what_a_person_changed_after_the_crash_is_left_alone(template, tmp_path):
    """Crashed behind the branch, and a person edits before the daemon is there again."""
    history = History(template, FakeClock())
    history.commit(crash.EDITS, crash.MESSAGE)
    entry = {
        "commit": history.head(),
        "files": [
            {"path": path, "old": old, "new": new, "mode": 0o100644, "archive": False}
            for path in (crash.CHANGED, crash.ADDED)
            for old, new in [_blobs(template, path)]
        ],
    }
    (template / ".git" / "acontext-journal.json").write_bytes(orjson.dumps(entry))
    (template / crash.CHANGED).write_bytes(b"by a person\n")
    (template / crash.ADDED).write_bytes(b"staged by a person\n")
    run_git(template, "add", crash.ADDED)
    before = run_git(template, "status", "--porcelain")
    history.recover()
    assert (template / crash.CHANGED).read_bytes() == b"by a person\n"
    assert (template / crash.ADDED).read_bytes() == b"staged by a person\n"
    assert run_git(template, "status", "--porcelain") == before
    assert leftovers(template) == []


def test_a_text_saved_after_the_crash_gets_what_was_committed(template):
    """The branch moved, the file did not, and a person saved what they had open."""
    path = "spaces/default/skills/s/notes.md"
    (template / path).write_bytes(b"one\ntwo\nthree\n")
    run_git(template, "add", path)
    run_git(template, "commit", "-qm", "Notes", "--", path)
    edits = [FileEdit(path, b"one\ntwo\nthree\nlearned\n", b"one\ntwo\nthree\n", merge=True)]
    history = History(template, FakeClock())
    commit = history.commit(edits, crash.MESSAGE)
    old, new = _blobs(template, path)
    item = {"path": path, "old": old, "new": new, "mode": 0o100644, "archive": False}
    entry = {"commit": commit, "files": [item]}
    (template / ".git" / "acontext-journal.json").write_bytes(orjson.dumps(entry))
    (template / path).write_bytes(b"ONE\ntwo\nthree\n")
    history.recover()
    assert (template / path).read_bytes() == b"ONE\ntwo\nthree\nlearned\n"
    assert leftovers(template) == []


def _blobs(root: Path, path: str) -> tuple[str | None, str]:
    old = run_git(root, "rev-parse", "-q", "--verify", f"HEAD~1:{path}", check=False).strip()
    return old or None, run_git(root, "rev-parse", f"HEAD:{path}").strip()


@pytest.mark.parametrize("journal", [b"", b"{", b"[]", b"null", b"{}", b'{"commit":"x"}'])
def test_a_journal_that_is_none_is_dropped(template, journal):
    path = template / ".git" / "acontext-journal.json"
    path.write_bytes(journal)
    before = run_git(template, "status", "--porcelain")
    History(template, FakeClock()).recover()
    assert not path.exists()
    assert run_git(template, "status", "--porcelain") == before


def test_a_journal_of_a_commit_the_person_took_back_changes_nothing(template):
    history = History(template, FakeClock())
    history.commit(crash.EDITS, crash.MESSAGE)
    old, new = _blobs(template, crash.CHANGED)
    item = {"path": crash.CHANGED, "old": old, "new": new, "mode": 0o100644, "archive": False}
    entry = {"commit": history.head(), "files": [item]}
    run_git(template, "reset", "-q", "--hard", "HEAD~1")
    (template / ".git" / "acontext-journal.json").write_bytes(orjson.dumps(entry))
    History(template, FakeClock()).recover()
    assert (template / crash.CHANGED).read_bytes() == b"before\n"
    assert leftovers(template) == []


def test_a_lock_of_another_process_stays_through_recovery(template):
    lock = template / ".git" / "index.lock"
    lock.write_bytes(b"theirs")
    History(template, FakeClock()).recover()
    assert lock.read_bytes() == b"theirs"


def test_with_no_room_for_the_index_or_a_file_it_is_said_and_finished_later(template, monkeypatch):
    history = History(template, FakeClock())
    before = run_git(template, "rev-parse", "HEAD")
    real, told = os.replace, []

    def full(source: Path, target: Path) -> None:
        if Path(target).name not in ("acontext-journal.json", "acontext-gc"):
            told.append(target)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(HistoryError, match="No space left"):
        history.commit(crash.EDITS, crash.MESSAGE)
    with pytest.raises(HistoryError, match="cannot finish an interrupted commit"):
        history.recover()
    assert len(told) == 2
    monkeypatch.undo()
    history.recover()
    assert run_git(template, "rev-parse", "HEAD~1") == before
    assert {path: (template / path).read_bytes() for path in AFTER} == AFTER
    assert leftovers(template) == []
    assert run_git(template, "diff", "--name-only") == f"mine.txt\n{crash.ARCHIVED}\n"
