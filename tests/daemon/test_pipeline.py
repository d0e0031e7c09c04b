"""From lines to commits, step by step on a fake clock, with the rules engine."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from acontext_fs.daemon.jobs import BatchJob
from acontext_fs.daemon.work import Inline, Workers
from acontext_fs.errors import ModelMisbehaved, ModelUnavailable
from acontext_fs.lesson import Learned, Lesson, Skip
from acontext_fs.records import Extraction, ExtractWork, LearnWork
from tests.daemon.harness import Daemon, agent, rules_workers, user

ASK = user("Please rename foo to bar in util.py.")
DID = agent("Done: foo is now bar in util.py.")


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path / "store")


# -- when a batch is done ----------------------------------------------------------------------


def test_nothing_happens_before_the_session_is_quiet(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    daemon.turn()
    daemon.clock.advance(7.9)
    daemon.turn()
    assert daemon.kinds() == []
    daemon.clock.advance(0.2)
    daemon.turn()
    assert [task.description for task in daemon.tasks()] == [ASK["content"]]
    daemon.check_clean()


def test_sixteen_messages_are_a_batch_at_once(daemon: Daemon) -> None:
    daemon.write(ASK, *[agent(f"step {n}") for n in range(15)])
    daemon.turn()
    assert daemon.session().progress.cursor.line == 16


def test_a_backlog_is_done_in_batches_of_at_most_32(daemon: Daemon) -> None:
    daemon.write(*[agent(f"step {n}") for n in range(200)])
    assert daemon.flush() == []
    lines = daemon.git("log", "--format=%(trailers:key=Acontext-Lines,valueonly)").split()
    assert [tuple(map(int, text.split("-"))) for text in reversed(lines)] == [
        (1, 32), (33, 64), (65, 96), (97, 128), (129, 160), (161, 192), (193, 200)
    ]  # fmt: skip
    daemon.check_clean()


def test_a_batch_is_one_commit_with_trailers_and_only_its_paths(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    daemon.settle(20)
    commit = daemon.git("log", "--format=%H", "--grep=Track a task").strip()
    paths = daemon.git("show", "--format=", "--name-only", commit).split()
    assert paths == [
        "spaces/default/progress/s.json",
        "spaces/default/sessions/s.jsonl",
        "spaces/default/tasks/s.jsonl",
    ]
    trailers = daemon.git("log", "-1", "--format=%(trailers:unfold)", commit)
    assert "Acontext-Kind: tasks" in trailers
    assert "Acontext-Session: default/s" in trailers
    assert "Acontext-Lines: 1-2" in trailers
    assert "Acontext-Model: rules" in trailers
    assert f"Acontext-Task: {daemon.tasks()[0].id}" in trailers


def test_the_same_input_gives_the_same_tree(tmp_path: Path) -> None:
    trees = []
    for name in ("a", "b"):
        daemon = Daemon(tmp_path / name)
        daemon.write(ASK, DID, user("I always prefer tabs."))
        assert daemon.flush() == []
        trees.append(daemon.git("rev-parse", "HEAD^{tree}"))
    assert trees[0] == trees[1]


def test_tracking_that_is_switched_off_keeps_the_lines_and_takes_no_tasks(daemon: Daemon) -> None:
    daemon.write({"type": "session", "disable_task_tracking": True}, ASK, DID)
    daemon.settle(20)
    assert daemon.tasks() == ()
    assert daemon.session().progress.messages == 2
    daemon.check_clean()


def test_a_session_line_later_in_the_file_counts_too(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    daemon.write({"type": "session", "disable_task_tracking": True, "user": "u"}, user("Do more."))
    assert daemon.flush() == []
    daemon.write({"type": "session", "disable_task_tracking": None}, user("Please build it."))
    assert daemon.flush() == []
    assert [task.description for task in daemon.tasks()] == [ASK["content"], "Please build it."]
    assert daemon.session().progress.facts == {"user": "u"}


# -- the archive -------------------------------------------------------------------------------


def test_a_growing_transcript_is_committed_when_it_grew_by_half(daemon: Daemon) -> None:
    for _ in range(20):
        daemon.write(*[agent("x" * 500) for _ in range(16)])
        daemon.turn()
    versions = daemon.git("log", "--format=%h", "--", "spaces/default/sessions").split()
    assert 5 <= len(versions) <= 9  # log(20) / log(1.5) is 7.4
    daemon.settle(20)
    daemon.check_clean()


def test_a_session_that_ends_on_a_full_batch_is_archived_when_it_is_quiet(daemon: Daemon) -> None:
    for _ in range(4):
        daemon.write(*[agent("x" * 100) for _ in range(16)])
        daemon.turn()
    assert daemon.git("status", "--porcelain") != ""
    daemon.settle(20)
    daemon.check_clean()


def test_several_quiet_transcripts_are_archived_in_one_commit(daemon: Daemon) -> None:
    for session in ("a", "b", "c"):
        for _ in range(4):
            daemon.write(*[agent("x" * 100) for _ in range(16)], session=session)
            daemon.turn()
    daemon.settle(20)
    assert daemon.kinds()[-1] == "archive"
    named = daemon.git("log", "-1", "--format=%(trailers:key=Acontext-Session,valueonly)").split()
    assert named == ["default/a", "default/b", "default/c"]
    daemon.check_clean()


def test_stopping_archives_what_was_read(daemon: Daemon) -> None:
    daemon.write(ASK)
    daemon.turn()
    daemon.service.end()
    assert daemon.git("status", "--porcelain") == ""


# -- damage -------------------------------------------------------------------------------------

HELLO = b'{"role":"user","content":"a"}'
BAD_LINES = [
    pytest.param(b"\n", 0, 2, id="empty line"),
    pytest.param(b"{not json}\n", 1, 2, id="invalid JSON"),
    pytest.param(b'{"role":"user","content":"\xff\xfe"}\n', 1, 3, id="invalid UTF-8"),
    pytest.param(b"\0\0\0\0\n", 1, 2, id="NUL bytes"),
    pytest.param(HELLO + HELLO + b"\n", 1, 4, id="two objects"),
    pytest.param(b"[" + HELLO + b"," + HELLO + b"]\n", 1, 4, id="array"),
    pytest.param(b'{"role":"narrator","content":"meanwhile"}\n', 1, 2, id="unknown role"),
    pytest.param(b'{"role":"tool","tool_call_id":"none","content":"x"}\n', 0, 3, id="no call"),
    pytest.param(HELLO.replace(b'"a"', b'"' + b"x" * 20_000_000 + b'"') + b"\n", 0, 3, id="20 MB"),
    pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"\n", 1, 2, id="deep nesting"),
    pytest.param(HELLO.replace(b'"a"', '"a\u2028b"'.encode()) + b"\n", 0, 3, id="U+2028"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "unreadable", "messages"), BAD_LINES)
def test_a_bad_line_is_kept_and_counted_and_the_rest_goes_on(
    daemon: Daemon, line: bytes, unreadable: int, messages: int
) -> None:
    daemon.write(ASK, line, DID)
    assert daemon.flush() == []
    progress = daemon.session().progress
    assert (progress.unreadable, progress.messages) == (unreadable, messages)
    assert all(where == 2 for where, _ in progress.problems)
    assert daemon.tasks()[0].description == ASK["content"]
    daemon.check_clean()


def test_half_a_line_at_the_end_waits_and_the_rest_is_done(daemon: Daemon) -> None:
    daemon.write(ASK, DID, b'{"role":"us')
    assert daemon.flush() == []
    assert len(daemon.tasks()) == 1
    daemon.write(b'er","content":"Please also update the docs."}\n')
    assert daemon.flush() == []
    assert len(daemon.tasks()) == 2
    daemon.check_clean()


def test_an_empty_file_is_kept_and_has_no_tasks(daemon: Daemon) -> None:
    daemon.write(session="empty")
    assert daemon.flush() == []
    assert daemon.kinds() == ["archive"]
    assert daemon.tasks("empty") == ()
    daemon.check_clean()


def test_learning_on_request_does_not_wait_for_pending_lines(daemon: Daemon) -> None:
    daemon.write(user("I always prefer tabs. Please rename foo."), *[agent("Looking.")] * 14, DID)
    daemon.turn()
    daemon.write(agent("One moment."))
    daemon.turn()
    pipeline = daemon.service.pipeline
    chosen = pipeline.roster.select(())
    assert not all(map(pipeline.is_learned, chosen))
    pipeline.hurry(chosen, learn_only=True)
    daemon.turn()
    assert all(map(pipeline.is_learned, chosen))
    assert daemon.session().pending_lines == 1


def test_replaying_a_batch_changes_nothing(daemon: Daemon) -> None:
    committer = daemon.service.pipeline.committer
    jobs = []
    apply = committer._apply

    def record(job):
        jobs.append(job)
        apply(job)

    committer._apply = record
    daemon.write(ASK, DID)
    daemon.settle(20)
    head = daemon.git("rev-parse", "HEAD")
    job = next(job for job in jobs if isinstance(job, BatchJob))
    committer.finished.append(job)
    daemon.settle(5)
    assert committer.finished == []
    assert daemon.git("rev-parse", "HEAD") == head
    daemon.check_clean()


@pytest.mark.parametrize("how", ["truncated", "deleted", "rewritten", "replaced"])
def test_what_was_read_of_a_lost_file_is_in_git(daemon: Daemon, how: str) -> None:
    path = daemon.path()
    daemon.write(*[agent("x" * 200) for _ in range(16)])
    daemon.turn()
    daemon.write(*[agent("y" * 100) for _ in range(3)])
    daemon.turn()  # Read, pending, and too little to be archived.
    whole = path.read_bytes()
    assert daemon.in_git() != whole
    if how == "truncated":
        os.truncate(path, 10)
    elif how == "deleted":
        path.unlink()
    elif how == "rewritten":
        path.write_bytes(b"z" * len(whole) + b"\n")
    else:
        (path.parent / "other").write_bytes(b'{"role":"user","content":"new"}\n' * 300)
        os.replace(path.parent / "other", path)
    daemon.write(ASK, DID, session="another")
    daemon.settle(20)
    assert daemon.in_git() == whole
    assert len(daemon.tasks("another")) == 1
    assert "git show HEAD:spaces/default/sessions/s.jsonl" in daemon.session().lost
    # Put back as it was, it is read on where it was left.
    path.write_bytes(whole)
    daemon.settle(20)
    assert daemon.session().lost == ""
    assert daemon.session().progress.messages == 19
    daemon.check_clean()


def test_a_file_truncated_and_deleted_before_it_was_ever_committed_is_saved(daemon: Daemon) -> None:
    daemon.write(ASK)
    daemon.turn()
    daemon.path().unlink()
    daemon.turn()
    assert b"rename foo" in daemon.in_git()


def test_a_bad_session_name_is_left_alone(daemon: Daemon) -> None:
    daemon.write(ASK, DID, session="has space")
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    assert list(daemon.service.pipeline.roster.all) == ["spaces/default/sessions/s.jsonl"]


def test_two_files_with_one_session_id_are_not_mixed(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    other = daemon.path().parent / "2026" / "s.jsonl"
    other.parent.mkdir()
    other.write_bytes(daemon.path().read_bytes())
    problems = daemon.flush()
    assert len(problems) == 1
    assert "has the session id of" in problems[0]


def test_a_folder_in_the_place_of_the_tasks_file_holds_that_session_only(daemon: Daemon) -> None:
    (daemon.root / "spaces/default/tasks/s.jsonl").mkdir(parents=True)
    daemon.write(ASK, DID)
    daemon.write(ASK, DID, session="other")
    daemon.settle(20)
    assert len(daemon.tasks("other")) == 1
    assert "move it away" in daemon.service.pipeline.why_stuck(daemon.session())
    (daemon.root / "spaces/default/tasks/s.jsonl").rmdir()
    daemon.settle(60)
    assert len(daemon.tasks()) == 1
    daemon.check_clean()


def test_a_damaged_progress_file_holds_the_session_and_says_so(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    (daemon.root / "spaces/default/progress/s.json").write_text("{}")
    daemon.start()
    daemon.write(user("Please build it."))
    problems = daemon.flush()
    assert "is not a progress file" in problems[0]
    daemon.git("checkout", "--", "spaces/default/progress/s.json")
    daemon.start()
    assert daemon.flush() == []
    assert len(daemon.tasks()) == 2


# -- a person at work ----------------------------------------------------------------------------


def test_a_detached_head_holds_commits_and_says_so(daemon: Daemon) -> None:
    branch = daemon.git("symbolic-ref", "--short", "HEAD").strip()
    daemon.git("checkout", "-q", "--detach")
    daemon.write(ASK, DID)
    daemon.settle(20)
    assert daemon.kinds() == []
    assert "HEAD is detached" in daemon.service.pipeline.why_waiting()
    assert "HEAD is detached" in daemon.flush()[0]
    daemon.git("checkout", "-q", branch)
    daemon.settle(60)
    assert len(daemon.tasks()) == 1
    assert daemon.service.pipeline.why_waiting() == ""
    daemon.check_clean()


def test_a_merge_under_way_holds_commits(daemon: Daemon) -> None:
    daemon.git("checkout", "-q", "-b", "side")
    (daemon.root / "notes.md").write_text("side\n")
    daemon.git("add", "notes.md")
    daemon.git("commit", "-qm", "side")
    daemon.git("checkout", "-q", "-")
    daemon.git("merge", "-q", "--no-ff", "--no-commit", "side")
    daemon.write(ASK, DID)
    daemon.settle(20)
    assert daemon.kinds() == []
    assert "a merge is under way" in daemon.service.pipeline.why_waiting()
    daemon.git("commit", "-qm", "merged")
    daemon.settle(60)
    assert len(daemon.tasks()) == 1
    daemon.check_clean()


def test_a_dirty_index_and_worktree_stay_as_they_are(daemon: Daemon) -> None:
    (daemon.root / "staged.md").write_text("staged\n")
    daemon.git("add", "staged.md")
    (daemon.root / "staged.md").write_text("and edited\n")
    (daemon.root / "untracked.md").write_text("untracked\n")
    before = daemon.git("status", "--porcelain"), daemon.git("diff", "--cached")
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    assert (daemon.git("status", "--porcelain"), daemon.git("diff", "--cached")) == before
    assert len(daemon.tasks()) == 1


def test_a_skill_taken_out_of_git_waits_and_batches_go_on(daemon: Daemon) -> None:
    daemon.write(user("I always prefer tabs over spaces. Please rename foo."), DID)
    assert daemon.flush() == []
    facts = next((daemon.root / "spaces/default/skills/user-general-facts").glob("[a-z]*.md"))
    mine = facts.read_text() + "- Mine.\n"
    facts.write_text(mine)
    daemon.git("rm", "-q", "--cached", str(facts))
    daemon.write(user("I always prefer short functions. Please rename baz."), DID)
    problems = daemon.flush()
    assert "changes that are not committed" in problems[0]
    assert facts.read_text() == mine
    assert len(daemon.tasks()) == 2
    daemon.git("add", "-A")
    daemon.git("commit", "-qm", "mine")
    daemon.settle(60)
    assert daemon.session().progress.learning_pending == 0
    assert "- Mine." in facts.read_text()
    daemon.check_clean()


def test_another_branch_is_followed(daemon: Daemon) -> None:
    daemon.git("branch", "before")
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    daemon.git("checkout", "-q", "before")
    daemon.settle(20)
    assert daemon.service.pipeline.roster.all == {}
    daemon.git("checkout", "-q", "-")
    daemon.write(user("Please build it."))
    daemon.settle(20)
    assert len(daemon.tasks()) == 2
    daemon.check_clean()


def test_a_reset_takes_the_daemon_back_with_it(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    first = daemon.git("rev-parse", "HEAD").strip()
    more = user("Please build it.")
    daemon.write(more)
    assert daemon.flush() == []
    daemon.git("reset", "-q", "--hard", first)
    daemon.settle(20)
    assert len(daemon.tasks()) == 1
    daemon.write(more)
    daemon.settle(20)
    assert len(daemon.tasks()) == 2
    daemon.check_clean()


# -- crashes -------------------------------------------------------------------------------------


def test_a_restart_changes_nothing_and_goes_on(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    head = daemon.git("rev-parse", "HEAD")
    daemon.start()
    daemon.settle(20)
    assert daemon.git("rev-parse", "HEAD") == head
    daemon.write(user("Please build it."))
    daemon.start()
    assert daemon.flush() == []
    assert len(daemon.tasks()) == 2


def test_everything_local_can_be_deleted(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    tree = daemon.git("rev-parse", "HEAD^{tree}")
    shutil.rmtree(daemon.root / ".acontext")
    (daemon.root / ".acontext").mkdir()
    daemon.start()
    assert daemon.flush() == []
    assert daemon.git("rev-parse", "HEAD^{tree}") == tree


def test_a_transcript_behind_head_is_restored_only_after_a_power_cut(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    whole = daemon.path().read_bytes()
    os.truncate(daemon.path(), 5)
    daemon.start()
    assert daemon.path().stat().st_size == 5
    note = daemon.root / ".acontext/boot.json"
    note.write_text(json.dumps({"boot": "another boot", "clean": False}))
    daemon.start()
    assert daemon.path().read_bytes() == whole
    assert daemon.flush() == []
    daemon.check_clean()


# -- workers that fail ---------------------------------------------------------------------------


class Failing:
    """An extractor, distiller and learner that raises what it is told to, then does the work."""

    name = "failing"

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self._rules = rules_workers()

    def extract(self, work: ExtractWork) -> Extraction:
        self._fail()
        return self._rules.extractor.extract(work)

    def distill(self, work: LearnWork) -> Lesson | Skip:
        return self._rules.distiller.distill(work)

    def learn(self, work: LearnWork, lesson: Lesson) -> Learned | Skip:
        return self._rules.learner.learn(work, lesson)

    def _fail(self) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)

    def workers(self) -> Workers:
        return Workers(self, self, self, Inline(), 4, uses_model=True)


def test_a_failed_batch_is_tried_again_with_growing_pauses(tmp_path: Path) -> None:
    failing = Failing(*[ModelMisbehaved("no JSON")] * 3)
    daemon = Daemon(tmp_path / "store", failing.workers())
    daemon.write(ASK, DID)
    daemon.settle(100)
    assert failing.calls == 4
    assert len(daemon.tasks()) == 1
    assert daemon.session().progress.failures == ()
    pauses = [event.text for event in daemon.events if event.kind == "retry"]
    assert [text.partition(":")[0] for text in pauses] == [
        "attempt 1 failed, again in 1 s",
        "attempt 2 failed, again in 4 s",
        "attempt 3 failed, again in 16 s",
    ]


def test_a_batch_is_given_up_after_five_attempts_and_later_lines_go_on(tmp_path: Path) -> None:
    failing = Failing(*[ModelMisbehaved("no JSON")] * 5)
    daemon = Daemon(tmp_path / "store", failing.workers())
    daemon.write(ASK, DID)
    daemon.settle(150)
    failure = daemon.session().progress.failures[0]
    assert (failure.lines, failure.reason, failure.attempts) == ((1, 2), "no JSON", 5)
    daemon.write(user("Please build it."))
    daemon.settle(20)
    assert [task.description for task in daemon.tasks()] == ["Please build it."]
    daemon.check_clean()
    # And when a person asks, it is tried again.
    pipeline = daemon.service.pipeline
    pipeline.hurry(pipeline.roster.select(()), failed=True)
    daemon.settle(20)
    assert daemon.session().progress.failures == ()
    assert daemon.session().progress.messages == 3
    assert {task.description for task in daemon.tasks()} == {ASK["content"], "Please build it."}
    daemon.check_clean()


def test_a_model_that_is_away_is_waited_for_and_capture_goes_on(tmp_path: Path) -> None:
    failing = Failing(*[ModelUnavailable("nothing answers at http://m")] * 12)
    daemon = Daemon(tmp_path / "store", failing.workers())
    daemon.write(ASK, DID)
    daemon.settle(20)
    assert daemon.service.pipeline.why_waiting() == "nothing answers at http://m"
    assert daemon.tasks() == ()
    assert daemon.git("status", "--porcelain") == ""  # The transcript did not wait.
    daemon.settle(3600)
    assert len(daemon.tasks()) == 1
    assert daemon.session().progress.failures == ()


def test_retry_after_is_respected(tmp_path: Path) -> None:
    failing = Failing(ModelUnavailable("slow down", retry_after_seconds=50.0))
    daemon = Daemon(tmp_path / "store", failing.workers())
    daemon.write(ASK, DID)
    daemon.settle(55)
    assert failing.calls == 1
    daemon.settle(10)
    assert failing.calls == 2


def test_the_daily_token_limit_is_waited_out(tmp_path: Path) -> None:
    failing = Failing()
    daemon: Daemon
    workers = Workers(
        failing,
        failing,
        failing,
        Inline(),
        4,
        uses_model=True,
        budget_reason=lambda: daemon.budget.reason(),
    )
    daemon = Daemon(tmp_path / "store", workers, max_tokens_per_day=10)
    daemon.budget.spend(11)
    daemon.write(ASK, DID)
    daemon.settle(20)
    assert failing.calls == 0
    assert "daily limit of 10 tokens" in daemon.service.pipeline.why_waiting()
    daemon.start()  # What was spent is remembered.
    daemon.settle(20)
    assert failing.calls == 0
    daemon.clock.advance(86400)
    daemon.settle(70)
    assert failing.calls == 1


def test_a_defect_in_the_rules_loses_one_batch_and_is_recorded(tmp_path: Path) -> None:
    failing = Failing(ZeroDivisionError("oops"))
    workers = Workers(failing, failing, failing, Inline(), 1, uses_model=False)
    daemon = Daemon(tmp_path / "store", workers)
    daemon.write(ASK, DID)
    daemon.settle(20)
    assert "internal error" in daemon.session().progress.failures[0].reason
    assert failing.calls == 1


# -- learning --------------------------------------------------------------------------------------


def test_the_last_task_is_not_learned_from_while_the_session_goes_on(daemon: Daemon) -> None:
    daemon.write(ASK, *[agent(f"Looking, {n}.") for n in range(14)], DID)
    daemon.turn()
    daemon.write(agent("One moment."))
    daemon.turn()
    before = daemon.tasks()[0].learning
    daemon.settle(20)
    after = daemon.tasks()[0].learning
    assert before is not None
    assert before.status == "pending"
    assert after is None or after.status != "pending"


def test_a_space_that_does_not_learn_keeps_its_skills(daemon: Daemon) -> None:
    (daemon.root / "spaces/default/space.toml").write_text("learn = false\n")
    daemon.git("add", "-A")
    daemon.git("commit", "-qm", "no learning")
    daemon.write(user("I always prefer tabs. Please rename foo."), DID)
    assert daemon.flush() == []
    assert "skills" not in daemon.kinds()
    (daemon.root / "spaces/default/space.toml").write_text("learn = true\n")
    daemon.git("commit", "-qam", "learning")
    daemon.start()
    daemon.settle(5)
    assert "skills" in daemon.kinds()


def test_the_original_date_of_a_session_is_the_day_of_its_learnings(daemon: Daemon) -> None:
    facts = {"type": "session", "configs": {"original_date": "2023/04/05 (Wed) 10:00"}}
    daemon.write(facts, user("I always prefer tabs."))
    assert daemon.flush() == []
    text = daemon.git("grep", "-h", "tabs", "HEAD", "--", "spaces/default/skills")
    assert "2023-04-05" in text
