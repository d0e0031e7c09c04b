"""A person edits skills while they are learned: both texts are there, and whose is whose stays."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from acontext_fs.commits import FileEdit
from acontext_fs.daemon.distill.rules import RulesDistiller
from acontext_fs.daemon.extract.rules import RulesExtractor
from acontext_fs.daemon.learnings import ASKED_AGAIN_MAX
from acontext_fs.daemon.work import Inline, Workers
from acontext_fs.errors import CommitHeld, UsageError
from acontext_fs.lesson import Learned, Lesson, SkillEdit, Skip
from acontext_fs.proposals import Proposals
from acontext_fs.records import LearnWork
from tests.daemon.harness import Daemon, agent, user

NOTES = "spaces/default/skills/notes/notes.md"
SKILL = "---\nname: notes\ndescription: Notes about everything.\n---\n\nOne line each.\n"
TEXT = "# Notes\n\n- one\n- two\n- three\n"


class Learner:
    """Does to the skills what it is told; before that, what a person does while it works."""

    name = "scripted"

    def __init__(self) -> None:
        self.meanwhile: Callable[[int], None] = lambda asked: None
        self.change: Callable[[bytes], bytes | None] = lambda text: text + b"- learned\n"
        self.path = "notes/notes.md"
        self.asked = 0

    def learn(self, work: LearnWork, lesson: Lesson) -> Learned | Skip:
        self.asked += 1
        self.meanwhile(self.asked)
        if self.path not in work.skills:
            return Skip("the notes are gone")
        new = self.change(work.skills[self.path])
        return Learned((SkillEdit(self.path, new),), "Keep it in mind")


@pytest.fixture
def learner() -> Learner:
    return Learner()


@pytest.fixture
def daemon(tmp_path: Path, learner: Learner) -> Daemon:
    workers = Workers(RulesExtractor(), RulesDistiller(), learner, Inline(), 1, False)
    daemon = Daemon(tmp_path, workers)
    (tmp_path / NOTES).parent.mkdir(parents=True)
    (tmp_path / NOTES).write_text(TEXT)
    (tmp_path / NOTES).with_name("SKILL.md").write_text(SKILL)
    daemon.git("add", ".")
    daemon.git("commit", "-qm", "A skill")
    return daemon


def work(daemon: Daemon, number: int = 1) -> None:
    """A task that ends well, from which something is learned."""
    daemon.write(
        user(f"Add module {number} and test it."),
        agent("", tool_calls=[_call("write_file", {"path": "m.py"})]),
        {"role": "tool", "tool_call_id": "c", "content": "ok"},
        agent("", tool_calls=[_call("bash", {"command": "pytest"})]),
        {"role": "tool", "tool_call_id": "c", "content": "3 passed\nexit code: 0"},
        agent("Done: it is added and its tests pass."),
    )


def _call(name: str, arguments: dict[str, str]) -> dict[str, object]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": "c", "type": "function", "function": function}


def saved(path: Path, text: str, *, atomic: bool = True) -> None:
    """Save as an editor does, some time ago as far as the daemon's clock tells."""
    if atomic:
        other = path.with_name(".notes.swp")
        other.write_text(text)
        os.replace(other, path)
    else:
        path.write_text(text)


def learning(daemon: Daemon) -> str:
    found = daemon.tasks()[0].learning
    return f"{found.status}: {found.reason}" if found is not None else ""


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_an_edit_that_is_not_committed_stays_so_and_both_texts_are_there(
    daemon, learner, atomic, when
):
    mine = TEXT.replace("# Notes\n", "# My notes\n")
    path = daemon.root / NOTES
    if when == "before":
        saved(path, mine, atomic=atomic)
    else:
        learner.meanwhile = lambda asked: saved(path, mine, atomic=atomic)
    work(daemon)
    daemon.settle()
    assert learning(daemon) == "learned: Keep it in mind"
    assert path.read_text() == mine + "- learned\n"
    assert daemon.git("show", f"HEAD:{NOTES}") == TEXT + "- learned\n"
    assert daemon.git("status", "--porcelain") == f" M {NOTES}\n"
    changed = daemon.git("diff", "-U0", "--", NOTES).split("\n")[5:]
    assert changed == ["-# Notes", "+# My notes", ""]
    assert learner.asked == 1


def test_lines_that_both_add_at_the_end_are_both_there(daemon, learner):
    path = daemon.root / NOTES
    saved(path, TEXT + "- mine\n")
    work(daemon)
    daemon.settle()
    assert path.read_text() == TEXT + "- mine\n- learned\n"
    assert daemon.git("show", f"HEAD:{NOTES}") == TEXT + "- learned\n"
    assert "+- mine" in daemon.git("diff", "--", NOTES)


