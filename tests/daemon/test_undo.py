"""Learnings that are taken back, by `undo` and by git, and what is remembered of that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acontext_fs import requests, union_merge
from acontext_fs.commits import Commit, FileEdit, message_of
from acontext_fs.daemon.undoing import without
from acontext_fs.daemon.verdicts import as_now
from acontext_fs.errors import CommitConflict
from acontext_fs.records import Task
from acontext_fs.requests import Reply
from acontext_fs.revisions import Revisions
from tests import learned_store
from tests.conftest import run_git
from tests.daemon.harness import Daemon, user
from tests.learned_store import THINGS, copy_to, work

SKILLS = "spaces/default/skills"


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    """A daemon that has learned from three tasks of one session, in three commits."""
    return Daemon(copy_to(tmp_path / "store"))


def statuses(daemon: Daemon) -> list[str]:
    return [task.learning.status if task.learning else "" for task in daemon.tasks()]


def learnings(daemon: Daemon) -> list[str]:
    """The commits of learnings, oldest first."""
    return learned_store.learnings(daemon.root)


def skills(daemon: Daemon) -> str:
    """What all skills say, on disk."""
    paths = sorted((daemon.root / SKILLS).rglob("*.md"))
    return "\n".join(path.read_text() for path in paths)


def head(daemon: Daemon) -> str:
    return daemon.git("rev-parse", "HEAD").strip()


def undo(daemon: Daemon, revision: str) -> Reply:
    daemon.turn()
    return daemon.service.pipeline.undo(revision)


# -- undo -----------------------------------------------------------------------------------------


def test_an_older_learning_is_taken_back_and_later_ones_stay(daemon: Daemon) -> None:
    first = learnings(daemon)[0]
    reply = undo(daemon, first[:10])
    assert reply.problems == ()
    assert reply.commit == head(daemon)
    assert statuses(daemon) == ["rejected", "learned", "learned"]
    told = skills(daemon)
    assert [thing in told for thing in THINGS] == [False, True, True]
    said = Revisions(daemon.root).commit(head(daemon))
    assert said.subject == f"Undo: {Revisions(daemon.root).commit(first).subject}"
    assert f"This reverts commit {first}." in said.body
    assert said.trailers == {
        "Acontext-Kind": ("tasks",),
        "Acontext-Session": ("default/s",),
        "Acontext-Task": (daemon.tasks()[0].id,),
        "Acontext-Undoes": (first,),
    }
    before = head(daemon)
    daemon.start()
    daemon.settle(60)
    assert head(daemon) == before  # Nothing more is noted, and nothing is learned again.
    daemon.check_clean()


@pytest.mark.parametrize("how", ["undo", "revert"])
def test_it_is_noted_also_while_the_transcript_is_away(daemon: Daemon, how: str) -> None:
    data = daemon.path().read_bytes()
    daemon.path().unlink()
    daemon.start()
    first = learnings(daemon)[0]
    if how == "undo":
        assert undo(daemon, first).problems == ()
    else:
        daemon.git("revert", "--no-edit", learnings(daemon)[2])
        daemon.settle(10)
    daemon.path().write_bytes(data)
    daemon.start()
    daemon.settle(60)
    wanted = ["rejected", "learned", "learned"]
    assert statuses(daemon) == (wanted if how == "undo" else wanted[::-1])
    daemon.check_clean()


def test_a_persons_edits_stay_what_they_are(daemon: Daemon) -> None:
    path = next(p for p in (daemon.root / SKILLS).rglob("*.md") if "scheduler" in p.read_text())
    committed = path.read_text()
    path.write_text(f"{committed}\nMine, and not committed.\n")
    assert undo(daemon, learnings(daemon)[0]).problems == ()
    inside = path.relative_to(daemon.root).as_posix()
    assert "Mine" not in daemon.git("show", f"HEAD:{inside}")
    assert "parser" not in path.read_text()
    assert "scheduler" in path.read_text()
    assert path.read_text().endswith("\nMine, and not committed.\n")
    assert daemon.git("status", "--porcelain") == f" M {inside}\n"


def test_all_of_them_are_taken_back_and_no_empty_file_is_left(daemon: Daemon) -> None:
    for commit in learnings(daemon):
        assert undo(daemon, commit).problems == ()
    assert statuses(daemon) == ["rejected"] * 3
    begun = daemon.git("ls-tree", "-r", f"{learnings(daemon)[0]}~1", SKILLS)
    assert daemon.git("ls-tree", "-r", "HEAD", SKILLS) == begun
    daemon.check_clean()


def test_what_later_work_overlaps_is_named_and_nothing_changes(daemon: Daemon) -> None:
    path = next(p for p in (daemon.root / SKILLS).rglob("*.md") if "parser" in p.read_text())
    path.write_text(path.read_text().replace("parser", "lexer"))
    daemon.git("commit", "-qam", "It is a lexer")
    before = head(daemon)
    (problem,) = undo(daemon, learnings(daemon)[0]).problems
    assert path.relative_to(daemon.root).as_posix() in problem
    assert f"{before[:10]} (It is a lexer)" in problem
    assert head(daemon) == before
    assert statuses(daemon)[0] == "learned"


def test_what_was_taken_back_is_not_taken_back_again(daemon: Daemon) -> None:
    one, _, other = learnings(daemon)
    daemon.git("revert", "--no-edit", other)
    daemon.settle(3)
    assert undo(daemon, one).commit
    before = head(daemon)
    assert undo(daemon, one) == undo(daemon, other) == Reply(())
    assert head(daemon) == before


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("HEAD", "learn --again"),
        ("HEAD~1", "is no learning"),
        ("nothing", "git knows no commit"),
        ("elsewhere", "is not in the history of this branch"),
    ],
)
def test_what_cannot_be_undone_is_said(daemon: Daemon, revision: str, said: str) -> None:
    daemon.git("branch", "elsewhere")
    daemon.git("reset", "-q", "--hard", "HEAD~1")
    daemon.settle(2)
    daemon.git("commit", "-q", "--allow-empty", "-m", "mine")
    assert undo(daemon, learnings(daemon)[0]).commit
    if revision == "HEAD~1":
        assert daemon.git("log", "-1", "--format=%s", revision) == "mine\n"
    before = head(daemon)
    (problem,) = undo(daemon, revision).problems
    assert said in problem
    assert head(daemon) == before


def test_while_a_person_merges_nothing_is_taken_back(daemon: Daemon) -> None:
    before = head(daemon)
    (daemon.root / ".git/MERGE_HEAD").write_text(before)
    reply = undo(daemon, learnings(daemon)[0])
    assert "a merge is under way" in reply.problems[0]
    assert not reply.soon
    (daemon.root / ".git/MERGE_HEAD").unlink()
    (daemon.root / ".git/index.lock").touch()
    assert undo(daemon, learnings(daemon)[0]).soon
    assert head(daemon) == before


def test_a_learning_of_a_session_that_is_gone_is_taken_back(daemon: Daemon) -> None:
    first = learnings(daemon)[0]
    for kind in ("sessions/s.jsonl", "tasks/s.jsonl", "progress/s.json"):
        (daemon.root / "spaces/default" / kind).unlink()
    daemon.git("commit", "-qam", "gone")
    daemon.start()
    reply = undo(daemon, first)
    assert reply.commit == head(daemon)
    assert "parser" not in skills(daemon)


def test_a_daemon_is_asked_by_a_file(daemon: Daemon) -> None:
    root = daemon.store.layout
    asked = requests.send(root, "undo", [], failed=False, about=learnings(daemon)[0])
    daemon.turn()
    reply = requests.wait(root, asked, 1, lambda: True)
    assert reply == Reply((), head(daemon))
    task = daemon.tasks()[0]
    path = "spaces/default/sessions/s.jsonl"
    asked = requests.send(root, "again", [path], failed=False, about=task.id)
    for _ in range(5):
        daemon.turn()
    assert requests.wait(root, asked, 1, lambda: True) == Reply(())
    assert statuses(daemon)[0] == "learned"
    assert "parser" in skills(daemon)
    asked = requests.send(root, "again", [path], failed=False, about=task.id)
    daemon.turn()
    assert "was learned from" in requests.wait(root, asked, 1, lambda: True).problems[0]


def text(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.mark.parametrize(
    ("old", "new", "now", "left"),
    [
        # A file that it had made, and what others wrote into it: above, between and below.
        ((), ("# T", "", "## A", "a"), ("# T", "", "## A", "a"), None),
        (
            (),
            ("# T", "", "## A", "a"),
            ("# T", "", "## B", "", "## A", "a"),
            ("# T", "", "## B", ""),
        ),
        (
            (),
            ("# T", "", "## A", "a"),
            ("# T", "", "## A", "a", "", "## B"),
            ("# T", "", "", "## B"),
        ),
        ((), ("a", "b"), ("a", "b", "c"), ("c",)),
        ((), ("a", "b", "c"), ("a", "x", "b"), ("x",)),
        ((), ("a", "b"), (), ()),
        # Lines that it had added to a file.
        (("x", "y"), ("x", "a", "b", "y"), ("x", "a", "c", "b", "y"), ("x", "c", "y")),
        (("x", "y"), ("x", "a", "b", "y"), ("x", "b", "y", "z"), ("x", "y", "z")),
        (("x",), ("x", "a"), ("x",), ("x",)),
        # Lines that it had changed.
        (("x", "y", "z"), ("x", "a", "z"), ("w", "x", "a", "z"), ("w", "x", "y", "z")),
    ],
)
def test_lines_are_taken_out_of_what_is_there_by_now(old, new, now, left) -> None:
    before = text(*old) or None
    assert without(text(*new), before, text(*now)) == (None if left is None else text(*left))


@pytest.mark.parametrize(
    ("old", "new", "now"),
    [
        ((), ("a", "b", "c"), ("a", "B", "c")),
        (("x", "y"), ("x", "a", "b", "y"), ("x", "A", "b", "y")),
        (("x", "y", "z"), ("x", "a", "b", "z"), ("x", "a", "c", "b", "z")),
    ],
)
def test_lines_that_were_changed_since_are_not_taken_out(old, new, now) -> None:
    with pytest.raises(CommitConflict):
        without(text(*new), text(*old) or None, text(*now))


def test_what_never_was_and_what_is_gone_stay_so() -> None:
    assert without(text("a"), None, None) is None
    assert without(None, text("a"), None) == text("a")


OTHER = {"Acontext-Kind": "skills", "Acontext-Task": "x"}


def test_what_waits_as_a_proposal_is_learned_again_and_proposed_no_more(daemon: Daemon) -> None:
    committer = daemon.service.pipeline.committer
    first = Revisions(daemon.root).commit(learnings(daemon)[0])
    assert undo(daemon, first.id).commit
    edit = FileEdit(f"{SKILLS}/x/notes.md", b"new\n", None, merge=True)
    committer.proposals.make([edit], message_of("Propose", "", first.trailers))
    committer.proposals.make([edit], message_of("Propose another", "", OTHER))
    task = daemon.tasks()[0]
    path = "spaces/default/sessions/s.jsonl"
    assert daemon.service.pipeline.want_again(path, task.id).commit == head(daemon)
    assert [one.commit.subject for one in committer.proposals.all()] == ["Propose another"]
    assert (
        "waits to be learned from already"
        in (daemon.service.pipeline.want_again(path, task.id).problems[0])
    )
    assert "has no task" in daemon.service.pipeline.want_again(path, "x").problems[0]
    assert (
        "no session that the daemon knows"
        in (daemon.service.pipeline.want_again("spaces/x", task.id).problems[0])
    )


# -- where it cannot be known, or is elsewhere by now ---------------------------------------------


def test_where_a_shallow_clone_begins_nothing_is_taken_back(daemon: Daemon, tmp_path: Path) -> None:
    """There every file looks as if the learning had made it."""
    last = learnings(daemon)[-1]
    run_git(tmp_path, "clone", "-q", "--depth=1", f"file://{daemon.root}", "clone")
    clone = Daemon(tmp_path / "clone")
    before = skills(clone)
    (problem,) = undo(clone, last).problems
    assert "git fetch --unshallow" in problem
    assert skills(clone) == before
    clone.git("fetch", "-q", "--unshallow")
    clone.start()
    assert undo(clone, last).problems == ()
    assert "installer" not in skills(clone)


def test_a_page_that_was_renamed_since_is_found(daemon: Daemon) -> None:
    path = daemon.root / SKILLS / "code-changes/procedures.md"
    new = path.with_name("how-to.md")
    daemon.git("mv", str(path), str(new))
    new.write_text(f"{new.read_text()}\nMine.\n")
    daemon.git("commit", "-qam", "Another name")
    daemon.settle(2)
    assert undo(daemon, learnings(daemon)[0]).problems == ()
    assert "parser" not in skills(daemon)
    assert "Mine." in new.read_text()
    daemon.check_clean()


def test_a_link_in_the_place_of_a_page_stays(daemon: Daemon, tmp_path: Path) -> None:
    path = daemon.root / SKILLS / "code-changes/procedures.md"
    elsewhere = tmp_path / "elsewhere.md"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before, text = head(daemon), elsewhere.read_text()
    (problem,) = undo(daemon, learnings(daemon)[0]).problems
    assert "symbolic link" in problem
    assert (path.is_symlink(), elsewhere.read_text(), head(daemon)) == (True, text, before)


# -- git revert -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["running", "stopped"])
def test_several_reverts_are_all_noted(daemon: Daemon, how: str) -> None:
    _, second, third = learnings(daemon)
    daemon.git("revert", "--no-edit", second, third)
    if how == "stopped":
        daemon.start()
    daemon.settle(30)
    assert statuses(daemon) == ["learned", "rejected", "rejected"]
    assert len(learnings(daemon)) == 3
    daemon.check_clean()


@pytest.mark.parametrize("at_once", [True, False])
def test_a_revert_that_is_reverted_brings_the_learning_back(daemon: Daemon, at_once: bool) -> None:
    daemon.git("revert", "--no-edit", learnings(daemon)[1])
    if not at_once:
        daemon.settle(30)
        assert statuses(daemon)[1] == "rejected"
    reverted = daemon.git("log", "-1", "--format=%H", "--grep=^This reverts commit").strip()
    daemon.git("revert", "--no-edit", reverted)
    daemon.settle(30)
    assert statuses(daemon) == ["learned"] * 3
    assert daemon.session().progress.learning_pending == 0
    assert skills(daemon).count("the build of the scheduler") > 0
    assert len(learnings(daemon)) == 3
    daemon.check_clean()


def test_an_undo_that_is_reverted_brings_the_learning_back(daemon: Daemon) -> None:
    commit = undo(daemon, learnings(daemon)[0]).commit
    daemon.git("revert", "--no-edit", commit)
    daemon.settle(30)
    assert statuses(daemon) == ["learned"] * 3
    assert "parser" in skills(daemon)


def test_a_revert_on_a_branch_that_is_merged_in_is_noted(daemon: Daemon) -> None:
    daemon.git("checkout", "-q", "-b", "side")
    daemon.git("revert", "--no-edit", learnings(daemon)[1])
    daemon.git("checkout", "-q", "main")
    daemon.clock.advance(100)
    daemon.write(user("I always prefer tabs. Please rename foo."))
    assert daemon.flush() == []
    daemon.git("merge", "-q", "--no-edit", "side")
    daemon.settle(30)
    assert statuses(daemon) == ["learned", "rejected", "learned", ""]
    daemon.check_clean()


def test_a_revert_is_found_behind_many_commits_of_others(daemon: Daemon) -> None:
    daemon.git("revert", "--no-edit", learnings(daemon)[1])
    made = "commit refs/heads/main\ncommitter P <p@example.invalid> 1767225600 +0000\ndata 1\nx\n"
    stream = f"{made}from refs/heads/main^0\n\n" + f"{made}\n" * 249
    run_git(daemon.root, "fast-import", "--quiet", stdin=stream)
    assert int(daemon.git("rev-list", "--count", "HEAD")) > 250
    daemon.start()
    daemon.settle(10)
    assert statuses(daemon) == ["learned", "rejected", "learned"]


def test_what_is_reset_away_is_learned_again(daemon: Daemon) -> None:
    daemon.git("reset", "-q", "--hard", f"{learnings(daemon)[-1]}~1")
    daemon.settle(60)
    assert statuses(daemon) == ["learned"] * 3
    assert "installer" in skills(daemon)
    daemon.check_clean()


def test_what_is_to_be_learned_again_is_so_on_every_branch(daemon: Daemon) -> None:
    before = head(daemon)
    assert undo(daemon, learnings(daemon)[0]).commit
    path = "spaces/default/sessions/s.jsonl"
    assert daemon.service.pipeline.want_again(path, daemon.tasks()[0].id).problems == ()
    daemon.git("branch", "side")
    daemon.git("reset", "-q", "--hard", before)
    daemon.settle(3)
    daemon.git("merge", "-q", "side")
    daemon.settle(60)
    assert statuses(daemon) == ["learned"] * 3


def test_words_of_a_transcript_revert_nothing(daemon: Daemon) -> None:
    first = learnings(daemon)[0]
    daemon.write(*work(f"thing. This reverts commit {first}. The build of the mailer"))
    assert daemon.flush() == []
    daemon.settle(10)
    assert f"This reverts commit {first}" in daemon.git("log", "-5", "--format=%b")
    assert statuses(daemon)[:3] == ["learned"] * 3


# -- two clones -------------------------------------------------------------------------------


@pytest.mark.parametrize("union", ["ours", "git's"])
def test_two_clones_that_both_went_on_in_a_session_are_merged(daemon: Daemon, union: str) -> None:
    clone = daemon.root.parent / "clone"
    run_git(daemon.root.parent, "clone", "-q", str(daemon.root), str(clone))
    other = Daemon(clone)
    other.write(*work("mailer"))
    assert other.flush() == []
    other_learning = learnings(other)[-1]
    daemon.clock.advance(50)
    daemon.write(*work("spooler"), user("Please rename foo to bar."))
    assert daemon.flush() == []
    run_git(daemon.root, "config", "--remove-section", "merge.union", check=False)
    if union == "ours":
        union_merge.install(daemon.root)
    daemon.git("pull", "-q", "--no-rebase", "--no-edit", str(clone), "main")
    daemon.settle(30)
    assert [one.description for one in daemon.tasks()][3:] == [
        "Please fix the build of the spooler.",
        "Please rename foo to bar.",
        "Please fix the build of the mailer.",
    ]
    assert statuses(daemon)[3] == statuses(daemon)[5] == "learned"
    session = daemon.session()
    assert (session.lost, session.held, session.pending_lines) == ("", "", 0)
    lines = daemon.path().read_bytes().split(b"\n")
    for task in daemon.tasks()[3:]:
        # Of lines that both added, one is left: theirs need not be the first.
        said = [json.loads(lines[n - 1]) for a, b in task.lines for n in range(a, b + 1)]
        assert task.description in [one["content"] for one in said]
    daemon.git("revert", "--no-edit", other_learning)
    daemon.settle(30)
    assert statuses(daemon)[3:] == ["learned", "", "rejected"]
    daemon.write(*work("indexer"))
    assert daemon.flush() == []
    assert statuses(daemon)[-1] == "learned"
    assert len({one.id for one in daemon.tasks()}) == 7
    daemon.check_clean()


def test_a_learning_names_its_task_by_the_id_it_has_now() -> None:
    def task(task_id: str, description: str) -> Task:
        return Task(task_id, "s", 1, "success", description, "2026", "2026")

    learning = Commit("c", "s", "b", {"Acontext-Task": ("1",)}, "acontext-fs", 0)
    then = [task("1", "theirs")]
    now = [task("1", "ours"), task("2", "theirs")]
    assert as_now(learning, then, now).trailers == {"Acontext-Task": ("2",)}
    assert as_now(learning, then, then).trailers == {"Acontext-Task": ("1",)}
    assert as_now(learning, (), now).trailers == {"Acontext-Task": ("1",)}
