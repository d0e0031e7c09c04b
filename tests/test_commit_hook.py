"""A person's `git commit` that is open, as real git commits with a real editor tell it."""

import contextlib
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from acontext_fs import commit_hook, setup
from acontext_fs.commit_hook import KEPT, NAMES, TRANSACTION, install, open_commit
from acontext_fs.errors import CommitHeld
from tests.conftest import run_git
from tests.repository import MESSAGE, A, edit, settled

EDITOR = '#!/bin/sh\necho open\nread -r text\necho "$text" >"$1"\n'


class Editor:
    """A git command whose editor is open: it said so, and goes on when it is told the text."""

    def __init__(self, root: Path, *arguments: str, **environment: str) -> None:
        script = root.parent / "editor"
        script.write_text(EDITOR)
        script.chmod(0o755)
        self.process = subprocess.Popen(
            ["git", *arguments],
            cwd=root,
            env={**os.environ, "GIT_EDITOR": shlex.quote(str(script)), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line == "open\n":
                return
        raise AssertionError(self.process.communicate()[1])

    def close(self, text: str = "Theirs") -> None:
        """Write the text and wait until git is done with it."""
        _, said = self.process.communicate(f"{text}\n", timeout=20)
        assert self.process.returncode == 0, said

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def gitdir(store) -> Path:
    return store.root / ".git"


@pytest.fixture
def branches(git, write):
    """A branch `other` that can be merged, and something staged and edited on `main`."""
    git("switch", "-qc", "other")
    write("other.txt", "x")
    git("add", ".")
    git("commit", "-qm", "Other")
    git("switch", "-q", "main")
    for text in ("one", "two"):
        write("mine.txt", text)
        git("add", "mine.txt")
        git("commit", "-qm", text)


def make_hook(path: Path, text: str, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


# -- a commit that is open ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["commit", "--allow-empty"],
        ["commit", "--amend"],
        ["commit", "-a"],
        ["commit", "--no-verify", "mine.txt"],
        ["merge", "--no-ff", "--edit", "other"],
        ["cherry-pick", "--edit", "other"],
        ["revert", "--edit", "HEAD"],
        ["rebase", "--interactive", "HEAD~1"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("branches")
def test_what_has_an_editor_open_is_waited_for_and_succeeds(
    store, git, gitdir, history, write, arguments
):
    more = {}
    if arguments[0] == "rebase":
        more = {"GIT_SEQUENCE_EDITOR": "sed -i.bak s/^pick/reword/"}
    elif arguments[-1] in ("-a", "mine.txt"):
        write("mine.txt", "three")
    assert open_commit(gitdir) == ""
    editor = Editor(store.root, *arguments, **more)
    reason = open_commit(gitdir)
    assert re.fullmatch(
        r"a `git commit` \(process \d+\) is open in this repository; "
        r"when it ends the daemon goes on",
        reason,
    )
    assert history.held()
    with pytest.raises(CommitHeld):
        history.commit([edit(A)], MESSAGE)
    editor.close()
    assert open_commit(gitdir) == ""
    assert os.listdir(gitdir / "acontext-commits") == []
    assert "Theirs" in git("log", "-1", "--format=%B")
    history.commit([edit(A)], MESSAGE)
    settled(git)


def test_a_commit_whose_linter_runs_is_open_too(store, git, gitdir, tmp_path):
    begun, end = tmp_path / "begun", tmp_path / "end"
    for fifo in (begun, end):
        os.mkfifo(fifo)
    hook = make_hook(gitdir / "hooks/pre-commit", f"#!/bin/sh\necho >{begun}\nread -r x <{end}\n")
    assert install(store.root) == ""
    assert hook.with_name(hook.name + KEPT).exists()
    reading = os.open(begun, os.O_RDWR)
    process = subprocess.Popen(["git", "commit", "-q", "--allow-empty", "-m", "x"], cwd=store.root)
    assert select.select([reading], [], [], 20)[0]
    os.close(reading)
    assert f"process {process.pid}" in open_commit(gitdir)
    end.write_text("\n")
    assert process.wait(20) == 0
    assert open_commit(gitdir) == ""


def test_a_commit_that_was_killed_holds_nothing(store, gitdir):
    editor = Editor(store.root, "commit", "--allow-empty")
    assert open_commit(gitdir)
    editor.kill()
    assert open_commit(gitdir) == ""
    assert os.listdir(gitdir / "acontext-commits") == []


def test_a_commit_that_has_ended_and_is_not_waited_for_holds_nothing(store, gitdir):
    editor = Editor(store.root, "commit", "--allow-empty")
    os.kill(editor.process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, editor.process.pid, os.WEXITED | os.WNOWAIT)
    assert open_commit(gitdir) == ""
    editor.kill()


def test_without_a_daemon_one_commit_removes_what_the_one_before_left(store, git, gitdir):
    for _ in range(3):
        git("commit", "-q", "--allow-empty", "-m", "x")
    assert len(os.listdir(gitdir / "acontext-commits")) == 1


def test_a_commit_in_a_linked_worktree_holds_that_branch_alone(store, git, gitdir, tmp_path):
    other = tmp_path / "linked"
    git("worktree", "add", "-q", "-b", "side", str(other))
    editor = Editor(other, "commit", "--allow-empty")
    assert open_commit(gitdir) == ""
    assert open_commit(gitdir / "worktrees" / "linked")
    editor.close()
    assert open_commit(gitdir / "worktrees" / "linked") == ""


def test_a_submodule_is_held_by_its_own_commits(store, tmp_path, clock):
    outer = tmp_path / "outer"
    outer.mkdir()
    run_git(outer, "init", "-q")
    run_git(
        outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(store.root),
        "memory",
    )  # fmt: skip
    setup.init(outer / "memory", clock)
    editor = Editor(outer / "memory", "commit", "--allow-empty")
    assert open_commit(outer / ".git/modules/memory")
    editor.close()
    assert open_commit(outer / ".git/modules/memory") == ""


# -- another command that is at work --------------------------------------------------------------

CLEAN = """#!/bin/sh
if [ -e "{0}" ]; then
    rm "{0}"
    echo begun >"{1}"
    read -r text <"{2}"
fi
exec cat
"""


class SlowMerge:
    """A `git merge` of `other` that has read HEAD, and waits for the filter of a session file."""

    def __init__(self, root: Path) -> None:
        wait, begun, self._end = (root.parent / name for name in ("wait", "begun", "end"))
        wait.touch()
        for fifo in (begun, self._end):
            os.mkfifo(fifo)
        script = make_hook(root.parent / "clean", CLEAN.format(wait, begun, self._end))
        run_git(root, "config", "--unset", "filter.acontext-fs.process")
        run_git(root, "config", "filter.acontext-fs.clean", str(script))
        reading = os.open(begun, os.O_RDWR)
        self.process = subprocess.Popen(
            ["git", "merge", "--no-edit", "other"],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        ready = select.select([reading], [], [], 20)[0]
        os.close(reading)
        assert ready

    def __enter__(self) -> "SlowMerge":
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def end(self) -> str:
        """Let it go on; what it said."""
        self._end.write_text("\n")
        return self.process.communicate(timeout=20)[0]


@pytest.fixture
def session(store, git, write, branches) -> str:
    """A session file that git would have to filter."""
    path = "spaces/default/sessions/s.jsonl"
    write(path, "{}\n")
    git("add", path)
    git("commit", "-qm", "Session")
    write(path, "{}\n{}\n")
    return path


@pytest.mark.parametrize("at", ["", "linked"])
def test_a_merge_is_waited_for_before_it_moves_the_branch(
    store, git, gitdir, tmp_path, session, at
):
    if at:
        git("stash", "-q")
        git("switch", "-qc", "side")
        git("worktree", "add", "-q", str(tmp_path / "linked"), "main")
        (tmp_path / "linked" / session).write_text("{}\n{}\n")
        gitdir /= "worktrees/linked"
    with SlowMerge(tmp_path / at if at else store.root) as merge:
        assert open_commit(gitdir) == (
            f"a git command (process {merge.process.pid}) is at work in this repository; "
            "when it ends the daemon goes on"
        )
        assert open_commit(gitdir, lasting=True) == ""
        assert "Merge made" in merge.end()
    assert open_commit(gitdir) == ""


def test_without_the_hook_a_command_that_has_just_begun_is_waited_for(store, git, gitdir):
    head = gitdir / "ORIG_HEAD"
    git("update-ref", "ORIG_HEAD", "HEAD")
    assert open_commit(gitdir) == ""  # The hook told of it, and it has ended.
    (gitdir / "hooks" / TRANSACTION).unlink()
    assert open_commit(gitdir) == (
        "a git command is at work in this repository; when it ends the daemon goes on"
    )
    assert open_commit(gitdir, lasting=True) == ""
    for seconds in (-commit_hook.COMMAND_SECONDS, +60):
        then = head.stat().st_mtime + seconds
        os.utime(head, (then, then))
        assert open_commit(gitdir) == ""
        os.utime(head)
    git("config", "core.hooksPath", "/dev/null")
    assert install(store.root)
    assert open_commit(gitdir)


def test_what_fetches_many_branches_is_not_read_line_by_line(store, git, gitdir):
    updates = "".join(f"create refs/heads/b{number} HEAD\n" for number in range(500))
    git("update-ref", "--stdin", stdin=updates)
    assert not (gitdir / commit_hook.FOLDER).exists()


# -- the file that names the process --------------------------------------------------------------


@pytest.fixture
def note(gitdir):
    folder = gitdir / commit_hook.FOLDER
    folder.mkdir()

    def write(process: int | str, text: str = "", age_seconds: float = 0) -> Path:
        path = folder / str(process)
        path.write_text(text)
        then = path.stat().st_mtime - age_seconds
        os.utime(path, (then, then))
        return path

    return write


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell")
def test_a_process_with_the_number_of_one_that_ended_is_another(gitdir, note):
    now = Path("/proc/self/stat").read_text()
    note(os.getpid(), now)
    assert open_commit(gitdir)
    fields = now.rpartition(")")[2].split()
    fields[19] = str(int(fields[19]) - 1)
    path = note(os.getpid(), "1 (a) b) " + " ".join(fields))
    assert open_commit(gitdir) == ""
    assert not path.exists()


def test_where_the_system_does_not_tell_age_decides(gitdir, note):
    note(os.getpid(), age_seconds=11 * 3600)
    assert open_commit(gitdir)
    note(os.getpid(), age_seconds=13 * 3600)
    assert open_commit(gitdir) == ""
    gone = subprocess.Popen(["true"])
    gone.wait()
    note(gone.pid)
    assert open_commit(gitdir) == ""


def test_on_windows_age_alone_decides(gitdir, note, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    note(1, age_seconds=60)
    assert open_commit(gitdir)
    note(1, age_seconds=3600)
    assert open_commit(gitdir) == ""


def test_other_files_are_left_alone(gitdir, note):
    path = note("readme")
    assert open_commit(gitdir) == ""
    assert path.exists()


# -- the hook never gets in the way ---------------------------------------------------------------


def test_the_hook_needs_nothing_but_a_shell(store, gitdir):
    (gitdir / commit_hook.FOLDER).mkdir()
    for name, more in (
        ("pre-commit", {"GIT_INDEX_FILE": ".git/index"}),
        ("prepare-commit-msg", {}),
    ):
        done = subprocess.run(
            ["/bin/sh", gitdir / "hooks" / name, ".git/COMMIT_EDITMSG"],
            cwd=store.root,
            env={"PATH": "/nowhere", **more},
            capture_output=True,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        left = gitdir / commit_hook.FOLDER / str(os.getpid())
        assert left.exists()
        left.unlink()


@pytest.mark.parametrize("what", ["a file", "no permission", "an index elsewhere"])
def test_a_commit_succeeds_where_nothing_can_be_noted(store, git, gitdir, what, tmp_path):
    environment = dict(os.environ)
    if what == "a file":
        (gitdir / commit_hook.FOLDER).write_text("")
    elif what == "no permission":
        (gitdir / commit_hook.FOLDER).mkdir(0o500)
    else:
        shutil.copy(gitdir / "index", tmp_path / "index")
        environment["GIT_INDEX_FILE"] = str(tmp_path / "index")
    done = subprocess.run(
        ["git", "commit", "-q", "--allow-empty", "-m", "x"],
        cwd=store.root,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert git("log", "-1", "--format=%s") == "x\n"


# -- hooks that are there -------------------------------------------------------------------------

SHELL = '#!/bin/sh\necho "shell $0 $@" >>ran.txt\n'
PYTHON = f"#!{sys.executable}\nimport sys\nopen('ran.txt', 'a').write(' '.join(sys.argv) + '\\n')\n"


@pytest.fixture
def root(tmp_path) -> Path:
    """A repository that is no store yet, in a folder with a space in its name."""
    path = tmp_path / "my own"
    path.mkdir()
    run_git(path, "init", "-q")
    return path


@pytest.mark.parametrize("name", ["pre-commit", "prepare-commit-msg"])
@pytest.mark.parametrize("text", [SHELL, PYTHON], ids=["sh", "python"])
def test_a_hook_that_is_there_is_kept_and_run_with_its_arguments(root, name, text, clock):
    hook = make_hook(root / ".git/hooks" / name, text)
    setup.init(root, clock)
    kept = hook.with_name(name + KEPT)
    assert kept.read_text() == text
    assert hook.read_bytes() == commit_hook.text_of(name)
    run_git(root, "commit", "-q", "--allow-empty", "-m", "x")
    ran = (root / "ran.txt").read_text().strip()
    told = " .git/COMMIT_EDITMSG message" if name == "prepare-commit-msg" else ""
    assert ran.endswith(f"{kept}{told}")
    assert ran.count("\n") == 0


@pytest.mark.parametrize("name", ["pre-commit", "prepare-commit-msg"])
def test_a_hook_that_refuses_is_obeyed(root, name):
    make_hook(root / ".git/hooks" / name, "#!/bin/sh\necho never >&2\nexit 3\n")
    assert install(root) == ""
    done = subprocess.run(
        ["git", "commit", "-q", "--allow-empty", "-m", "x"], cwd=root, capture_output=True
    )
    assert done.returncode == 1
    assert b"never" in done.stderr
    assert open_commit(root / ".git") == ""


TRANSACTIONS = '#!/bin/sh\necho "$1" >>ran.txt\ncat >>ran.txt\n'


def test_a_hook_that_watches_branches_is_told_what_it_was(root):
    """Also of what ours reads a line of to see what it is about."""
    hook = make_hook(root / ".git/hooks" / TRANSACTION, TRANSACTIONS)
    run_git(root, "commit", "-q", "--allow-empty", "-m", "x")
    (root / "ran.txt").unlink()
    updates = "".join(f"create refs/heads/b{number} HEAD\n" for number in range(50))
    told = []
    for _ in range(2):
        run_git(root, "update-ref", "ORIG_HEAD", "HEAD")
        run_git(root, "update-ref", "--stdin", stdin=updates)
        told.append((root / "ran.txt").read_text())
        (root / "ran.txt").unlink()
        run_git(root, "update-ref", "--stdin", stdin=updates.replace("create", "delete"))
        run_git(root, "update-ref", "-d", "ORIG_HEAD")
        assert install(root) == ""
        (root / "ran.txt").unlink()
    assert told[0] == told[1]
    assert told[0].count("refs/heads/b") == 100
    assert hook.with_name(TRANSACTION + KEPT).read_text() == TRANSACTIONS


def test_a_hook_that_refuses_a_branch_and_does_not_read_is_obeyed(root):
    make_hook(root / ".git/hooks" / TRANSACTION, "#!/bin/sh\nexit 3\n")
    assert install(root) == ""
    done = subprocess.run(
        ["git", "commit", "-q", "--allow-empty", "-m", "x"], cwd=root, capture_output=True
    )
    assert b"ref updates aborted by hook" in done.stderr


def test_a_hook_that_is_not_executable_stays_so(root):
    hook = make_hook(root / ".git/hooks/pre-commit", "#!/bin/sh\nexit 1\n", 0o644)
    assert install(root) == ""
    assert not os.access(hook.with_name(hook.name + KEPT), os.X_OK)
    run_git(root, "commit", "-q", "--allow-empty", "-m", "x")


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {p.name: (p.lstat().st_ino, p.read_bytes()) for p in folder.iterdir()}


def test_the_second_time_nothing_is_done_and_an_older_hook_is_replaced(root):
    make_hook(root / ".git/hooks/pre-commit", SHELL)
    install(root)
    before = everything(root / ".git/hooks")
    assert install(root) == ""
    assert everything(root / ".git/hooks") == before
    hook = root / ".git/hooks/prepare-commit-msg"
    hook.write_bytes(hook.read_bytes() + b"# An older one.\n")
    (root / ".git/hooks/pre-commit").chmod(0o644)
    assert install(root) == ""
    assert hook.read_bytes() == commit_hook.text_of(hook.name)
    assert os.access(root / ".git/hooks/pre-commit", os.X_OK)
    assert (root / f".git/hooks/pre-commit{KEPT}").read_text() == SHELL


def test_a_tool_that_takes_the_place_of_our_hook_and_runs_it(root):
    install(root)
    hook = root / ".git/hooks/pre-commit"
    hook.rename(hook.with_name("pre-commit.legacy"))
    make_hook(hook, SHELL + 'exec "$(dirname "$0")/pre-commit.legacy" "$@"\n')
    assert install(root) == ""
    run_git(root, "commit", "-q", "--allow-empty", "-m", "x")
    assert (root / "ran.txt").read_text().count("shell") == 1
    make_hook(hook, PYTHON)
    before = everything(root / ".git/hooks")
    assert "took the place of ours" in install(root)
    assert everything(root / ".git/hooks") == before


def test_a_hook_of_the_template_is_kept(tmp_path, clock):
    make_hook(tmp_path / "template/hooks/prepare-commit-msg", SHELL)
    root = tmp_path / "r"
    run_git(tmp_path, "init", "-q", f"--template={tmp_path / 'template'}", "r")
    setup.init(root, clock)
    run_git(root, "commit", "-q", "--allow-empty", "-m", "x")
    assert "shell" in (root / "ran.txt").read_text()


def test_without_a_folder_for_hooks_one_is_made(tmp_path):
    run_git(tmp_path, "init", "-q", "--template=", "r")
    assert install(tmp_path / "r") == ""
    editor = Editor(tmp_path / "r", "commit", "--allow-empty")
    assert open_commit(tmp_path / "r/.git")
    editor.close()


# -- core.hooksPath -------------------------------------------------------------------------------


def test_a_shared_folder_of_hooks_is_not_written_to(root, tmp_path):
    shared = tmp_path / "shared"
    make_hook(shared / "pre-push", SHELL)
    run_git(root, "config", "core.hooksPath", str(shared))
    before = everything(shared)
    said = install(root)
    assert f"core.hooksPath names {shared}, which other repositories may share" in said
    assert everything(shared) == before
    assert not (root / ".git/hooks/pre-commit").exists()
    editor = Editor(root, "commit", "--allow-empty")
    assert open_commit(root / ".git", lasting=True) == ""
    editor.close()
    for name in NAMES:  # What the sentence proposes.
        shutil.copy(root / ".git/acontext-hooks" / name, shared)
    editor = Editor(root, "commit", "--allow-empty")
    assert open_commit(root / ".git")
    editor.close()


def test_hooks_that_are_a_link_to_a_shared_folder_are_shared(root, tmp_path):
    shutil.rmtree(root / ".git/hooks")
    (tmp_path / "shared").mkdir()
    (root / ".git/hooks").symlink_to(tmp_path / "shared")
    assert "may share" in install(root)
    assert os.listdir(tmp_path / "shared") == []


def test_no_hooks_at_all_is_said_too(root):
    run_git(root, "config", "core.hooksPath", "/dev/null")
    assert "core.hooksPath names /dev/null" in install(root)


def test_hooks_in_the_worktree_are_added_to_and_status_stays_clean(root):
    make_hook(root / "my hooks/pre-push", SHELL)
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Hooks")
    run_git(root, "config", "core.hooksPath", "my hooks")
    for _ in range(2):
        assert install(root) == ""
    assert (root / ".git/info/exclude").read_text().count("/my hooks/pre-commit\n") == 1
    assert run_git(root, "status", "--porcelain") == ""
    editor = Editor(root, "commit", "--allow-empty")
    assert open_commit(root / ".git")
    editor.close()


def test_a_hook_of_the_project_is_not_touched(root):
    make_hook(root / ".githooks/prepare-commit-msg", SHELL)
    run_git(root, "config", "core.hooksPath", ".githooks")
    before = everything(root / ".githooks")
    assert "prepare-commit-msg belongs to the project" in install(root)
    assert everything(root / ".githooks") == before


def test_hooks_that_cannot_be_written_are_told(root):
    shutil.rmtree(root / ".git/hooks")
    (root / ".git/hooks").write_text("")
    assert "no hook tells when a git command is at work: " in install(root)