def test_a_staged_edit_stays_staged_and_an_unstaged_one_unstaged(daemon):
    path = daemon.root / NOTES
    saved(path, TEXT.replace("- one", "- One"))
    daemon.git("add", NOTES)
    saved(path, TEXT.replace("- one", "- One").replace("# Notes", "# My notes"))
    work(daemon)
    daemon.settle()
    assert learning(daemon).startswith("learned")
    staged, unstaged = daemon.git("diff", "--cached", "-U0"), daemon.git("diff", "-U0")
    assert [line for line in staged.split("\n")[5:] if line] == ["-- one", "+- One"]
    assert [line for line in unstaged.split("\n")[5:] if line] == ["-# Notes", "+# My notes"]
    daemon.git("commit", "-qm", "What I staged")
    assert daemon.git("show", f"HEAD:{NOTES}") == TEXT.replace("- one", "- One") + "- learned\n"


def test_an_edit_committed_meanwhile_is_merged(daemon, learner):
    def meanwhile(asked: int) -> None:
        saved(daemon.root / NOTES, TEXT.replace("- two", "- Two"))
        daemon.git("commit", "-qam", "By hand")

    learner.meanwhile = meanwhile
    work(daemon)
    daemon.settle()
    assert learner.asked == 1
    assert (daemon.root / NOTES).read_text() == TEXT.replace("- two", "- Two") + "- learned\n"
    daemon.check_clean()


def test_windows_line_ends_on_disk_stay(daemon):
    path = daemon.root / NOTES
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    work(daemon)
    daemon.settle()
    assert path.read_bytes() == (TEXT + "- learned\n").replace("\n", "\r\n").encode()
    assert daemon.git("show", f"HEAD:{NOTES}") == TEXT + "- learned\n"
    assert daemon.git("status", "--porcelain") == ""


def test_a_file_renamed_meanwhile_is_learned_anew_from_what_is_there(daemon, learner):
    def meanwhile(asked: int) -> None:
        if asked == 1:
            (daemon.root / NOTES).rename(daemon.root / NOTES.replace("notes.md", "remarks.md"))
        else:
            learner.path = "notes/remarks.md"

    learner.meanwhile = meanwhile
    work(daemon)
    daemon.settle()
    assert learner.asked == 2
    there = sorted(path.name for path in (daemon.root / NOTES).parent.iterdir())
    assert there == ["SKILL.md", "remarks.md"]
    # The new name is not committed yet, so what was learned waits for that.
    assert daemon.tasks()[0].learning.status == "pending"
    assert "not committed" in daemon.service.pipeline.why_stuck(daemon.session())
    daemon.git("add", "-A")
    daemon.git("commit", "-qm", "Rename")
    daemon.settle()
    assert learning(daemon) == "learned: Keep it in mind"
    text = (daemon.root / NOTES).with_name("remarks.md").read_text()
    assert text == TEXT + "- learned\n"
    daemon.check_clean()


def test_a_skill_removed_meanwhile_stays_removed(daemon, learner):
    def meanwhile(asked: int) -> None:
        if asked == 1:
            daemon.git("rm", "-rq", "spaces/default/skills/notes")
            daemon.git("commit", "-qm", "Not needed")

    learner.meanwhile = meanwhile
    work(daemon)
    daemon.settle()
    assert learning(daemon) == "skipped: the notes are gone"
    assert not (daemon.root / NOTES).parent.exists()
    daemon.check_clean()


def test_a_skill_that_becomes_a_persons_own_meanwhile_is_not_written(daemon, learner):
    own = SKILL.replace("---\n\n", 'metadata:\n  acontext-managed: "false"\n---\n\n')

    def meanwhile(asked: int) -> None:
        (daemon.root / NOTES).with_name("SKILL.md").write_text(own)

    learner.meanwhile = meanwhile
    work(daemon)
    daemon.settle(120)
    assert (daemon.root / NOTES).read_text() == TEXT
    assert learner.asked == 1 + ASKED_AGAIN_MAX
    assert learning(daemon).startswith("proposed: ")
    assert "person's own" in learning(daemon)


# -- conflicts ------------------------------------------------------------------------------------


@pytest.fixture
def conflict(daemon, learner):
    """The learner changes a line that a person changes each time it is asked."""
    learner.change = lambda text: re.sub(rb"- two.*", b"- two, and mind the gap", text)
    learner.meanwhile = lambda asked: saved(
        daemon.root / NOTES, TEXT.replace("- two", f"- two by hand {asked}")
    )
    work(daemon)
    daemon.settle(120)
    return daemon


def test_a_conflict_is_asked_about_twice_and_then_waits_as_a_proposal(conflict, learner):
    daemon = conflict
    assert learner.asked == 1 + ASKED_AGAIN_MAX
    asked = f"- two by hand {learner.asked}"
    assert (daemon.root / NOTES).read_text() == TEXT.replace("- two", asked)
    assert daemon.git("show", f"HEAD:{NOTES}") == TEXT
    (proposal,) = daemon.service.pipeline.committer.proposals.all()
    assert learning(daemon).startswith("proposed: notes/notes.md: the same text was changed")
    assert f"acontext-fs review {proposal.id}" in learning(daemon)
    shown = daemon.git("show", "--format=%s", f"refs/acontext/proposals/{proposal.id}")
    assert shown.startswith("Keep it in mind\n")
    assert "+- two, and mind the gap" in shown
    assert daemon.git("status", "--porcelain") == f" M {NOTES}\n"
    daemon.git("fsck", "--strict")
    daemon.settle(600)
    assert learner.asked == 1 + ASKED_AGAIN_MAX  # It is not asked about for ever.
    daemon.git("gc", "-q", "--prune=now")
    assert daemon.service.pipeline.committer.proposals.all() == [proposal]


