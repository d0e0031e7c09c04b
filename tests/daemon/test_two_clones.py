"""Two clones of one store that learn on the same day, and pull and push in turn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from acontext_fs import doctor, ids, rescued, setup, skill_merge
from acontext_fs.daemon.distill.model import ModelDistiller
from acontext_fs.daemon.extract.model import ModelExtractor
from acontext_fs.daemon.learn.model import ModelLearner
from acontext_fs.daemon.work import Inline, Workers
from acontext_fs.models.openai import OpenAIModel
from tests.conftest import run_git
from tests.daemon.harness import Daemon, agent, rules_workers, user
from tests.learned_store import learnings, work
from tests.model_server import ModelServer, sensible

SKILLS = Path("spaces/default/skills")
LOGS = SKILLS / "daily-logs" / "SKILL.md"
THINGS = "parser scheduler installer mailer spooler indexer printer compiler".split()
ME = ("-c", "user.name=p", "-c", "user.email=p@example.invalid")
HOW = (["--no-rebase", "--no-edit"], ["--rebase"])


@dataclass
class Clone:
    """A clone with a daemon; `things` are what its sessions were about."""

    daemon: Daemon
    things: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def root(self) -> Path:
        return self.daemon.root

    def learn(self, thing: str) -> None:
        """From a session of its own."""
        name = f"{self.root.name}-{next(self.numbers)}"
        self.daemon.write(*work(thing), user("Thanks, that works."), agent("Fine."), session=name)
        assert self.daemon.flush() == []
        assert [one.learning.status for one in self.daemon.tasks(name)] == ["learned"]
        self.things.append(thing)

    def edit(self, path: Path, before: str, after: str) -> None:
        """By hand, and committed."""
        text = (self.root / path).read_text()
        assert before in text
        (self.root / path).write_text(text.replace(before, after, 1))
        self.daemon.git("commit", "-qam", "By hand")

    def pull(self, how: list[str]) -> None:
        self.daemon.git("pull", "-q", *how)
        assert self.daemon.git("status", "--porcelain") == ""

    def push(self) -> None:
        self.daemon.git("push", "-q")

    def skills(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.root.glob(f"{SKILLS}/**/*.md")))

    def check_settled(self) -> None:
        """Nothing is done again, and nothing is wrong."""
        head = self.daemon.git("rev-parse", "HEAD")
        for daemon in (self.daemon, Daemon(self.root, self.daemon.workers)):
            daemon.settle(30)
            assert daemon.flush() == []
        assert self.daemon.git("rev-parse", "HEAD") == head
        assert list(doctor.examine(self.daemon.store)) == []
        self.daemon.check_clean()


class Team:
    """A bare repository and two clones of it."""

    def __init__(self, folder: Path, workers: Workers) -> None:
        run_git(folder, "init", "-q", "--bare", "-b", "main", "hub.git")
        first = Daemon(folder / "ann", workers)
        first.git("remote", "add", "origin", str(folder / "hub.git"))
        first.git("push", "-qu", "origin", "main")
        run_git(folder, "clone", "-q", str(folder / "hub.git"), "bob")
        setup.init(folder / "bob")
        self.both = (Clone(first), Clone(Daemon(folder / "bob", workers)))
        for clone in self.both:
            # Nothing here is secret, and git would start it for every command.
            clone.daemon.git("config", "--remove-section", "filter.acontext-fs")

    def exchange(self, number: int) -> None:
        """One pulls what the other pushed, by merge or rebase, and the other what came of it."""
        one, other = self.both if number % 2 else self.both[::-1]
        one.push()
        other.pull(HOW[number % 2])
        other.push()
        one.pull(["--ff-only"])

    def check_same(self) -> None:
        trees = {clone.daemon.git("rev-parse", "HEAD^{tree}") for clone in self.both}
        assert len(trees) == 1


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path, rules_workers())


def test_what_both_learn_by_rules_and_edit_by_hand_is_there_once(team: Team) -> None:
    ann = team.both[0]
    # Each has its own line to change, one below the other, and both add at one place.
    ann.edit(LOGS, "## Rules\n\n", "## Rules\n\n- ann says\n- bob says\n")
    team.exchange(1)
    for number in range(3):
        for clone, thing in zip(team.both, THINGS[2 * number :], strict=False):
            clone.learn(thing)
            name = clone.root.name
            clone.edit(LOGS, f"- {name} says", f"- {name} says {number}")
            clone.edit(LOGS, "## Rules\n\n", f"## Rules\n\n- {name} noted {number}\n")
        team.exchange(number)
        team.check_same()
    text = ann.skills()
    for thing in THINGS[:6]:
        assert text.count(f"\n## Fix the build of the {thing}\n") == 1
        assert text.count(f"The agent ran `make {thing}`.") == 1
    for name in ("ann", "bob"):
        assert text.count(f"- {name} says 2 1 0\n") == 1
        assert [text.count(f"- {name} noted {number}\n") for number in range(3)] == [1] * 3
    for clone in team.both:
        clone.check_settled()
    team.check_same()


def test_what_both_learn_from_a_model_is_there_once(tmp_path: Path) -> None:
    with ModelServer(script=sensible) as server, OpenAIModel(server.url, None, "tiny", 30) as model:
        agents = ModelExtractor(model), ModelDistiller(model), ModelLearner(model)
        team = Team(tmp_path, Workers(*agents, Inline(), 1, True))
        for number in range(2):
            for clone, thing in zip(team.both, THINGS[2 * number :], strict=False):
                clone.learn(thing)
            team.exchange(number)
            team.check_same()
        asked = len(server.requests)
        text = team.both[0].skills()
        for thing in THINGS[:4]:
            assert text.count(f": Please fix the build of the {thing}.\n") == 1
        assert len(re.findall("^# 2026-01-01$", text, re.MULTILINE)) == 1
        for clone in team.both:
            clone.check_settled()
        assert len(server.requests) == asked


def test_what_both_learned_alike_is_there_once_and_the_tasks_of_both_are_done(team: Team) -> None:
    ann, bob = team.both
    for clone in team.both:
        clone.learn("parser")
        clone.learn("scheduler" if clone is ann else "installer")
    team.exchange(1)
    team.check_same()
    text = ann.skills()
    for thing in THINGS[:3]:
        assert text.count(f"\n## Fix the build of the {thing}\n") == 1
    assert text.count(": Fix the build of the parser\n") == 1
    for name in ("ann-0", "ann-1", "bob-0", "bob-1"):
        assert [one.learning.status for one in bob.daemon.tasks(name)] == ["learned"]
    ann.check_settled()


@pytest.mark.parametrize(("number", "how"), [(0, "undo"), (1, "undo"), (0, "revert")])
def test_what_the_other_clone_learned_is_taken_back_for_both(
    team: Team, number: int, how: str
) -> None:
    ann, bob = team.both
    ann.learn("installer")
    team.exchange(1)
    for clone, thing in zip(team.both, THINGS, strict=False):
        clone.learn(thing)
    team.exchange(number)
    ann.learn("mailer")
    before = ann.skills()
    said = run_git(ann.root, "log", "--format=%H", "--grep=^Acontext-Session: default/bob-0$")
    (learning,) = set(said.split()) & set(learnings(ann.root))
    if how == "undo":
        ann.daemon.turn()
        assert ann.daemon.service.pipeline.undo(learning).commit
    else:
        ann.daemon.git("revert", "--no-edit", learning)
    ann.daemon.settle(30)
    assert [one.learning.status for one in ann.daemon.tasks("bob-0")] == ["rejected"]
    left = ann.skills()
    assert "scheduler" in before
    assert "scheduler" not in left
    assert left.count("\n## Fix the build of the parser\n") == 1
    assert left.count("\n## Fix the build of the mailer\n") == 1
    ann.push()
    bob.pull(["--ff-only"])
    bob.check_settled()
    assert [one.learning.status for one in bob.daemon.tasks("bob-0")] == ["rejected"]
    team.check_same()


def test_a_clone_that_was_not_made_usable_is_told_how(team: Team) -> None:
    clone = team.both[1]
    clone.daemon.git("config", "--remove-section", f"merge.{skill_merge.NAME}")
    found = [one for one in doctor.examine(clone.daemon.store) if skill_merge.NAME in one.text]
    assert [one.remedy for one in found] == [
        "run `acontext-fs init` in the store; it completes what is missing"
    ]
    setup.init(clone.root)
    assert list(doctor.examine(clone.daemon.store)) == []


def test_what_both_read_of_one_session_is_there_once(team: Team) -> None:
    """As where a transcript is copied to both machines: both commit the same batch."""
    lines = (*work("parser"), user("Thanks, that works."), agent("Fine."))
    team.both[1].daemon.clock.advance(60)
    for clone in team.both:
        clone.daemon.write(*lines, session="s")
        assert clone.daemon.flush() == []
    team.exchange(0)
    team.check_same()
    for clone in team.both:
        assert [one.learning.status for one in clone.daemon.tasks("s")] == ["learned"]
        assert clone.skills().count("\n## Fix the build of the parser\n") == 1
        batches = clone.daemon.git("log", "--format=%(trailers:key=Acontext-Batch,valueonly)")
        assert len(batches.split()) == 2 * len(set(batches.split()))
        clone.check_settled()


@pytest.mark.parametrize("name", ["ann-9", "quite-another-name"])
@pytest.mark.parametrize("puller", [0, 1])
def test_one_renames_a_session_with_which_the_other_goes_on(
    team: Team, name: str, puller: int
) -> None:
    """Where git does not see that the tasks were, too, it says so, and nothing is lost."""
    ann, bob = team.both
    ann.learn("parser")
    team.exchange(1)
    ann.daemon.write(*work("mailer"), user("Thanks, that works."), agent("Fine."), session="ann-0")
    assert ann.daemon.flush() == []
    bob.daemon.settle(5)
    bob.daemon.path("ann-0").rename(bob.daemon.path(name))
    bob.daemon.settle(5)
    assert [one.session_id for one in bob.daemon.tasks(name)] == [name]
    one, other = team.both[puller], team.both[1 - puller]
    other.push()
    one.daemon.git("fetch", "-q")
    said = run_git(one.root, *ME, "merge", "--no-edit", "origin/main", check=False)
    one.daemon.start()
    if one.daemon.git("status", "--porcelain"):
        assert "CONFLICT (modify/delete): spaces/default/tasks/ann-0.jsonl" in said
        assert said.count("CONFLICT") == 1
        one.daemon.git("rm", "-q", "spaces/default/tasks/ann-0.jsonl")
        one.daemon.git("commit", "-qm", "Merge")
    one.daemon.settle(60)
    assert one.daemon.flush() == []
    found = one.daemon.tasks(name)
    assert [(task.order, task.session_id) for task in found] == [(1, name), (2, name)]
    assert [task.id for task in found] == [ids.task_id("default", name, at) for at in (1, 2)]
    text = one.skills()
    assert text.count("\n## Fix the build of the parser\n") == 1
    assert text.count("\n## Fix the build of the mailer\n") == 1
    one.check_settled()


@pytest.mark.parametrize("name", ["quite-another-name", "2026/05/01/ann-0"])
def test_a_rename_that_is_pulled_is_followed_and_nothing_is_rescued(team: Team, name: str) -> None:
    ann, bob = team.both
    ann.learn("parser")
    team.exchange(1)
    bob.daemon.settle(5)
    ann.daemon.path(name).parent.mkdir(parents=True, exist_ok=True)
    ann.daemon.path("ann-0").rename(ann.daemon.path(name))
    ann.daemon.settle(5)
    ann.push()
    bob.pull(["--ff-only"])
    bob.daemon.settle(15)
    assert {event.kind for event in bob.daemon.events}.isdisjoint({"rescued", "lost"})
    assert rescued.refs(bob.root) == []
    assert bob.daemon.session(name).progress.cursor.line == 8
    bob.check_settled()
