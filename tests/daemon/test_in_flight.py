"""What happens around a job while it runs, or while its result waits to be committed."""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest

from acontext_fs.daemon.work import Workers
from acontext_fs.errors import ModelUnavailable
from acontext_fs.lesson import Skip
from tests.daemon.harness import Daemon, agent, rules_workers, user
from tests.daemon.test_pipeline import ASK, DID, Failing


class Hand(Executor):
    """Runs a job when it is told to: until then it is in flight."""

    def __init__(self):
        self.waiting = []

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self.waiting.append((future, fn, args))
        return future

    def finish(self, count: int = 1000) -> None:
        for future, fn, args in self.waiting[:count]:
            future.set_result(fn(*args))
        del self.waiting[:count]


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def daemon(tmp_path: Path, hand: Hand) -> Daemon:
    rules = rules_workers()
    workers = Workers(rules.extractor, rules.distiller, rules.learner, hand, 4, uses_model=True)
    return Daemon(tmp_path / "store", workers)


def settle(daemon: Daemon, hand: Hand, turns: int = 30) -> None:
    for _ in range(turns):
        daemon.turn()
        hand.finish()
        daemon.clock.advance(1.0)


def test_lines_that_arrive_while_a_batch_is_in_flight_are_the_next_batch(daemon, hand) -> None:
    daemon.write(ASK, DID)
    daemon.turn()
    daemon.clock.advance(9)
    daemon.turn()
    assert len(hand.waiting) == 1
    daemon.write(user("Please build it."))
    daemon.turn()
    daemon.write(agent("Done: it is built."))
    daemon.turn()
    settle(daemon, hand)
    assert daemon.session().progress.messages == 4
    assert [task.description for task in daemon.tasks()] == [ASK["content"], "Please build it."]
    batches = daemon.git("log", "--format=%(trailers:key=Acontext-Batch,valueonly)").split()
    assert len(batches) == len(set(batches)) == 2
    daemon.check_clean()


def test_a_result_is_not_committed_where_its_lines_are_not(daemon, hand) -> None:
    daemon.git("branch", "before")
    daemon.write(ASK, DID)
    daemon.turn()
    daemon.clock.advance(9)
    daemon.turn()
    daemon.git("checkout", "-q", "before")
    hand.finish()
    for _ in range(5):
        daemon.turn()
    assert not (daemon.root / "spaces/default/tasks/s.jsonl").exists()
    assert not (daemon.root / "spaces/default/progress/s.json").exists()


def test_two_branches_at_the_same_cursor_are_not_mixed(daemon, hand) -> None:
    daemon.write(ASK, DID)
    settle(daemon, hand)
    daemon.git("branch", "side")
    daemon.write(user("Please build it."), agent("Done: it is built."))
    daemon.turn()
    daemon.clock.advance(9)
    daemon.turn()
    assert daemon.git("status", "--porcelain") == ""  # The transcript did not wait.
    daemon.git("checkout", "-q", "side")
    settle(daemon, hand)
    assert [task.description for task in daemon.tasks()] == [ASK["content"]]
    assert daemon.session().progress.cursor.line == 2
    assert daemon.session().lost == ""
    daemon.check_clean()


def test_a_skill_that_changes_under_a_learning_does_not_disturb_the_batch(daemon, hand) -> None:
    daemon.write(user("I always prefer tabs. Please rename foo."), DID)
    daemon.turn()
    daemon.clock.advance(9)
    daemon.turn()
    hand.finish()
    daemon.turn()
    assert len(hand.waiting) == 1  # The learning.
    daemon.write(user("Please build it."), agent("Done: it is built."))
    daemon.clock.advance(9)
    daemon.turn()
    daemon.clock.advance(9)
    daemon.turn()
    facts = daemon.root / "spaces/default/skills/user-general-facts/coding-preferences.md"
    facts.write_text("# Coding preferences\n\n- 2026-01-01: Mine.\n")
    daemon.git("add", "-A")
    daemon.git("commit", "-qm", "mine")
    settle(daemon, hand, 60)
    assert daemon.session().progress.messages == 4
    assert len(daemon.tasks()) == 2
    assert "Mine." in facts.read_text()
    assert "tabs" in daemon.git("grep", "-h", "tabs", "HEAD", "--", "spaces/default/skills")
    daemon.check_clean()