def decide(daemon: Daemon, *, accept: bool) -> str:
    """What keeps it from being done, or ""."""
    pipeline = daemon.service.pipeline
    (proposal,) = pipeline.committer.proposals.all()
    reply = pipeline.decide(proposal.id, accept=accept)
    assert bool(reply.commit) == (not reply.problems)
    return "; ".join(reply.problems)


def test_a_proposal_that_is_declined_is_not_learned_again(conflict, learner):
    asked = learner.asked
    assert decide(conflict, accept=False) == ""
    assert learning(conflict) == "rejected: declined: Keep it in mind"
    assert conflict.service.pipeline.committer.proposals.all() == []
    conflict.start()
    conflict.settle()
    assert learner.asked == asked
    assert conflict.git("log", "-1", "--format=%s") == "Do not learn: Keep it in mind\n"


def test_a_proposal_is_accepted_once_it_can_be_merged(conflict):
    path = conflict.root / NOTES
    before = path.read_text()
    why = decide(conflict, accept=True)
    assert "the same text was changed meanwhile" in why
    assert path.read_text() == before
    assert conflict.git("show", f"HEAD:{NOTES}") == TEXT
    (proposal,) = conflict.service.pipeline.committer.proposals.all()
    read = proposal.edits[0].base.decode()
    saved(path, "above\n" + read)
    conflict.git("commit", "-qam", "By hand")
    assert decide(conflict, accept=True) == ""
    assert path.read_text() == "above\n" + TEXT.replace("- two", "- two, and mind the gap")
    assert learning(conflict) == "learned: Keep it in mind"
    assert conflict.service.pipeline.committer.proposals.all() == []
    log = conflict.git("log", "-1", "--format=%s %(trailers:key=Acontext-Kind,valueonly)")
    assert log == "Keep it in mind skills\n\n"
    conflict.check_clean()


def test_what_is_no_proposal_is_passed_over(conflict):
    root = conflict.git("rev-list", "--max-parents=0", "HEAD").strip()
    blob = conflict.git("rev-parse", f"HEAD:{NOTES}").strip()
    proposals = conflict.service.pipeline.committer.proposals
    before = proposals.all()
    for name, target in (("mine", root), ("text", blob)):
        conflict.git("update-ref", f"refs/acontext/proposals/{name}", target)
        with pytest.raises(UsageError, match="is no proposal that can be decided about"):
            proposals.get(name)
    assert proposals.all() == before


def test_a_crash_before_a_proposal_is_noted_leaves_no_second_one(daemon, learner, monkeypatch):
    """It is made before the commit that says so; after the crash another one is."""
    learner.change = lambda text: re.sub(rb"- two.*", b"- two, and mind the gap", text)
    learner.meanwhile = lambda asked: saved(
        daemon.root / NOTES, TEXT.replace("- two", f"- two by hand {asked}")
    )
    work(daemon)
    proposals = daemon.service.pipeline.committer.proposals
    made = []

    class Killed(Exception):
        pass

    def killed(*given):
        made.append(Proposals.make(proposals, *given))
        raise Killed

    monkeypatch.setattr(proposals, "make", killed)
    with pytest.raises(Killed):
        daemon.settle(120)
    daemon.clock.advance(100)  # So that it is another commit.
    daemon.start()
    daemon.settle(300)
    (left,) = daemon.service.pipeline.committer.proposals.all()
    assert left.id not in made
    assert left.id in learning(daemon)


def test_what_is_declined_of_a_session_that_is_gone_is_gone(conflict):
    conflict.git("rm", "-rqf", *(f"spaces/default/{k}" for k in ("sessions", "tasks", "progress")))
    conflict.git("commit", "-qm", "Gone", "--", "spaces/default")
    conflict.start()
    (proposal,) = conflict.service.pipeline.committer.proposals.all()
    assert conflict.service.pipeline.decide(proposal.id, accept=False).problems == ()
    assert conflict.service.pipeline.committer.proposals.all() == []


def test_a_revert_that_ends_between_two_looks_is_not_learned_over(daemon, learner):
    """The learner is at the task again, from before the revert, when it is committed."""
    work(daemon)
    daemon.settle()
    (learned,) = daemon.git("log", "--format=%H", "--grep=Keep it in mind").split()
    daemon.git("revert", "--no-edit", learned)
    committer = daemon.service.pipeline.committer
    with pytest.raises(CommitHeld, match="a person committed meanwhile") as raised:
        committer._commit([FileEdit("x", b"x")], "x", where_seen=True)
    assert raised.value.soon
    daemon.settle()
    assert learning(daemon).startswith("rejected")
    assert learner.asked == 1
    daemon.check_clean()
