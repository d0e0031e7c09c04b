"""A clone that was made, or pulled, while a session was read on another machine: its progress is
there, and the last lines of its transcript are not.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acontext_fs import doctor, setup, status
from acontext_fs.errors import SessionError
from acontext_fs.store import Store
from tests.conftest import run_git
from tests.daemon.harness import Daemon, agent, rules_workers, user
from tests.learned_store import learnings, work

BEHIND = "git has 8 lines so far, and 40 were read on another machine; the rest comes with a later"
PATH = "spaces/default/sessions/s.jsonl"

READ = re.compile(r"^Acontext-Session: default/s\n(?:.+\n)*?Acontext-Lines: (.+)$", re.MULTILINE)


def lines(first: int, last: int) -> list[dict[str, object]]:
    """Messages by their numbers, of which none is a task by itself."""
    return [agent(f"said {number}") for number in range(first, last + 1)]


class Pair:
    """A machine that reads the session `s`, and a clone, by way of a bare repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        run_git(folder, "init", "-q", "--bare", "-b", "main", "hub.git")
        self.one = Daemon(folder / "one", rules_workers())
        self.one.git("remote", "add", "origin", str(folder / "hub.git"))
        self._quicken(self.one)

    def _quicken(self, daemon: Daemon) -> None:
        # Nothing here is secret, and git would start it for every command.
        daemon.git("config", "--remove-section", "filter.acontext-fs")

    def get_ahead(self) -> None:
        """Read more of the session than git gets of its transcript."""
        self.one.write(user("Hello" + "!" * 9000), *lines(2, 8))
        assert self.one.flush() == []
        more = [*work("parser"), user("Thanks, that works.")]
        self.one.write(*more, *lines(9 + len(more), 40))
        for _ in range(3):
            self.one.turn()
        assert self.one.session().progress.cursor.line == 40
        assert self.one.in_git().count(b"\n") == 8
        self.one.git("push", "-qu", "origin", "main")

    def clone(self) -> Daemon:
        run_git(self.folder, "clone", "-q", str(self.folder / "hub.git"), "two")
        setup.init(self.folder / "two")
        daemon = Daemon(self.folder / "two", rules_workers())
        self._quicken(daemon)
        return daemon


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    found = Pair(tmp_path)
    found.get_ahead()
    return found


def statuses(daemon: Daemon) -> list[tuple[str, str]]:
    return [(one.state, one.reason) for one in status.of_store(daemon.store).sessions]


def findings(daemon: Daemon) -> list[tuple[str, str]]:
    found = doctor.examine(daemon.store)
    return [(one.kind, one.remedy) for one in found if one.kind != "filter"]


def told(daemon: Daemon, kind: str) -> list[str]:
    return [event.text for event in daemon.events if event.kind == kind]


def test_a_clone_waits_for_the_rest_without_alarm(pair: Pair) -> None:
    two = pair.clone()
    ((state, reason),) = statuses(two)
    assert (state, reason) == ("behind", f"{BEHIND} pull")
    two.settle(30)
    assert two.flush() == []
    assert statuses(two) == [("behind", f"{BEHIND} pull")]
    assert findings(two) == []
    assert told(two, "behind") == [f"{BEHIND} pull"]
    assert not told(two, "lost")
    assert two.git("rev-parse", "HEAD") == pair.one.git("rev-parse", "HEAD")
    two.check_clean()


def test_what_a_clone_has_of_it_is_answered(pair: Pair) -> None:
    two = pair.clone()
    session = two.store.space("default").session("s")
    assert len(session.messages()) == 8
    assert [task.description for task in two.tasks()] == [
        task.description for task in pair.one.tasks()
    ]
    with two.store.index() as index:
        assert index.query("select count(*) from messages").rows == [(8,)]


def test_nothing_is_appended_to_it_in_a_clone(pair: Pair) -> None:
    two = pair.clone()
    before = two.path().read_bytes()
    with pytest.raises(SessionError, match=re.escape(BEHIND)):
        two.store.space("default").session("s").append(user("More"))
    assert two.path().read_bytes() == before


def read_lines(daemon: Daemon) -> list[int]:
    """The lines that commits say were read of the session, sorted."""
    found = daemon.git("log", "--grep=^Acontext-Batch", "--format=%B")
    ranges = READ.findall(found)
    return sorted(
        line
        for first, _, last in (one.partition("-") for one in ranges)
        for line in range(int(first), int(last or first) + 1)
    )


def end_equal(pair: Pair, two: Daemon) -> None:
    """Nothing is left to do anywhere, and both have the same."""
    for daemon in (pair.one, two):
        daemon.settle(30)
        assert daemon.flush() == []
        assert {state for state, _ in statuses(daemon)} == {"done"}
        assert findings(daemon) == []
        daemon.check_clean()
    trees = {daemon.git("rev-parse", "HEAD^{tree}") for daemon in (pair.one, two)}
    assert len(trees) == 1


