"""A daemon in repositories that are kept in other ways, beside a person who uses git in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from acontext_fs import Store, doctor, setup
from acontext_fs.cli import run
from acontext_fs.commits import FileEdit
from acontext_fs.daemon.distill.rules import RulesDistiller
from acontext_fs.daemon.extract.rules import RulesExtractor
from acontext_fs.daemon.work import Inline, Workers
from acontext_fs.errors import CommitHeld, StoreError
from acontext_fs.lesson import Learned, Lesson, SkillEdit
from acontext_fs.records import LearnWork
from acontext_fs.settings import Settings
from tests.conftest import run_git
from tests.daemon.harness import Daemon, agent, user
from tests.daemon.test_hand_edits import work as do_a_task
from tests.test_commit_hook import Editor, SlowMerge

ASK = user("Please rename foo to bar in util.py.")
DID = agent("Done: foo is now bar in util.py.")
MORE = user("Thanks! Please build it.")
LEARNED = "spaces/default/skills/learned/SKILL.md"


class Learner:
    """Learns one skill from whatever is finished."""

    name = "scripted"

    def learn(self, work: LearnWork, lesson: Lesson) -> Learned:
        text = b"---\nname: learned\ndescription: What was learned.\n---\n\nTest it.\n"
        return Learned((SkillEdit("learned/SKILL.md", text),), "Keep it in mind")


def begin(root: Path) -> Daemon:
    return Daemon(root, Workers(RulesExtractor(), RulesDistiller(), Learner(), Inline(), 1, False))


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return begin(tmp_path / "store")


def work(daemon: Daemon, tasks: int = 1) -> None:
    """A session that is read to the end."""
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    assert len(daemon.tasks()) == tasks
    assert daemon.in_git() == daemon.path().read_bytes()


def learn(daemon: Daemon) -> None:
    """A session from which something is learned."""
    do_a_task(daemon)
    assert daemon.flush() == []
    assert (daemon.root / LEARNED).exists()


# -- settings of a person -------------------------------------------------------------------------

FSMONITOR = "#!/bin/sh\nprintf '1\\0/\\0'\n"
"""Says of every file that it may have changed (githooks(5), fsmonitor-watchman version 2)."""


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Path]:
    """The person's global git configuration, put back afterwards."""
    path = Path(os.environ["GIT_CONFIG_GLOBAL"])
    before = path.read_bytes()
    yield path
    path.write_bytes(before)