# -- results that wait ---------------------------------------------------------------------------


def held_skill(daemon: Daemon, hand: Hand) -> Path:
    """A learning that waits because a person is editing the skill; returns the file."""
    daemon.write(user("I always prefer tabs. Please rename foo."), DID)
    settle(daemon, hand)
    facts = next((daemon.root / "spaces/default/skills/user-general-facts").glob("[a-z]*.md"))
    daemon.git("rm", "-q", "--cached", str(facts))
    facts.write_text(facts.read_text() + "- Mine.\n")
    daemon.write(user("I always prefer short functions. Please rename baz."), DID)
    settle(daemon, hand)
    assert "not committed" in daemon.service.pipeline.why_stuck(daemon.session())
    return facts


def test_a_held_learning_does_not_keep_a_detached_head_for_ever(daemon, hand) -> None:
    held_skill(daemon, hand)
    branch = daemon.git("symbolic-ref", "--short", "HEAD").strip()
    daemon.git("checkout", "-q", "--detach")
    daemon.write(ASK, DID, session="other")
    settle(daemon, hand)
    assert "HEAD is detached" in daemon.service.pipeline.why_waiting()
    daemon.git("checkout", "-q", branch)
    settle(daemon, hand, 60)
    assert daemon.service.pipeline.why_waiting() == ""
    assert len(daemon.tasks("other")) == 1


def test_a_held_learning_does_not_stop_those_of_other_sessions(daemon, hand) -> None:
    held_skill(daemon, hand)
    path = "spaces/default/sessions/other.jsonl"
    daemon.write(ASK, DID, session="other")
    settle(daemon, hand)
    assert daemon.service.pipeline.is_done(daemon.service.pipeline.roster.all[path])
    learning = daemon.tasks("other")[0].learning
    assert learning is not None
    assert learning.status != "pending"


@pytest.mark.parametrize("kind", ["link", "large"])
def test_a_skill_file_that_is_not_for_learners_holds_the_learning_and_says_so(
    daemon, hand, kind: str
) -> None:
    facts = daemon.root / "spaces/default/skills/user-general-facts/coding-preferences.md"
    if kind == "link":
        facts.symlink_to("elsewhere.md")
    else:
        facts.write_bytes(b"x" * 2_000_000)
    daemon.git("add", "-A")
    daemon.git("commit", "-qm", "mine")
    daemon.write(user("I always prefer tabs. Please rename foo."), DID)
    settle(daemon, hand)
    assert "coding-preferences.md" in daemon.service.pipeline.why_stuck(daemon.session())
    assert len(daemon.tasks()) == 1


def test_a_staged_transcript_does_not_hold_the_batch(daemon, hand) -> None:
    daemon.write(ASK, DID)
    settle(daemon, hand)
    daemon.write(user("Please build it."), agent("Done: it is built."))
    daemon.git("add", "spaces/default/sessions")
    daemon.turn()
    settle(daemon, hand)
    assert len(daemon.tasks()) == 2
    assert daemon.git("diff", "--cached", "--name-only").strip() != ""


def test_what_was_read_is_saved_as_soon_as_that_is_possible(daemon, hand) -> None:
    branch = daemon.git("symbolic-ref", "--short", "HEAD").strip()
    daemon.write(ASK, DID)
    settle(daemon, hand)
    daemon.git("checkout", "-q", "--detach")
    daemon.write(user("Please build it."))
    daemon.turn()
    whole = daemon.path().read_bytes()
    os.truncate(daemon.path(), 10)
    settle(daemon, hand, 20)
    daemon.git("stash", "-q")
    daemon.git("checkout", "-q", branch)
    os.truncate(daemon.path(), 10)
    settle(daemon, hand, 60)
    assert daemon.in_git() == whole