@pytest.mark.parametrize("how", ["--ff-only", "--rebase", "--no-rebase"])
def test_the_rest_comes_with_a_pull_and_nothing_is_read_or_learned_again(
    pair: Pair, how: str
) -> None:
    two = pair.clone()
    two.turn()
    if how != "--ff-only":
        two.write(*work("scheduler"), user("Thanks, that works."), agent("Fine."), session="t")
        assert two.flush() == []
    assert pair.one.flush() == []
    pair.one.git("push", "-q")
    two.git("pull", "-q", *(["--no-edit"] if how == "--no-rebase" else []), how)
    two.settle(30)
    assert two.path().read_bytes() == pair.one.path().read_bytes()
    two.git("push", "-q")
    pair.one.git("pull", "-q", "--ff-only")
    end_equal(pair, two)
    assert read_lines(two) == list(range(1, 41))
    subjects = two.git("log", "--format=%s").split("\n")
    assert len([one for one in subjects if one.startswith("Learn")]) == 1 + (how != "--ff-only")


def test_two_clones_go_back_and_forth_while_a_session_goes_on(pair: Pair) -> None:
    two = pair.clone()
    for number, thing in enumerate(("scheduler", "installer")):
        two.write(*work(thing), user("Thanks, that works."), agent("Fine."), session=thing)
        assert two.flush() == []
        assert "behind" in {state for state, _ in statuses(two)}
        two.git("push", "-q")
        first = 41 + 32 * number
        pair.one.git("pull", "-q", "--no-rebase", "--no-edit")
        pair.one.write(*lines(first, first + 31))
        for _ in range(3):
            pair.one.turn()
        assert pair.one.in_git().count(b"\n") < pair.one.session().progress.cursor.line
        pair.one.git("push", "-q")
        two.git("pull", "-q", "--ff-only")
        two.settle(20)
    assert pair.one.flush() == []
    pair.one.git("push", "-q")
    two.git("pull", "-q", "--ff-only")
    end_equal(pair, two)
    assert read_lines(two) == list(range(1, 105))


def test_where_it_was_read_lines_that_git_took_are_an_alarm(pair: Pair) -> None:
    one = pair.one
    one.git("checkout", "--", PATH)  # The daemon was killed, and is not there.
    one.start()
    ((state, reason),) = statuses(one)
    assert state == "held"
    assert "git has 8 lines so far, and 40 were read here; " in reason
    assert "`git stash list`" in reason
    (problem,) = one.flush()
    assert problem == f"default/s: {reason}"
    assert {kind for kind, _ in findings(one)} == {"progress", "tasks", "held"}
    with pytest.raises(SessionError, match="nothing is appended"):
        one.store.space("default").session("s").append(user("More"))


def test_where_git_does_not_tell_who_read_it_both_are_said(pair: Pair) -> None:
    two = pair.clone()
    (two.root / ".git/logs/HEAD").unlink()
    ((state, reason),) = statuses(two)
    assert state == "held"
    assert "where another machine read them, the rest comes with a later pull; else look" in reason


def test_lines_that_are_written_in_the_clone_all_the_same_are_not_lost(pair: Pair) -> None:
    two = pair.clone()
    two.settle(10)
    two.write(agent("mine 1"), agent("mine 2"))
    two.settle(10)
    (said,) = told(two, "lost")
    assert "has lines that git does not have" in said
    assert statuses(two)[0][0] == "held"
    assert two.flush() == [f"default/s: {said}"]
    two.git("commit", "-qam", "By hand")
    two.settle(10)
    assert pair.one.flush() == []
    pair.one.git("push", "-q")
    two.git("pull", "-q", "--no-rebase", "--no-edit")
    two.settle(30)
    two.git("push", "-q")
    pair.one.git("pull", "-q", "--ff-only")
    end_equal(pair, two)
    texts = [message.text for message in two.store.space("default").session("s").messages()]
    assert [texts.count(f"mine {number}") for number in (1, 2)] == [1, 1]
    assert len(texts) == 42


def test_what_the_clone_wrote_and_put_back_is_as_before(pair: Pair) -> None:
    two = pair.clone()
    two.settle(10)
    two.write(agent("mine"))
    two.settle(10)
    two.git("checkout", "--", PATH)
    two.settle(10)
    assert statuses(two) == [("behind", f"{BEHIND} pull")]
    assert two.flush() == []


def test_a_bare_repository_waits_for_a_commit(pair: Pair) -> None:
    hub = Store.open(pair.folder / "hub.git")
    (found,) = status.of_store(hub).sessions
    assert found.state == "behind"
    assert found.reason == BEHIND.replace("on another machine", "by then") + " commit"
    assert [one for one in doctor.examine(hub) if one.kind in ("progress", "tasks")] == []


def test_a_task_of_it_is_not_learned_again_in_the_clone(pair: Pair) -> None:
    two = pair.clone()
    two.turn()
    (task,) = two.tasks()
    reply = two.service.pipeline.want_again(PATH, task.id)
    assert reply.problems == (f"default/s: {BEHIND} pull",)
    assert two.git("rev-parse", "HEAD") == pair.one.git("rev-parse", "HEAD")


def test_commits_of_the_clone_do_not_count_as_reading_it(pair: Pair) -> None:
    pipeline = pair.one.service.pipeline
    pipeline.hurry(pipeline.roster.select(()), learn_only=True)
    for _ in range(5):
        pair.one.turn()
    (learning,) = learnings(pair.one.root)
    assert pair.one.in_git().count(b"\n") == 8
    pair.one.git("push", "-q")
    two = pair.clone()
    two.turn()
    assert two.service.pipeline.undo(learning).problems == ()
    two.settle(10)
    assert "Acontext-Session: default/s\n" in two.git("log", "origin/main..", "--format=%B")
    assert statuses(two) == [("behind", f"{BEHIND} pull")]
