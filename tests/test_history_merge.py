"""Commits of changes that are merged into what HEAD, the index and the worktree hold."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from acontext_fs import setup
from acontext_fs.clock import FakeClock
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.errors import CommitConflict, CommitHeld, HistoryError
from acontext_fs.history import History
from acontext_fs.journal import Journal
from tests.conftest import run_git

FOLDER = "spaces/default/skills/notes"
NOTES, OTHER, GONE = f"{FOLDER}/notes.md", f"{FOLDER}/other.md", f"{FOLDER}/old/gone.md"
TEXT = b"# Notes\n\n- one\n- two\n- three\n"
LEARNED = TEXT + b"- learned\n"
MESSAGE = message_of("Learn", "Why.", {"Acontext-Kind": "skills"})


def learned(
    path: str = NOTES, content: bytes | None = LEARNED, base: bytes | None = TEXT
) -> FileEdit:
    return FileEdit(path, content, base, merge=True)


@pytest.fixture
def notes(store, git) -> Path:
    """A skill with one page, committed."""
    path = store.layout.path(NOTES)
    path.parent.mkdir(parents=True)
    path.write_bytes(TEXT)
    git("add", ".")
    git("commit", "-qm", "Notes")
    return path


# -- what git keeps about a file ------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["assume-unchanged", "skip-worktree"])
def test_an_edit_that_a_person_hides_from_git_stays_hidden(history, notes, git, mark):
    git("update-index", f"--{mark}", NOTES)
    notes.write_bytes(b"mine\n" + TEXT)
    history.commit([learned()], MESSAGE)
    assert notes.read_bytes() == b"mine\n" + LEARNED
    assert git("show", f"HEAD:{NOTES}").encode() == LEARNED
    assert git("status", "--porcelain") == ""
    git("commit", "-q", "--allow-empty", "-am", "All of mine")
    assert git("show", f"HEAD:{NOTES}").encode() == LEARNED
    git("update-index", f"--no-{mark}", NOTES)
    assert git("status", "--porcelain") == f" M {NOTES}\n"


def test_marks_of_other_files_stay(history, notes, git, write):
    git("update-index", "--assume-unchanged", ".gitattributes")
    git("update-index", "--skip-worktree", "acontext.toml")
    write("later.txt", "x")
    git("add", "-N", "later.txt")
    before = git("ls-files", "-v"), git("status", "--porcelain")
    history.commit([learned()], MESSAGE)
    assert (git("ls-files", "-v"), git("status", "--porcelain")) == before


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_who_may_read_a_file_stays(history, notes, git, mode):
    notes.chmod(mode)
    history.commit([learned()], MESSAGE)
    assert stat.S_IMODE(notes.stat().st_mode) == mode
    assert git("status", "--porcelain") == ""


def test_a_file_that_a_person_made_to_run_stays_so_and_is_theirs_to_commit(history, notes, git):
    notes.chmod(0o755)
    history.commit([learned()], MESSAGE)
    assert notes.read_bytes() == LEARNED
    assert git("diff", "--summary") == f" mode change 100644 => 100755 {NOTES}\n"


# -- what is no file ------------------------------------------------------------------------------


def held(history, git, *edits: FileEdit) -> str:
    """Why a commit is not made; nothing is changed."""
    before = git("rev-parse", "HEAD"), git("ls-files", "-s"), git("status", "--porcelain")
    with pytest.raises(CommitHeld) as raised:
        history.commit(list(edits), MESSAGE)
    assert raised.value.path == edits[0].path  # Others need not wait for it.
    after = git("rev-parse", "HEAD"), git("ls-files", "-s"), git("status", "--porcelain")
    assert after == before
    return str(raised.value)


@pytest.mark.parametrize("is_committed", [False, True])
def test_a_link_in_the_place_of_a_page_stays(history, store, notes, git, is_committed):
    elsewhere = store.layout.path("mine.md")
    shutil.move(notes, elsewhere)
    notes.symlink_to("../../../../mine.md")
    if is_committed:
        git("add", "-A")
        git("commit", "-qm", "Link")
    said = held(history, git, learned())
    assert ("not a file in git" if is_committed else "is a symbolic link") in said
    assert notes.is_symlink()
    assert elsewhere.read_bytes() == TEXT


@pytest.mark.parametrize("is_committed", [False, True])
def test_nothing_is_written_through_a_link_to_a_folder(history, store, notes, git, is_committed):
    elsewhere = store.layout.path("mine")
    shutil.move(notes.parent, elsewhere)
    notes.parent.symlink_to("../../../mine")
    if is_committed:
        git("add", "-A")
        git("commit", "-qm", "Link")
    said = held(history, git, learned(OTHER, b"new\n", None))
    assert ("not a folder in git" if is_committed else "is a symbolic link") in said
    assert os.listdir(elsewhere) == ["notes.md"]


def test_a_skill_that_is_a_submodule_is_left_alone_and_nothing_else_waits(
    history, store, notes, git, tmp_path
):
    sub = tmp_path / "sub"
    sub.mkdir()
    run_git(sub, "init", "-q")
    run_git(sub, "commit", "-q", "--allow-empty", "-m", "x")
    place = "spaces/default/skills/sub"
    git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(sub), place)
    git("commit", "-qm", "Submodule")
    assert "not a folder in git" in held(history, git, learned(f"{place}/new.md", b"new\n", None))
    assert history.commit([learned()], MESSAGE)
    assert "160000 commit" in git("ls-tree", "HEAD", place)


def test_a_transcript_that_git_has_as_a_link_is_not_committed_as_one(history, store, git):
    path = store.layout.path("spaces/default/sessions/s.jsonl")
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("elsewhere.jsonl")
    git("add", ".")
    git("commit", "-qm", "Link")
    edit = FileEdit("spaces/default/sessions/s.jsonl", b"{}\n", archive=True)
    assert "not a file in git" in held(history, git, edit)


def test_a_file_that_is_only_staged_is_not_dropped_for_a_folder(history, store, notes, git):
    place = store.layout.path("spaces/default/skills/other")
    place.write_text("mine")
    git("add", ".")
    place.unlink()
    edit = learned("spaces/default/skills/other/page.md", b"new\n", None)
    assert "other is staged" in held(history, git, edit)
    git("reset", "-q")
    assert history.commit([edit], MESSAGE)


def test_a_folder_that_is_only_staged_is_not_dropped_for_a_file(history, store, notes, git):
    inside = store.layout.path(f"{OTHER}/inside.txt")
    inside.parent.mkdir()
    inside.write_text("mine")
    git("add", ".")
    shutil.rmtree(inside.parent)
    assert "inside.txt is staged" in held(history, git, learned(OTHER, b"new\n", None))
    git("reset", "-q")
    assert history.commit([learned(OTHER, b"new\n", None)], MESSAGE)


def test_a_file_in_git_is_not_dropped_for_a_folder_that_a_person_made(history, store, notes, git):
    notes.unlink()
    notes.mkdir()
    edit = learned(f"{NOTES}/page.md", b"new\n", None)
    assert "notes.md is not a folder in git" in held(history, git, edit)


# -- what a person removed ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["rm", "rm -r", "git rm"])
def test_what_a_person_removed_and_what_was_learned_removes_too(history, notes, git, how):
    if how == "rm":
        notes.unlink()
    elif how == "rm -r":
        shutil.rmtree(notes.parent)
    else:
        git("rm", "-q", NOTES)
    assert history.commit([learned(content=None)], MESSAGE)
    assert not notes.exists()
    assert git("status", "--porcelain") == ""
    assert history.commit([FileEdit("x.txt", b"x")], MESSAGE)


@pytest.mark.parametrize("how", ["rm", "git rm", "git rm --cached", "git add -N"])
def test_what_a_person_removed_is_not_brought_back(history, notes, git, how):
    path = NOTES
    if how == "rm":
        notes.unlink()
    elif how == "git add -N":
        path = OTHER
        notes.with_name("other.md").write_bytes(TEXT)
        git("add", "-N", path)
    else:
        git(*how.split()[1:], "-q", NOTES)
    before = git("rev-parse", "HEAD"), git("ls-files", "-s"), git("status", "--porcelain")
    with pytest.raises((CommitHeld, CommitConflict)):
        history.commit([learned(path)], MESSAGE)
    after = git("rev-parse", "HEAD"), git("ls-files", "-s"), git("status", "--porcelain")
    assert after == before


def test_an_index_that_cannot_be_written_does_not_hide_that_the_commit_was_made(
    history, notes, git, monkeypatch
):
    def refused(changes):
        raise KeyError("x")

    with monkeypatch.context() as patch:
        patch.setattr(history._index, "stage", refused)
        with pytest.raises(HistoryError, match="cannot finish a commit yet"):
            history.commit([learned()], MESSAGE)
    assert notes.read_bytes() == TEXT
    history.recover()
    assert notes.read_bytes() == LEARNED
    assert git("status", "--porcelain") == ""


# -- a crash --------------------------------------------------------------------------------------

CRLF = TEXT.replace(b"\n", b"\r\n")
STAGED = TEXT.replace(b"- one", b"- One")
EDITED = STAGED.replace(b"# Notes", b"# My notes")
EDITS = [learned(), learned(OTHER), learned(GONE, None)]
DRIVER = """
import sys
from pathlib import Path
from tests import crash, test_history_merge
crash.EDITS = test_history_merge.EDITS
crash.main(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture
def template(tmp_path) -> Path:
    """A page that differs in HEAD, the index and on disk, one with the line ends of Windows, and
    one that is removed while a person has changed nothing of it.
    """
    root = tmp_path / "template"
    setup.init(root, FakeClock())
    for path in (NOTES, OTHER, GONE):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(TEXT)
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Before")
    (root / NOTES).write_bytes(STAGED)
    run_git(root, "add", NOTES)
    (root / NOTES).write_bytes(EDITED)
    (root / NOTES).chmod(0o600)
    (root / OTHER).write_bytes(CRLF)
    for sample in (root / ".git" / "hooks").iterdir():
        sample.unlink()
    return root


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the steps are tried in forked processes")
def test_a_merged_commit_cut_off_at_any_step_is_finished_or_not_begun(template, tmp_path):
    work = tmp_path / "work"
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(template), str(work)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    steps = done.stdout.split()
    before = run_git(template, "rev-parse", "HEAD").strip()
    landed = set()
    for number, step in enumerate(steps, start=1):
        root, where = work / str(number), f"step {number}, before {step}"
        history = History(root, FakeClock())
        history.recover()
        landed.add(history.head() == before)
        if history.head() == before:
            assert (root / NOTES).read_bytes() == EDITED, where
            assert (root / OTHER).read_bytes() == CRLF, where
            assert (root / GONE).read_bytes() == TEXT, where
            assert history.commit(EDITS, MESSAGE), where
        assert (root / NOTES).read_bytes() == EDITED + b"- learned\n", where
        assert stat.S_IMODE((root / NOTES).stat().st_mode) == 0o600, where
        assert (root / OTHER).read_bytes() == LEARNED.replace(b"\n", b"\r\n"), where
        assert not (root / GONE).exists(), where
        assert history.read(NOTES) == history.read(OTHER) == LEARNED, where
        staged = run_git(root, "show", f":{NOTES}").encode()
        assert staged == STAGED + b"- learned\n", where
        status = run_git(root, "status", "--porcelain", "--untracked-files=all")
        assert status == f"MM {NOTES}\n", where
        assert run_git(root, "rev-list", "--count", f"{before}..").strip() == "1", where
    assert landed == {True, False}


def test_a_folder_that_a_person_made_after_a_crash_is_left_alone(template, monkeypatch):
    """Crashed behind the branch; then a person put something else in the place of the files."""
    history = History(template, FakeClock())
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "drop", lambda journal: None)
        history.commit(EDITS, MESSAGE)
    assert history._journal._path.exists()
    for path in (NOTES, OTHER):
        (template / path).unlink()
    (template / NOTES).mkdir()
    (template / OTHER).symlink_to("elsewhere.md")
    history = History(template, FakeClock())
    history.recover()
    assert (template / NOTES).is_dir()
    assert (template / OTHER).is_symlink()
    assert history.commit([FileEdit("x.txt", b"x")], MESSAGE)