def test_flush_failed_twice_tries_once(tmp_path: Path) -> None:
    from acontext_fs.errors import ModelMisbehaved

    failing = Failing(*[ModelMisbehaved("no JSON")] * 5)
    daemon = Daemon(tmp_path / "store", failing.workers())
    daemon.write(ASK, DID)
    daemon.settle(150)
    pipeline = daemon.service.pipeline
    pipeline.hurry(pipeline.roster.select(()), failed=True)
    pipeline.hurry(pipeline.roster.select(()), failed=True)
    daemon.settle(20)
    assert failing.calls == 6
    assert daemon.session().progress.failures == ()
    daemon.check_clean()


def test_failed_learnings_and_batches_are_counted_apart(tmp_path: Path) -> None:
    failing = Failing()
    daemon = Daemon(tmp_path / "store", failing.workers())
    daemon.session_attempts = 0
    daemon.write(user("I always prefer tabs. Please rename foo."), DID)
    daemon.turn()
    daemon.session().learn_attempts = 4
    failing.errors = [ZeroDivisionError("oops")]
    daemon.settle(30)
    assert daemon.session().progress.failures == ()
    assert len(daemon.tasks()) == 1


def test_a_paused_model_is_not_asked_for_work_that_waits(tmp_path: Path) -> None:
    failing = Failing(*[ModelUnavailable("away", retry_after_seconds=300.0)] * 3)
    daemon = Daemon(tmp_path / "store", failing.workers())
    for number in range(5):
        daemon.write(ASK, DID, session=f"s{number}")
    daemon.settle(12)
    rest = daemon.service.pipeline.step()
    assert rest > 5
    assert failing.calls <= 4


def test_every_session_gets_its_turn(tmp_path: Path) -> None:
    hand = Hand()
    rules = rules_workers()
    workers = Workers(rules.extractor, rules.distiller, rules.learner, hand, 1, uses_model=True)
    daemon = Daemon(tmp_path / "store", workers)
    daemon.write(*[agent(f"step {n}") for n in range(600)], session="a")
    daemon.write(ASK, DID, session="z")
    for _ in range(12):
        daemon.turn()
        hand.finish()
        daemon.clock.advance(2.0)
    assert len(daemon.tasks("z")) == 1


def test_a_session_that_is_written_to_all_the_time_ends_a_flush(daemon, hand) -> None:
    from acontext_fs import requests

    daemon.write(ASK, DID)
    daemon.turn()
    request = requests.send(daemon.store.layout, "flush", [], failed=False)
    for number in range(40):
        daemon.write(agent(f"more {number}"))
        daemon.turn()
        hand.finish()
        daemon.clock.advance(0.5)
    assert request.id not in {one.id for one in requests.pending(daemon.store.layout)}


def test_a_flush_reads_what_was_appended_just_before_it(daemon, hand) -> None:
    from acontext_fs import requests

    daemon.turn()
    daemon.write(ASK, DID)
    request = requests.send(daemon.store.layout, "flush", [], failed=False)
    while request.id in {one.id for one in requests.pending(daemon.store.layout)}:
        daemon.turn()
        hand.finish()
        daemon.clock.advance(0.01)
    assert len(daemon.tasks()) == 1
    assert daemon.session().progress.learning_pending == 0


def test_reading_ahead_is_bounded_by_lines_too(daemon) -> None:
    daemon.write(*[{"type": "event", "event": "tick", "data": {}}] * 30_000)
    daemon.turn()
    assert daemon.session().pending_lines < 25_000


