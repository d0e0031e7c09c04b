"""Sessions that get another name or folder, with a daemon and without one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from acontext_fs import doctor, ids
from acontext_fs.commits import parse_commit
from acontext_fs.daemon import names
from acontext_fs.layout import SessionPlace
from tests import learned_store
from tests.daemon.harness import Daemon, agent, of_a_person, user

WITHOUT_FILTER = ["-c", "filter.acontext-fs.process=", "-c", "filter.acontext-fs.required=false"]
ASK = user("I always prefer tabs. Please rename foo to bar in src/a.py.")
DONE = agent("Done, I renamed foo to bar; all tests pass.")
NEXT = user("Thanks, that works. Now please add the module two.")
SPACE = "spaces/default"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    yield from of_a_person(tmp_path / "store")


def git(daemon: Daemon, *arguments: str) -> str:
    return daemon.git(*WITHOUT_FILTER, *arguments)


def begun(daemon: Daemon) -> None:
    """A session of which three lines were learned from, and four more read."""
    daemon.write(ASK, DONE, NEXT, session="a")
    assert daemon.flush() == []
    daemon.write(*(agent(f"line {number}") for number in range(4, 8)), session="a")
    daemon.turn()
    assert daemon.session("a").pending_lines == 4


def move(daemon: Daemon, stem: str, how: str = "mv") -> None:
    """What a person does to the file of session a."""
    old, new = daemon.path("a"), daemon.path(stem)
    new.parent.mkdir(parents=True, exist_ok=True)
    if how == "mv":
        old.rename(new)
    else:
        git(daemon, "mv", str(old), str(new))
    if how == "commit":
        git(daemon, "commit", "-qm", "Move a")


def said(daemon: Daemon, kind: str) -> list[str]:
    return [event.text for event in daemon.events if event.kind == kind]


def tracked(daemon: Daemon) -> list[str]:
    folders = [f"{SPACE}/{name}" for name in ("sessions", "tasks", "progress")]
    paths = git(daemon, "ls-files", *folders).split("\n")[:-1]
    return [path.removeprefix(f"{SPACE}/") for path in paths]


def lines_in_batches(daemon: Daemon) -> list[str]:
    """The lines of the commits of batches, and that no batch is there twice."""
    text = git(
        daemon,
        "log",
        "--reverse",
        "--format=%(trailers:key=Acontext-Batch,valueonly,separator=)"
        " %(trailers:key=Acontext-Lines,valueonly,separator=)",
    )
    found = [one.split(" ") for one in text.split("\n") if one.strip() and one[0] != " "]
    assert len({batch for batch, _ in found}) == len(found)
    return [lines for _, lines in found]


def check(daemon: Daemon, stem: str, lines: int) -> None:
    """The session is called so, all of it is read, and once; nothing is left of the old name."""
    daemon.settle(15)
    session = daemon.session(stem)
    assert session.lost == session.held == session.archive_held == ""
    assert session.progress.cursor.line == session.progress.messages == lines
    assert daemon.path(stem).read_bytes().count(b"\n") == lines
    assert lines_in_batches(daemon) == ["1-3", f"4-{lines}"]
    assert tracked(daemon) == [
        f"progress/{stem}.json",
        f"sessions/{stem}.jsonl",
        f"tasks/{stem}.jsonl",
    ]
    assert daemon.kinds().count("skills") == 1
    assert said(daemon, "lost") == said(daemon, "rescued") == []
    assert len(said(daemon, "moved")) == 1
    assert [task.order for task in daemon.tasks(Path(stem).name)] == [1, 2]
    daemon.check_clean()
    daemon.service.end()
    assert list(doctor.examine(daemon.store)) == []


@pytest.mark.parametrize(
    ("stem", "how", "is_running"),
    [
        ("b", "mv", True),
        ("b", "mv", False),
        ("b", "commit", True),
        ("2026/05/01/a", "mv", True),
        ("2026/05/01/a", "commit", False),
        ("2026/05/01/b", "mv", False),
    ],
)
def test_a_session_that_is_moved_goes_on(
    daemon: Daemon, stem: str, how: str, is_running: bool
) -> None:
    begun(daemon)
    before = [task.id for task in daemon.tasks("a")]
    with open(daemon.path("a"), "ab") as writer:
        if not is_running:
            daemon.service.end()
        move(daemon, stem, how)
        if not is_running:
            daemon.start()
        writer.write(b'{"role":"assistant","content":"line 8"}\n')
        writer.flush()
        daemon.turn()
        writer.write(b'{"role":"assistant","content":"line 9"}\n')
    daemon.write(agent("line 10"), session=stem)
    check(daemon, stem, 10)
    after = [task.id for task in daemon.tasks(Path(stem).name)]
    known = names.new_ids(SessionPlace("default", "a"), SessionPlace("default", stem), 2)
    assert after == [known.get(one, one) for one in before]
    made = git(daemon, "log", "-1", "--format=%B", "--grep=^Move default/a to")
    assert ("Acontext-Was: default/a" in made) == (not stem.endswith("a"))


def test_a_move_that_is_staged_is_left_to_the_person(daemon: Daemon) -> None:
    begun(daemon)
    move(daemon, "b", "stage")
    daemon.settle(20)
    assert "sessions/a.jsonl -> " in git(daemon, "status", "--porcelain")
    assert daemon.session("b").progress.cursor.line == 7
    git(daemon, "commit", "-qam", "Move a")
    daemon.settle(40)
    check(daemon, "b", 7)


def test_a_session_nothing_of_which_was_extracted_is_moved_without_a_word(daemon: Daemon) -> None:
    daemon.write(ASK, DONE, session="a")
    daemon.turn()
    move(daemon, "b")
    daemon.settle(15)
    assert tracked(daemon) == ["progress/b.json", "sessions/b.jsonl", "tasks/b.jsonl"]
    assert said(daemon, "lost") == []
    assert len(daemon.tasks("b")) == 1
    daemon.check_clean()


def test_a_name_that_is_free_again_is_a_new_session(daemon: Daemon) -> None:
    begun(daemon)
    move(daemon, "old")
    daemon.write(ASK, DONE, NEXT, session="a")
    daemon.settle(15)
    for name, lines in (("old", 7), ("a", 3)):
        assert daemon.session(name).lost == ""
        assert daemon.session(name).progress.cursor.line == lines
        assert {task.session_id for task in daemon.tasks(name)} == {name}
    several = [task.id for name in ("a", "old") for task in daemon.tasks(name)]
    assert len(set(several)) == len(several) == 4
    assert said(daemon, "lost") == []
    daemon.check_clean()


def test_two_files_of_one_name_are_told_and_the_one_that_was_read_goes_on(daemon: Daemon) -> None:
    begun(daemon)
    move(daemon, "moved/a")
    daemon.settle(15)
    daemon.write(agent("line 1 of another"), session="a")
    for _ in range(2):
        daemon.settle(15)
        assert daemon.session("moved/a").progress.cursor.line == 7
        assert "has the session id of" in daemon.session("a").lost
        assert daemon.session("a").is_duplicate
        daemon.start()  # Which begins with the other.
    assert len(said(daemon, "lost")) == 3  # Once by each daemon.


def test_a_copy_is_another_session(daemon: Daemon) -> None:
    begun(daemon)
    shutil.copy(daemon.path("a"), daemon.path("b"))
    daemon.settle(15)
    assert daemon.session("a").progress.cursor.line == daemon.session("b").progress.cursor.line == 7
    assert said(daemon, "moved") == []
    assert daemon.kinds().count("skills") == 1  # What it says is known already.
    daemon.check_clean()


def test_what_lacks_a_line_that_was_read_is_another_session(daemon: Daemon) -> None:
    begun(daemon)
    data = daemon.path("a").read_bytes()
    daemon.path("a").unlink()
    daemon.path("b").write_bytes(data[: data.rfind(b"\n", 0, -1) + 1].replace(b"tabs", b"TABS"))
    daemon.settle(15)
    assert "is gone" in daemon.session("a").lost
    assert daemon.session("b").progress.cursor.line == 6
    assert said(daemon, "moved") == []
    assert daemon.in_git("a") == data


def test_one_that_begins_like_a_file_that_is_away_for_a_moment_is_another(daemon: Daemon) -> None:
    """As when a program writes a file anew, and one that was forked from it is there already."""
    begun(daemon)
    data = daemon.path("a").read_bytes()
    daemon.path("a").unlink()
    daemon.path("fork").write_bytes(data + orjson.dumps(NEXT) + b"\n")
    daemon.settle(1)
    daemon.path("a").write_bytes(data)
    daemon.settle(15)
    assert said(daemon, "moved") == []
    assert lines_in_batches(daemon).count("1-3") == 1
    assert daemon.session("a").progress.cursor.line == 7
    assert daemon.session("fork").progress.cursor.line == 8
    daemon.check_clean()


def test_a_copy_with_the_number_of_a_file_that_was_replaced_is_another(daemon: Daemon) -> None:
    begun(daemon)
    old, copy = daemon.path("a"), daemon.path("copy")
    data = old.read_bytes()
    old.rename(copy)  # The system may give a number again; here it is the very file.
    old.write_bytes(data)
    daemon.settle(15)
    assert said(daemon, "moved") == []
    assert daemon.session("a").progress.cursor.line == 7
    assert daemon.session("copy").progress.cursor.line == 7
    assert [task.session_id for task in daemon.tasks("a")] == ["a", "a"]


def test_a_few_words_do_not_make_a_session_another(daemon: Daemon) -> None:
    daemon.write(user("continue"), session="a")
    daemon.settle(15)
    daemon.path("a").unlink()
    git(daemon, "add", "-A")
    git(daemon, "commit", "-qm", "Remove what was a mistake")
    daemon.settle(15)
    daemon.write(user("continue"), agent("The parser is done."), session="z")
    daemon.settle(15)
    assert said(daemon, "moved") == []
    assert daemon.session("z").progress.cursor.line == 2
    daemon.check_clean()


def test_damaged_progress_of_a_session_without_a_file_is_in_nobodys_way(daemon: Daemon) -> None:
    path = daemon.root / SPACE / "progress" / "old.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"<<<<<<< HEAD\n{}\n")
    begun(daemon)
    move(daemon, "b")
    daemon.settle(15)
    assert len(said(daemon, "moved")) == 1
    assert daemon.session("b").progress.cursor.line == 7


def test_a_session_with_secrets_is_moved_as_it_is(daemon: Daemon) -> None:
    token = "ghp" + "_" + "R4nd0mLyCh0s3nLettersAndDigitsF0rTh1sT"[:36]
    daemon.write(ASK, DONE, user(f"Use {token} and add the module two."), session="a")
    assert daemon.flush() == []
    daemon.write(agent("line 4"), session="a")
    daemon.turn()
    daemon.service.end()
    move(daemon, "b")
    daemon.start()
    daemon.settle(15)
    assert lines_in_batches(daemon) == ["1-3", "4"]
    assert token.encode() in daemon.path("b").read_bytes()
    assert token.encode() not in daemon.in_git("b")


def test_a_move_waits_for_a_merge_and_for_what_a_person_edits(daemon: Daemon) -> None:
    begun(daemon)
    mark = daemon.root / ".git/MERGE_HEAD"
    mark.write_text(git(daemon, "rev-parse", "HEAD"))
    move(daemon, "b")
    daemon.settle(10)
    assert "tasks/a.jsonl" in tracked(daemon)
    assert daemon.session("b").pending_lines == daemon.session("b").progress.cursor.line == 0
    mark.unlink()
    notes = daemon.root / SPACE / "tasks/a.jsonl"
    committed = notes.read_bytes()
    notes.write_bytes(committed.replace(b"src/a.py", b"src/c.py"))
    daemon.settle(40)
    assert "tasks/a.jsonl has changes that are not committed" in daemon.session("b").held
    notes.write_bytes(committed)
    daemon.settle(60)
    assert lines_in_batches(daemon) == ["1-3", "4-7"]
    assert "tasks/a.jsonl" not in tracked(daemon)
    daemon.check_clean()


def test_a_move_that_was_cut_off_is_finished(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(daemon)
    history = daemon.service.pipeline.committer.history

    def cut_off(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(history, "_apply", cut_off)
    move(daemon, "b")
    daemon.turn()
    assert "Move default/a to b" in git(daemon, "log", "-1", "--format=%s")
    daemon.start()
    daemon.settle(15)
    assert lines_in_batches(daemon) == ["1-3", "4-7"]
    assert tracked(daemon) == ["progress/b.json", "sessions/b.jsonl", "tasks/b.jsonl"]
    daemon.check_clean()


def test_a_learning_of_before_can_be_taken_back(daemon: Daemon) -> None:
    daemon.write(ASK, agent("Done.", tool_calls=[]), session="a")
    assert daemon.flush() == []
    (learning,) = git(daemon, "log", "--format=%H", "--grep=^Acontext-Kind: skills").split()
    assert daemon.session("a").progress.preferences_done
    move(daemon, "b")
    daemon.settle(20)
    git(daemon, "revert", "--no-edit", learning)
    daemon.settle(20)
    assert len(said(daemon, "rejected")) == 1
    done = daemon.session("b").progress
    daemon.start()
    daemon.settle(20)
    assert daemon.kinds().count("skills") == 1
    assert daemon.session("b").progress == done
    daemon.check_clean()


def test_a_learning_of_before_can_be_taken_back_when_the_move_was(daemon: Daemon) -> None:
    begun(daemon)
    learning = git(daemon, "log", "--format=%H", "--grep=^Note that", "-1").strip()
    move(daemon, "b")
    daemon.settle(15)
    git(
        daemon,
        "revert",
        "--no-edit",
        git(daemon, "log", "--format=%H", "--grep=^Move", "-1").strip(),
    )
    daemon.settle(15)
    git(daemon, "revert", "--no-edit", learning)
    daemon.settle(15)
    assert len(said(daemon, "rejected")) == 1
    pages = (daemon.root / SPACE / "skills").rglob("*.md")
    assert not any("prefers tabs" in page.read_text() for page in pages)
    daemon.check_clean()


def test_undo_and_learning_again_find_a_session_under_its_new_name(tmp_path: Path) -> None:
    daemon = Daemon(learned_store.copy_to(tmp_path / "store"))
    learning = learned_store.learnings(daemon.root)[0]
    daemon.path("s").rename(daemon.path("b"))
    daemon.settle(15)
    reply = daemon.service.pipeline.undo(learning)
    assert reply.problems == ()
    task = daemon.tasks("b")[0]
    assert task.learning is not None
    assert task.learning.status == "rejected"
    reply = daemon.service.pipeline.want_again(f"{SPACE}/sessions/b.jsonl", task.id)
    assert reply.problems == ()
    daemon.settle(15)
    for _ in range(2):
        task = daemon.tasks("b")[0]
        assert task.learning is not None
        assert task.learning.status == "learned"
        daemon.start()  # It looks back at the undoing, and at what came of it.
        daemon.settle(15)
    daemon.check_clean()
    daemon.service.pipeline.roster.close()


# -- names ----------------------------------------------------------------------------------------


def commit(trailers: dict[str, str], author: str = "acontext-fs") -> Any:
    text = "\n".join(f"{name}: {value}" for name, value in trailers.items())
    return parse_commit("1" * 40, f"Subject\n\n{text}\n", author, 0)


def test_a_learning_is_known_by_the_new_names_of_its_session_and_tasks() -> None:
    trailers = {"Acontext-Session": "default/a", "Acontext-Task": ids.task_id("default", "a", 2)}
    learning = commit({**trailers, "Acontext-Kind": "skills"})
    move_to_b = {"Acontext-Session": "default/b", "Acontext-Was": "default/a"}
    now = names.renamed(learning, commit(move_to_b))
    assert now.trailer("Acontext-Session") == "default/b"
    assert now.trailers["Acontext-Task"] == (ids.task_id("default", "b", 2),)
    back = {"Acontext-Session": "default/a", "Acontext-Was": "default/b"}
    assert names.renamed(now, commit(back)) == learning
    assert names.renamed(learning, commit(back)) == learning
    assert names.renamed(learning, commit(move_to_b, "somebody")) == learning


# -- an alarm that nobody needs -------------------------------------------------------------------


def test_a_file_that_is_gone_for_a_moment_is_not_told(daemon: Daemon) -> None:
    begun(daemon)
    away = daemon.path("a").with_suffix(".away")
    os.rename(daemon.path("a"), away)
    daemon.turn()
    assert daemon.session("a").lost
    assert daemon.in_git("a") == away.read_bytes()  # Saved at once.
    daemon.clock.advance(1.0)
    os.rename(away, daemon.path("a"))
    daemon.settle(15)
    assert said(daemon, "lost") == said(daemon, "found") == []
    assert lines_in_batches(daemon) == ["1-3", "4-7"]


def test_a_file_that_stays_away_is_told_within_seconds_and_once(daemon: Daemon) -> None:
    begun(daemon)
    away = daemon.path("a").with_suffix(".away")
    os.rename(daemon.path("a"), away)
    daemon.turn()
    assert said(daemon, "lost") == []
    rest = daemon.service.turn()
    assert 0 < rest <= 3.0
    daemon.clock.advance(3.0)
    daemon.service.turn()
    (text,) = said(daemon, "lost")
    assert "sessions/a.jsonl is gone" in text
    daemon.settle(15)
    os.rename(away, daemon.path("a"))
    daemon.settle(15)
    assert said(daemon, "lost") == [text]
    assert len(said(daemon, "found")) == 1


def test_what_is_lost_at_a_stop_is_told(daemon: Daemon) -> None:
    begun(daemon)
    daemon.path("a").unlink()
    daemon.turn()
    daemon.service.end()
    assert len(said(daemon, "lost")) == 1


# -- what git says of a session -------------------------------------------------------------------


def test_a_file_that_grew_while_git_added_it_is_not_called_changed(daemon: Daemon) -> None:
    begun(daemon)
    real = daemon.git("config", "filter.acontext-fs.process").strip()
    late = daemon.root.parent / "late"
    text = b'{"role":"assistant","content":"line 8"}'
    late.write_text(f"echo '{text.decode()}' >> {daemon.path('a')}\nexec {real}\n")
    daemon.git("-c", f"filter.acontext-fs.process=sh {late}", "commit", "-qam", "Mine")
    assert daemon.in_git("a") == daemon.path("a").read_bytes()
    assert "sessions/a.jsonl" in daemon.git("status", "--porcelain")  # Though nothing differs.
    daemon.settle(20)
    daemon.check_clean()