@pytest.mark.parametrize(
    "lines",
    [
        ["commit.gpgsign=true", "gpg.program=/bin/false", "core.autocrlf=true", "core.eol=crlf"],
        ["core.autocrlf=input", "core.fsmonitor=true", "core.untrackedCache=true"],
        ["core.fsmonitor={folder}/fsmonitor", "core.ignorecase=true", "core.fileMode=false"],
        ["init.templateDir={folder}/template", "core.hooksPath={folder}/template/hooks"],
        ["core.excludesFile={folder}/ignore", "feature.manyFiles=true", "index.skipHash=true"],
        ["user.useConfigOnly=true", "core.preferSymlinkRefs=true", "core.fsync=all", "gc.auto=1"],
    ],
    ids=lambda lines: lines[0].partition("=")[0],
)
def test_settings_of_the_person_do_no_harm(
    settings: Path, tmp_path: Path, lines: list[str]
) -> None:
    folder = tmp_path / "person"
    (folder / "template" / "hooks").mkdir(parents=True)
    for name in ("fsmonitor", "template/hooks/post-commit", "template/hooks/pre-push"):
        (folder / name).write_text(FSMONITOR if name == "fsmonitor" else "#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)
    (folder / "ignore").write_text("*\n*.jsonl\ntasks/\n.acontext*\nspaces/\n")
    for line in lines:
        name, _, value = line.partition("=")
        run_git(tmp_path, "config", "--global", name, value.format(folder=folder))
    daemon = begin(tmp_path / "store")
    work(daemon)
    daemon.git("status")  # Which writes what it found into the index.
    (daemon.root / "mine.txt").write_text("x\n")
    daemon.git("-c", "commit.gpgsign=false", "add", "-f", "mine.txt")
    daemon.git("-c", "commit.gpgsign=false", "commit", "-qm", "Mine")
    daemon.write(MORE)
    daemon.settle(30)
    assert len(daemon.tasks()) == 2
    assert "gpgsig" not in daemon.git("cat-file", "commit", "HEAD")
    assert daemon.in_git() == daemon.path().read_bytes()
    daemon.check_clean()


# -- other places ---------------------------------------------------------------------------------


def test_a_linked_worktree_is_a_store_and_the_other_one_stays(daemon: Daemon) -> None:
    work(daemon)
    head = daemon.git("rev-parse", "HEAD")
    other_root = daemon.root.parent / "linked"
    daemon.git("worktree", "add", "-q", "-b", "side", str(other_root))
    other = begin(other_root)
    other.write(MORE)
    assert other.flush() == []
    assert len(other.tasks()) == 2
    other.check_clean()
    assert daemon.git("rev-parse", "HEAD") == head
    daemon.settle(20)
    assert len(daemon.tasks()) == 1
    daemon.check_clean()


def test_a_store_that_is_a_submodule(tmp_path: Path) -> None:
    begin(tmp_path / "origin")
    outer = tmp_path / "outer project"
    outer.mkdir()
    run_git(outer, "init", "-q")
    allow = ("-c", "protocol.file.allow=always")
    run_git(outer, *allow, "submodule", "--quiet", "add", str(tmp_path / "origin"), "memory")
    run_git(outer, "commit", "-qm", "Begin")
    setup.init(outer / "memory")
    daemon = begin(outer / "memory")
    work(daemon)
    daemon.check_clean()
    assert run_git(outer, "status", "--porcelain") == " M memory\n"
    run_git(outer, "commit", "-qam", "Follow")
    assert run_git(outer, "status", "--porcelain") == ""


def test_a_partial_and_a_shallow_clone(daemon: Daemon, tmp_path: Path) -> None:
    work(daemon)
    daemon.git("config", "uploadpack.allowFilter", "true")
    for number, how in enumerate(("--filter=blob:none", "--depth=1")):
        run_git(tmp_path, "clone", "-q", how, daemon.root.as_uri(), f"clone{number}")
        setup.init(tmp_path / f"clone{number}")
        clone = begin(tmp_path / f"clone{number}")
        clone.write(MORE)
        assert clone.flush() == []
        assert len(clone.tasks()) == 2
        assert clone.git("status", "--porcelain") == ""
        clone.git("fsck")


# -- sparse checkouts -----------------------------------------------------------------------------


@pytest.fixture
def project(daemon: Daemon) -> Daemon:
    """A store that is a project's own checkout, with code in it, and a session."""
    for name in ("code/a.c", "docs/a.md"):
        (daemon.root / name).parent.mkdir()
        (daemon.root / name).write_text("x\n")
    daemon.git("add", ".")
    daemon.git("commit", "-qm", "Code")
    work(daemon)
    return daemon


def skipped(daemon: Daemon) -> set[str]:
    lines = daemon.git("ls-files", "-t").split("\n")
    return {line[2:] for line in lines if line.startswith("S ")}


def test_what_a_sparse_checkout_leaves_out_stays_out(project: Daemon) -> None:
    project.git("sparse-checkout", "set", "spaces", "docs")
    assert skipped(project) == {"code/a.c"}
    project.write(MORE)
    project.settle(30)
    assert len(project.tasks()) == 2
    assert skipped(project) == {"code/a.c"}
    assert not (project.root / "code").exists()
    assert project.git("show", "HEAD:code/a.c") == "x\n"
    project.check_clean()


def test_sessions_that_a_sparse_checkout_leaves_out_are_kept_in_git(project: Daemon) -> None:
    archived, out = project.in_git(), "spaces/default/tasks/s.jsonl"
    project.git("status")  # Or git takes what we wrote for changed, and leaves it where it is.
    project.git("sparse-checkout", "set", "code")
    assert out in skipped(project)
    project.settle(30)
    project.write(ASK, DID, session="t")
    project.settle(30)
    assert project.in_git() == archived
    assert out in skipped(project)
    assert project.in_git("t") == project.path("t").read_bytes()
    assert project.git("status", "--porcelain") == ""
    project.git("sparse-checkout", "disable")
    project.settle(30)
    assert project.path().read_bytes() == archived
    project.check_clean()


# -- what a person does to the branch -------------------------------------------------------------


def test_what_was_learned_on_another_branch_is_not_here_and_there_it_is(daemon: Daemon) -> None:
    daemon.git("branch", "before")
    learn(daemon)
    text = (daemon.root / LEARNED).read_bytes()
    daemon.git("switch", "-q", "before")
    daemon.settle(20)
    assert not (daemon.root / LEARNED).exists()
    assert Store.open(daemon.root).sessions() == []
    daemon.write(user("Please write a poem."), agent("Done: a poem."), session="other")
    assert daemon.flush() == []
    assert len(daemon.tasks("other")) == 1
    daemon.check_clean()
    daemon.git("switch", "-q", "-")
    daemon.settle(20)
    assert (daemon.root / LEARNED).read_bytes() == text
    assert [session.id for session in Store.open(daemon.root).sessions()] == ["s"]
    assert len(daemon.tasks()) == 1
    daemon.check_clean()


def test_an_amended_commit_is_gone_on_from(daemon: Daemon) -> None:
    work(daemon)
    daemon.git("commit", "-q", "--amend", "-m", "In my words")
    work(daemon, 2)
    assert "In my words" in daemon.git("log", "--format=%s")
    daemon.check_clean()


def test_a_branch_without_commits(daemon: Daemon) -> None:
    work(daemon)
    daemon.git("switch", "-q", "--orphan", "new")
    daemon.settle(20)
    assert daemon.service.pipeline.roster.all == {}
    daemon.write(ASK, DID)
    daemon.settle(60)
    assert len(daemon.tasks()) == 1
    assert daemon.git("log", "--format=%an").split() == ["acontext-fs"] * len(daemon.kinds())
    assert daemon.git("status", "--porcelain") == ""
    daemon.git("fsck", "--strict")


def test_a_branch_without_commits_on_which_all_is_staged(daemon: Daemon) -> None:
    work(daemon)
    daemon.git("checkout", "-q", "--orphan", "new")
    staged = daemon.git("diff", "--cached", "--name-only")
    daemon.write(MORE)
    daemon.settle(30)
    assert daemon.git("diff", "--cached", "--name-only") == staged
    assert "staged" in "".join(event.text for event in daemon.events if event.kind == "held")
    daemon.git("commit", "-qm", "All")
    daemon.settle(60)
    assert len(daemon.tasks()) == 2
    daemon.check_clean()


@pytest.mark.parametrize("how", ["ff", "merge"])
def test_a_pull_brings_the_other_ones_sessions(daemon: Daemon, tmp_path: Path, how: str) -> None:
    work(daemon)
    run_git(tmp_path, "clone", "-q", str(daemon.root), "clone")
    setup.init(tmp_path / "clone")
    other = begin(tmp_path / "clone")
    other.write(MORE)
    other.write(ASK, DID, session="theirs")
    assert other.flush() == []
    if how == "merge":
        daemon.write(ASK, DID, session="ours")
        assert daemon.flush() == []
    pull = ("--ff-only",) if how == "ff" else ("--no-rebase", "--no-edit")
    daemon.git("pull", "-q", *pull, str(other.root), "HEAD")
    daemon.settle(30)
    assert len(daemon.tasks()) == 2
    assert len(daemon.tasks("theirs")) == 1
    assert daemon.in_git("theirs") == other.in_git("theirs")
    daemon.write(MORE, session="theirs")
    daemon.settle(30)
    assert len(daemon.tasks("theirs")) == 2
    daemon.check_clean()


def test_git_packs_and_prunes_all_while_the_daemon_rests(daemon: Daemon) -> None:
    work(daemon)
    daemon.git("gc", "-q", "--prune=now", "--aggressive")
    daemon.git("pack-refs", "--all")
    work(daemon, 2)
    daemon.check_clean()


def test_work_waits_for_a_commit_that_is_open_and_then_goes_on(daemon: Daemon) -> None:
    editor = Editor(daemon.root, "commit", "--allow-empty")
    daemon.write(ASK, DID)
    daemon.settle(30)
    assert daemon.kinds() == []
    assert "`git commit`" in daemon.service.pipeline.why_waiting()
    assert "is open in this repository" in daemon.flush()[0]
    editor.close()
    daemon.settle(60)
    assert daemon.service.pipeline.why_waiting() == ""
    assert len(daemon.tasks()) == 1
    assert "Theirs" in daemon.git("log", "--format=%s")
    daemon.check_clean()


@pytest.mark.parametrize("how", ["hook", "no hook"])
def test_a_merge_that_has_begun_is_waited_for_and_nothing_of_the_person_is_lost(
    daemon: Daemon, how: str
) -> None:
    """A commit of ours would make git refuse it, and take all uncommitted work away with that."""
    work(daemon)
    mine, progress = daemon.root / "mine.txt", daemon.root / "spaces/default/progress/s.json"
    for branch, path in (("main", mine), ("other", progress), ("main", daemon.root / "more.txt")):
        daemon.git("switch", "-q", *(["-c"] if branch == "other" else []), branch)
        with open(path, "a") as file:
            file.write("\n")
        daemon.git("add", str(path))
        daemon.git("commit", "-qm", path.name)
    if how == "no hook":
        daemon.git("config", "core.hooksPath", "/dev/null")
        assert setup.teach_git(daemon.root)
    daemon.settle(10)
    kinds = daemon.kinds()
    mine.write_text("\nnot committed\n")
    daemon.write(MORE)
    with SlowMerge(daemon.root) as merge:
        daemon.write(ASK, DID, session="t")
        while not daemon.service.pipeline.why_waiting():
            assert daemon.kinds() == kinds
            daemon.settle(1)
        assert "a git command" in daemon.service.pipeline.why_waiting()
        assert daemon.service.pipeline.committer.is_passing()  # A flush waits it out.
        daemon.settle(30)
        assert not daemon.service.pipeline.committer.is_passing()
        assert daemon.kinds() == kinds
        daemon.write(MORE)
        said = merge.end()
    setup.teach_git(daemon.root)
    daemon.git("config", "--unset", "filter.acontext-fs.clean")
    assert "Merge made" in said, said
    assert mine.read_text() == "\nnot committed\n"
    if how == "no hook":
        os.utime(daemon.root / ".git/ORIG_HEAD", (0, 0))
    daemon.settle(60)
    assert daemon.path().read_bytes() == daemon.in_git()
    assert daemon.in_git().count(b"\n") == 4
    assert len(daemon.tasks("t")) == 1
    daemon.git("add", "mine.txt")
    daemon.git("commit", "-qm", "Mine")
    daemon.check_clean()


def test_an_index_that_git_had_read_before_and_writes_after_a_commit_is_mended(
    daemon: Daemon,
) -> None:
    """Or the person's next commit would take back what was committed."""
    (daemon.root / "mine.txt").write_text("mine\n")
    daemon.git("add", "mine.txt")
    index = daemon.root / ".git" / "index"
    before = index.read_bytes()
    work(daemon)
    index.with_name("theirs").write_bytes(before)
    written_at = daemon.clock.now() - 0.5
    os.utime(index.with_name("theirs"), (written_at, written_at))
    os.replace(index.with_name("theirs"), index)
    assert daemon.git("--no-optional-locks", "status", "--porcelain").startswith("A  mine.txt\nD  ")
    daemon.turn()
    behind = daemon.git("--no-optional-locks", "status", "--porcelain")
    assert behind.startswith("A  mine.txt\nD  ")  # Git may go on.
    with pytest.raises(CommitHeld, match="has just written the index"):
        daemon.service.pipeline.committer.history.commit([FileEdit("x", b"x")], "x")
    daemon.clock.advance(2.0)
    daemon.turn()
    assert daemon.git("status", "--porcelain") == "A  mine.txt\n"
    daemon.git("commit", "-qm", "Mine")
    assert daemon.in_git() == daemon.path().read_bytes()
    daemon.check_clean()


def test_a_reset_in_the_middle_of_which_we_look_is_not_mended(daemon: Daemon) -> None:
    """Git writes files and index first, and moves HEAD last."""
    work(daemon)
    head, files = daemon.git("rev-parse", "HEAD"), daemon.git("ls-files", "-s")
    daemon.git("read-tree", "--reset", "-u", "HEAD~1")
    daemon.turn()
    assert daemon.git("rev-parse", "HEAD") == head
    assert daemon.git("ls-files", "-s") != files
    daemon.git("reset", "-q", "--soft", "HEAD~1")
    assert daemon.git("status", "--porcelain") == ""


def test_what_a_person_unstages_stays_unstaged(daemon: Daemon) -> None:
    work(daemon)
    tasks = "spaces/default/tasks/s.jsonl"
    daemon.git("rm", "-q", "--cached", tasks)
    daemon.turn()
    assert f"D  {tasks}\n" in daemon.git("status", "--porcelain")


# -- an editor that polls -------------------------------------------------------------------------

POLL = """
import subprocess, sys
ran = 0
while True:
    done = subprocess.run(["git", *sys.argv[2:]], cwd=sys.argv[1], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    ran += 1
    print(ran, flush=True)
"""


@pytest.mark.parametrize("optional", ["0", "1"])
def test_an_editor_that_asks_for_the_status_all_the_time(
    daemon: Daemon, optional: str, monkeypatch
) -> None:
    monkeypatch.setenv("GIT_OPTIONAL_LOCKS", optional)
    with subprocess.Popen(
        [sys.executable, "-c", POLL, str(daemon.root), "status", "--porcelain", "-uall"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as poll:
        assert poll.stdout is not None
        for number in range(4):
            assert poll.stdout.readline(), poll.communicate()[1]
            daemon.write(ASK, DID, session=f"s{number}")
            assert daemon.flush() == []
        assert poll.poll() is None
        poll.kill()
    assert all(len(daemon.tasks(f"s{number}")) == 1 for number in range(4))
    assert [event for event in daemon.events if event.kind in ("trouble", "held")] == []
    (daemon.root / ".git/index.lock").unlink(missing_ok=True)  # The one just killed may leave it.
    daemon.check_clean()


# -- what libgit2 cannot do -----------------------------------------------------------------------


def test_an_index_that_becomes_one_it_cannot_read_holds_commits(daemon: Daemon) -> None:
    work(daemon)
    kinds = daemon.kinds()
    daemon.git("update-index", "--split-index")
    daemon.write(MORE)
    daemon.settle(20)
    assert "a split index, which libgit2 cannot read" in daemon.service.pipeline.why_waiting()
    assert daemon.kinds() == kinds
    daemon.git("update-index", "--no-split-index")
    daemon.settle(60)
    assert len(daemon.tasks()) == 2
    daemon.check_clean()


def serves_nothing(store: Store, options: Settings) -> NoReturn:
    raise AssertionError("it was served before it was refused")


def test_a_repository_with_other_objects_is_examined_and_named(project: Daemon) -> None:
    with project.store.index():
        pass
    shutil.rmtree(project.root / ".git")
    project.git("init", "-q", "--object-format=sha256")
    project.git("add", ".")
    project.git("commit", "-qm", "All")
    store = Store.open(project.root)
    told = [found.text for found in (*doctor.examine(store), *doctor.of_index(store))]
    assert "the repository has SHA-256 objects, which libgit2 cannot read" in told
    with pytest.raises(StoreError, match="cannot be read: the repository has SHA-256 objects"):
        store.revisions  # noqa: B018 (opens it)


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (["config core.splitIndex true"], "a split index"),
        (["update-index --split-index"], "a split index"),
        (["sparse-checkout set --cone --sparse-index spaces"], "a sparse index"),
        (
            ["config core.repositoryFormatVersion 1", "config extensions.refStorage reftable"],
            "a reftable",
        ),
    ],
    ids=["split setting", "split file", "sparse", "reftable"],
)
def test_a_daemon_does_not_begin_where_it_could_not_commit(
    project: Daemon, commands: list[str], said: str
) -> None:
    for command in commands:
        project.git(*command.split())
    index = (project.root / ".git/index").read_bytes()
    with pytest.raises(StoreError, match=f"cannot be used: the repository .*{said}, which libgit2"):
        project.start()
    with pytest.raises(StoreError, match=said):
        run.run_daemon(str(project.root), "up", serves_nothing)
    store = Store.open(project.root)
    told = [found.text for found in (*doctor.examine(store), *doctor.of_index(store))]
    assert len([text for text in told if said in text]) == 1
    assert (project.root / ".git/index").read_bytes() == index