def test_the_daemon_outlives_a_full_disk(daemon, hand, monkeypatch) -> None:
    from acontext_fs import durable, files
    from acontext_fs.errors import StoreError

    def full(*_: object, **__: object) -> None:
        raise StoreError("cannot write: No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(files, "write_atomic", full)
        disk.setattr(durable, "stage", full)
        daemon.write(ASK, DID)
        settle(daemon, hand)
        assert "No space left" in daemon.service.pipeline.why_waiting()
    settle(daemon, hand, 60)
    assert len(daemon.tasks()) == 1
    daemon.check_clean()


def test_renaming_one_of_two_files_with_one_id_is_enough(daemon, hand) -> None:
    daemon.write(ASK, DID)
    daemon.turn()
    other = daemon.path().parent / "2026" / "s.jsonl"
    other.parent.mkdir()
    other.write_bytes(daemon.path().read_bytes())
    settle(daemon, hand)
    other.rename(other.with_name("t.jsonl"))
    settle(daemon, hand)
    assert len(daemon.store.space("default").session("t").tasks()) == 1
    assert {one.lost for one in daemon.service.pipeline.roster.all.values()} == {""}


def test_learning_that_is_switched_on_again_catches_up(daemon, hand) -> None:
    rules = daemon.root / "spaces/default/space.toml"
    rules.write_text("learn = false\n")
    daemon.git("add", "-A")
    daemon.git("commit", "-qm", "no learning")
    daemon.write(user("I always prefer tabs. Please rename foo."), DID)
    settle(daemon, hand)
    assert "skills" not in daemon.kinds()
    rules.write_text("learn = true\n")
    settle(daemon, hand)
    assert "skills" in daemon.kinds()


# -- what a person takes back ---------------------------------------------------------------------


def learned(daemon: Daemon) -> str:
    """The newest learning's commit."""
    return daemon.git("log", "-1", "--format=%H", "--grep=Acontext-Kind: skills").strip()


@pytest.mark.parametrize("how", ["running", "stopped"])
def test_a_reverted_preference_is_not_learned_again(tmp_path: Path, how: str) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.write(user("I always prefer tabs. Please rename foo."))
    assert daemon.flush() == []
    daemon.git("revert", "--no-edit", learned(daemon))
    if how == "stopped":
        daemon.start()
    daemon.settle(30)
    assert "tabs" not in daemon.git("ls-tree", "-r", "--name-only", "HEAD", "spaces/default/skills")
    grep = daemon.git("log", "-p", "-1", "--format=", "HEAD")
    assert "rejected" in grep
    assert daemon.session().progress.learning_pending == 0
    daemon.write(user("I always prefer short functions."))
    assert daemon.flush() == []
    facts = daemon.git("grep", "-h", "prefer", "HEAD", "--", "spaces/default/skills/*/c*.md")
    assert "short functions" in facts
    assert "tabs" not in facts
    daemon.check_clean()


def test_a_revert_in_front_of_a_commit_of_ours_is_seen(tmp_path: Path, monkeypatch) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.write(user("I always prefer tabs. Please rename foo."))
    assert daemon.flush() == []
    taken_back = learned(daemon)
    history = daemon.service.pipeline.committer.history
    genuine = history.commit

    def late(edits, message, on=""):
        monkeypatch.setattr(history, "commit", genuine)
        daemon.git("revert", "--no-edit", taken_back)
        return genuine(edits, message, on)

    monkeypatch.setattr(history, "commit", late)
    daemon.write(agent("Done."), session="other")
    daemon.settle(60)
    files = daemon.git("ls-files", "spaces/default/skills").split()
    assert not any("tabs" in (daemon.root / path).read_text() for path in files)
    assert "rejected" in daemon.git("log", "-p", "-3", "--format=", "HEAD")


def test_a_reverted_learning_of_a_task_is_rejected(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")

    def call(name: str, arguments: str) -> dict[str, object]:
        function = {"name": name, "arguments": arguments}
        return agent("", tool_calls=[{"id": "c", "type": "function", "function": function}])

    daemon.write(
        user("Please fix the build of the parser."),
        call("edit_file", '{"path":"a.py"}'),
        {"role": "tool", "tool_call_id": "c", "content": "ok"},
        call("bash", '{"command":"make"}'),
        {"role": "tool", "tool_call_id": "c", "content": "exit code: 0"},
        agent("Done: the build of the parser is fixed."),
    )
    assert daemon.flush() == []
    assert daemon.tasks()[0].learning.status == "learned"
    daemon.git("revert", "--no-edit", learned(daemon))
    daemon.settle(30)
    assert daemon.tasks()[0].learning.status == "rejected"
    assert daemon.kinds().count("skills") == 1
    daemon.check_clean()


def test_a_preference_taken_out_by_hand_does_not_hide_the_next(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.write(user("I always prefer tabs. Please rename foo."))
    assert daemon.flush() == []
    path = daemon.root / "spaces/default/tasks/s.jsonl"
    path.write_text(path.read_text().replace('"The user always prefers tabs."', ""))
    daemon.git("commit", "-qam", "not a preference")
    daemon.write(user("I always prefer short functions. Please rename baz."))
    assert daemon.flush() == []
    assert daemon.git("grep", "-h", "short functions", "HEAD", "--", "spaces/default/skills")


def test_a_file_whose_removal_was_committed_is_forgotten(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    daemon.path().unlink()
    daemon.settle(20)
    assert daemon.session().lost
    daemon.git("commit", "-qam", "gone")
    daemon.settle(20)
    assert daemon.service.pipeline.roster.all == {}
    assert daemon.flush() == []


def test_skipped_learnings_share_a_commit_that_leads_back_to_their_lines(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.write(ASK, DID, user("Please rename baz to qux."), agent("Done: baz is now qux."))
    assert daemon.flush() == []
    assert {task.learning.status for task in daemon.tasks()} == {"skipped"}
    trailers = daemon.git("log", "--grep=Skip learning", "--format=%(trailers:unfold)")
    assert trailers.count("Acontext-Kind:") == 1
    assert "Acontext-Lines: 1-4" in trailers
    assert "Acontext-Model: rules" in trailers
    for task in daemon.tasks():
        assert f"Acontext-Task: {task.id}" in trailers


def test_no_more_jobs_run_than_there_are_slots(daemon, hand) -> None:
    for number in range(9):
        daemon.write(ASK, DID, session=f"s{number}")
    daemon.turn()
    daemon.clock.advance(9)
    for _ in range(3):
        daemon.turn()
    assert len(hand.waiting) == 4
    settle(daemon, hand, 60)
    assert all(len(daemon.tasks(f"s{number}")) == 1 for number in range(9))


def test_one_learning_of_a_space_runs_at_a_time(daemon, hand) -> None:
    for number in range(3):
        daemon.write(
            user(f"I always prefer style {number}. Please rename foo."), session=f"s{number}"
        )
    daemon.turn()
    daemon.clock.advance(9)
    daemon.turn()
    hand.finish()
    daemon.turn()
    assert len(hand.waiting) == 1


def test_what_is_skipped_of_several_sessions_is_one_commit(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    for name in ("a", "b", "c"):
        daemon.write(user(f"What does fetch_{name}.py do?"), session=name)
        daemon.write(agent(f"fetch_{name}.py downloads a file."), user("Thanks!"), session=name)
    assert daemon.flush() == []
    subjects = daemon.git("log", "--format=%s").split("\n")
    assert "Skip learning from tasks of 3 sessions" in subjects
    assert not [one for one in subjects if one.startswith("Skip learning from task ")]
    for name in ("a", "b", "c"):
        (task,) = daemon.tasks(name)
        assert task.learning is not None
        assert task.learning.status == "skipped"
    daemon.check_clean()


def test_batches_of_which_there_is_nothing_to_tell_are_one_commit(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    for name in ("a", "b", "c"):
        daemon.write({"type": "session", "disable_task_tracking": True}, session=name)
        daemon.write(user("Hello there, please build it."), agent("Done."), session=name)
    before = int(daemon.git("rev-list", "--count", "HEAD"))
    assert daemon.flush() == []
    assert int(daemon.git("rev-list", "--count", "HEAD")) == before + 1
    subject, trailers = daemon.git("log", "-1", "--format=%s%x00%(trailers)").split("\0")
    assert subject == "Read lines of 3 sessions"
    assert trailers.count("Acontext-Batch:") == 3
    for name in ("a", "b", "c"):
        assert daemon.session(name).progress.cursor.line == 3
        assert daemon.tasks(name) == ()
    daemon.check_clean()
    daemon.write(user("More."), session="b")
    assert daemon.flush() == []
    assert daemon.git("log", "-1", "--format=%s").strip() == "Read line 4 of default/b"


def test_one_of_them_in_a_persons_hands_does_not_hold_the_others(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    for name in ("a", "b", "c"):
        daemon.write({"type": "session", "disable_task_tracking": True}, session=name)
    assert daemon.flush() == []
    progress = daemon.root / "spaces/default/progress/b.json"
    progress.write_bytes(progress.read_bytes() + b"\n")
    daemon.git("add", "spaces/default/progress/b.json")
    for name in ("a", "b", "c"):
        daemon.write(user("Hello there."), session=name)
    daemon.flush()
    lines = {name: daemon.session(name).progress.cursor.line for name in ("a", "b", "c")}
    assert lines == {"a": 2, "b": 1, "c": 2}


def test_a_batch_is_given_up_when_its_lines_become_others_and_back(daemon, hand) -> None:
    daemon.write(ASK, DID)
    settle(daemon, hand)
    daemon.write(user("Please build it."), agent("Done: it is built."))
    for _ in range(12):
        daemon.turn()
        daemon.clock.advance(1.0)
    assert daemon.session().batch is not None
    as_read = daemon.path().read_bytes()
    assert daemon.in_git() == as_read
    daemon.path().write_bytes(as_read.replace(b"Please build it.", b"Let us not do so"))
    daemon.turn()
    assert "was rewritten" in daemon.session().lost
    future, _, _ = hand.waiting.pop()
    future.set_exception(ModelUnavailable("away"))
    daemon.write(b"\n")
    daemon.turn()
    daemon.turn()
    assert not daemon.session().lost
    daemon.clock.advance(5.0)
    daemon.turn()
    daemon.path().write_bytes(as_read)
    settle(daemon, hand)
    assert [task.description for task in daemon.tasks()] == [ASK["content"], "Please build it."]
    daemon.check_clean()


class Bored:
    """Finds nothing to learn in anything."""

    name = "bored"

    def distill(self, work) -> Skip:
        return Skip("nothing in it")


def test_a_skip_that_a_person_is_in_the_way_of_is_noted_later(tmp_path: Path) -> None:
    rules = rules_workers()
    workers = dataclasses.replace(rules, distiller=Bored())
    daemon = Daemon(tmp_path / "store", workers)
    rules_of_space = daemon.root / "spaces/default/space.toml"
    assert not rules_of_space.exists()
    rules_of_space.write_text("learn = false\n", "utf-8")
    daemon.write(ASK, DID)
    daemon.settle(12)
    path = daemon.root / "spaces/default/tasks/s.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Please", b"Pretty please"))
    rules_of_space.unlink()
    daemon.settle(20)
    assert [task.learning.status for task in daemon.tasks()] == ["pending"]
    daemon.git("commit", "-qam", "By hand")
    daemon.settle(60)
    assert [task.learning.status for task in daemon.tasks()] == ["skipped"]
    daemon.check_clean()
