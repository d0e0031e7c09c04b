"""Sessions that are written to while a person uses git on them, and while their files change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acontext_fs import gitlock, rescued
from acontext_fs.daemon import intake
from acontext_fs.layout import SessionPlace
from tests.daemon.harness import Daemon, agent, of_a_person, user

PATH = "spaces/default/sessions/s.jsonl"
WITHOUT_FILTER = ["-c", "filter.acontext-fs.process=", "-c", "filter.acontext-fs.required=false"]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    yield from of_a_person(tmp_path / "store")


def git(daemon: Daemon, *arguments: str) -> str:
    """What a person types. The filter, which takes long to start, has nothing to do here."""
    ticks = gitlock.ticks_since_boot()
    while arguments[0] == "reset" and ticks and gitlock.ticks_since_boot() == ticks:
        time.sleep(0.001)  # In the moment of a commit of ours, git is told to give way.
    return daemon.git(*WITHOUT_FILTER, *arguments)


def line(number: int) -> dict[str, object]:
    """A line that there is only one of."""
    return agent(f"line {number} {'x' * 40}")


def write(daemon: Daemon, first: int, last: int, session: str = "s") -> None:
    daemon.write(*map(line, range(first, last + 1)), session=session)


def numbers(data: bytes) -> list[int]:
    """Which lines there are, in their order."""
    return [int(json.loads(one)["content"].split()[1]) for one in data.split(b"\n")[:-1]]


def on_disk(daemon: Daemon, session: str = "s") -> list[int]:
    return numbers(daemon.path(session).read_bytes())


def texts(daemon: Daemon, kind: str) -> list[str]:
    return [event.text for event in daemon.events if event.kind == kind]


def batches(daemon: Daemon) -> list[str]:
    found = git(daemon, "log", "--format=%(trailers:key=Acontext-Batch,valueonly)").split("\n")
    return [one for one in found if one]


def check(daemon: Daemon, expected: list[int]) -> None:
    """All is read, level and clean; each line is there once, and no batch twice."""
    daemon.settle(20)
    assert on_disk(daemon) == expected
    session = daemon.session()
    assert session.lost == session.held == session.archive_held == ""
    assert session.progress.cursor.line == session.progress.messages == len(expected)
    found = batches(daemon)
    assert len(set(found)) == len(found)
    assert git(daemon, "status", "--porcelain") == ""
    assert numbers(daemon.in_git()) == expected
    git(daemon, "fsck", "--strict")


def archived_then_ahead(daemon: Daemon, first: int = 1) -> None:
    """Lines up to the tenth in git, three more that were read and are not."""
    write(daemon, 1, 10)
    assert daemon.flush() == []
    write(daemon, 11, 13)
    daemon.turn()
    assert daemon.session().pending_lines == 3
    assert numbers(daemon.in_git()) == list(range(first, 11))


TAKING = {
    "stash": ["stash", "-q"],
    "checkout": ["checkout", "-q", "--", "."],
    "reset": ["reset", "-q", "--hard"],
}


@pytest.mark.parametrize("how", TAKING)
def test_lines_that_git_took_out_of_a_file_are_put_back(daemon: Daemon, how: str) -> None:
    archived_then_ahead(daemon)
    git(daemon, *TAKING[how])
    assert on_disk(daemon) == list(range(1, 11))
    daemon.turn()
    assert on_disk(daemon) == list(range(1, 14))
    assert git(daemon, "status", "--porcelain") == ""
    assert texts(daemon, "restored") == [
        "the file was put back without its last 3 lines; they are in it again"
    ]
    assert texts(daemon, "lost") == []
    write(daemon, 14, 15)
    if how == "stash":
        daemon.settle(20)
        git(daemon, "stash", "pop")
        assert git(daemon, "stash", "list") == ""
    check(daemon, list(range(1, 16)))


def test_lines_that_came_before_the_daemon_noticed_stay_where_they_are(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    git(daemon, "stash", "-q")
    write(daemon, 14, 15)
    daemon.turn()
    assert on_disk(daemon) == [*range(1, 11), 14, 15, 11, 12, 13]
    daemon.settle(20)
    git(daemon, "stash", "pop")
    check(daemon, [*range(1, 11), 14, 15, 11, 12, 13])


def test_lines_that_came_in_front_of_extracted_ones_are_read_too(daemon: Daemon) -> None:
    write(daemon, 1, 40)
    assert daemon.flush() == []
    write(daemon, 41, 44)
    daemon.write(user("Please rename foo to bar in src/a.py."))
    write(daemon, 46, 56)
    daemon.turn()  # A batch: its tasks are in git, the transcript is not.
    (task,) = daemon.tasks()
    assert (45, 56) in task.lines
    git(daemon, "stash", "-q")
    write(daemon, 57, 58)
    daemon.settle(20)
    assert daemon.session().lost == ""
    assert daemon.session().progress.cursor.line == daemon.session().progress.messages == 58
    assert daemon.session().progress.failures == ()
    assert daemon.path().read_bytes() == daemon.in_git()
    (task,) = daemon.tasks()
    assert task.lines == ((41, 42), (47, 58))  # What came between was said while it was open.
    git(daemon, "stash", "pop")
    assert git(daemon, "status", "--porcelain") == ""
    found = batches(daemon)
    assert len(set(found)) == len(found)


def test_lines_of_another_clone_in_front_of_ours_are_read_too(
    daemon: Daemon, tmp_path: Path
) -> None:
    write(daemon, 1, 10)
    assert daemon.flush() == []
    clone = tmp_path / "clone"
    git(daemon, "clone", "-q", str(daemon.root), str(clone))
    theirs = clone / PATH
    with open(theirs, "ab") as file:
        file.writelines(json.dumps(line(number)).encode() + b"\n" for number in (21, 22))
    person = ["-C", str(clone), "-c", "user.name=o", "-c", "user.email=o@example.invalid"]
    git(daemon, *person, "commit", "-qam", "theirs")
    write(daemon, 11, 14)
    assert daemon.flush() == []
    # They merge our branch into theirs, and we take what came out of it.
    git(daemon, *person, "pull", "-q", "--no-rebase", "--no-edit", "origin", "main")
    git(daemon, "pull", "-q", "--ff-only", str(clone), "main")
    assert on_disk(daemon) == [*range(1, 11), 21, 22, 11, 12, 13, 14]
    check(daemon, [*range(1, 11), 21, 22, 11, 12, 13, 14])
    assert daemon.session().progress.failures == ()
    write(daemon, 15, 15)
    daemon.start()
    check(daemon, [*range(1, 11), 21, 22, 11, 12, 13, 14, 15])


def test_a_stash_that_was_popped_before_anybody_noticed(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    git(daemon, "stash", "-q")
    git(daemon, "stash", "pop")
    write(daemon, 14, 15)
    check(daemon, list(range(1, 16)))
    assert texts(daemon, "restored") == []


def test_lines_are_put_back_from_memory_when_the_file_was_at_rest(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    daemon.service.pipeline.roster.close()
    git(daemon, *TAKING["checkout"])
    daemon.turn()
    assert on_disk(daemon) == list(range(1, 14))
    check(daemon, list(range(1, 14)))


def test_a_daemon_that_just_started_puts_lines_back_that_another_had_read(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    daemon.service.pipeline.roster.close()
    daemon.start()
    daemon.turn()
    daemon.service.pipeline.roster.close()
    git(daemon, *TAKING["checkout"])
    check(daemon, list(range(1, 14)))


def test_nothing_is_put_back_while_a_rebase_is_under_way(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    git(daemon, "stash", "-q")
    (daemon.root / ".git/rebase-merge").mkdir()
    (daemon.root / ".git/rebase-merge/interactive").touch()
    daemon.settle(5)
    assert on_disk(daemon) == list(range(1, 11))
    (daemon.root / ".git/rebase-merge/interactive").unlink()
    (daemon.root / ".git/rebase-merge").rmdir()
    check(daemon, list(range(1, 14)))


def test_a_file_that_a_person_cut_in_an_editor_stays_as_it_is(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    path = daemon.path()
    path.write_bytes(
        b"".join(path.read_bytes().split(b"\n")[i] + b"\n" for i in range(12) if i != 4)
    )
    other = path.with_name("editor")
    other.write_bytes(path.read_bytes())
    os.replace(other, path)
    daemon.settle(20)
    assert on_disk(daemon) == [1, 2, 3, 4, *range(6, 13)]
    assert numbers(daemon.in_git()) == list(range(1, 14))
    assert "was re" in daemon.session().lost


def test_lines_are_put_back_into_a_file_that_came_back_without_its_secrets(daemon: Daemon) -> None:
    token = "ghp" + "_" + "R4nd0mLyCh0s3nLettersAndDigitsF0rTh1sT"[:36]
    daemon.write(user(f"line 0 {token}"))
    archived_then_ahead(daemon, first=0)
    git(daemon, "stash", "-q")
    daemon.turn()
    assert token.encode() not in daemon.path().read_bytes()
    check(daemon, list(range(14)))


# -- the branch goes back ------------------------------------------------------------------------


def refs(daemon: Daemon) -> list[str]:
    found = git(daemon, "for-each-ref", "--format=%(refname)", "refs/acontext").split("\n")
    return [one for one in found if one]


def shown(daemon: Daemon, ref: str, session: str = "s") -> list[int]:
    text = git(daemon, "show", f"{ref}:spaces/default/sessions/{session}.jsonl")
    return numbers(text.encode())


def test_what_was_read_and_not_archived_survives_a_reset_to_an_older_commit(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    first = git(daemon, "rev-parse", "HEAD").strip()
    write(daemon, 14, 40)
    assert daemon.flush() == []
    write(daemon, 41, 43)
    daemon.turn()
    write(daemon, 44, 44)  # Never read.
    git(daemon, "reset", "-q", "--hard", first)
    daemon.settle(20)
    assert on_disk(daemon) == list(range(1, 11))
    (ref,) = refs(daemon)
    assert ref.startswith("refs/acontext/rescued/s-")
    assert shown(daemon, ref) == list(range(1, 45))
    (said,) = texts(daemon, "rescued")
    assert f"git show {ref}:{PATH}" in said
    write(daemon, 50, 51)
    check(daemon, [*range(1, 11), 50, 51])
    assert refs(daemon) == [ref]


def test_a_branch_without_the_session_lets_what_was_read_survive(daemon: Daemon) -> None:
    git(daemon, "branch", "before")
    archived_then_ahead(daemon)
    git(daemon, "checkout", "-q", "-f", "before")
    daemon.settle(20)
    assert daemon.service.pipeline.roster.all == {}
    (ref,) = refs(daemon)
    assert shown(daemon, ref) == list(range(1, 14))
    assert daemon.git("status", "--porcelain") == ""
    git(daemon, "checkout", "-q", "-")
    check(daemon, list(range(1, 14)))


def test_what_a_person_committed_on_another_branch_is_not_put_back_on_this(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    git(daemon, "checkout", "-q", "-b", "mine")
    git(daemon, "commit", "-qam", "mine")
    daemon.turn()
    git(daemon, "checkout", "-q", "main")
    check(daemon, list(range(1, 11)))
    assert refs(daemon) == []


def test_a_transcript_that_is_behind_its_progress_after_a_reset_is_brought_up(
    daemon: Daemon,
) -> None:
    write(daemon, 1, 40)
    assert daemon.flush() == []
    write(daemon, 41, 56)
    daemon.turn()  # A batch: its tasks are in git, the transcript is not.
    behind = git(daemon, "rev-parse", "HEAD").strip()
    assert numbers(daemon.in_git()) == list(range(1, 41))
    assert daemon.session().progress.cursor.line == 56
    write(daemon, 57, 80)
    assert daemon.flush() == []
    git(daemon, "reset", "-q", "--hard", behind)
    assert on_disk(daemon) == list(range(1, 41))
    check(daemon, list(range(1, 57)))


def test_the_number_of_refs_is_bounded_and_nothing_is_lost_past_it(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescued, "RESCUED_MAX", 2)
    place = SessionPlace("default", "a.b")
    head = git(daemon, "rev-parse", "HEAD").strip()
    for number in range(5):
        daemon.clock.advance(1)
        ref = rescued.save(daemon.root, place, b"%d\n" % number, head, daemon.clock)
        assert ref == rescued.save(daemon.root, place, b"%d\n" % number, head, daemon.clock)
    assert len(refs(daemon)) == 3
    assert rescued.refs(daemon.root) == refs(daemon)
    log = git(daemon, "log", "--all", "--format=%H").split()
    found = {git(daemon, "ls-tree", "-r", commit, place.session_path) for commit in log}
    assert len(found - {""}) == 5
    git(daemon, "fsck", "--strict")


# -- a writer that keeps its file open -----------------------------------------------------------

WRITER = """
import sys
with open(sys.argv[1], "a") as file:
    for line in sys.stdin:
        file.write(line)
        file.flush()
        print("written", flush=True)
"""


class Writer:
    """A program that opens its session file once."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", WRITER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def write(self, first: int, last: int) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for number in range(first, last + 1):
            self._process.stdin.write(json.dumps(line(number)) + "\n")
            self._process.stdin.flush()
            assert self._process.stdout.readline() == "written\n"

    def end(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture
def writer(daemon: Daemon) -> Iterator[Writer]:
    write(daemon, 1, 10)
    assert daemon.flush() == []
    made = Writer(daemon.path())
    yield made
    made.end()


@pytest.mark.parametrize("how", TAKING)
def test_a_writer_that_keeps_its_file_open_is_named_and_loses_nothing(
    daemon: Daemon, writer: Writer, how: str
) -> None:
    writer.write(11, 13)
    daemon.turn()
    writer.write(14, 14)  # Not read yet.
    git(daemon, *TAKING[how])
    writer.write(15, 15)
    daemon.turn()
    assert on_disk(daemon) == list(range(1, 16))
    writer.write(16, 17)
    daemon.settle(20)
    (said,) = texts(daemon, "replaced")
    assert f"process {writer.pid} (python" in said
    assert "restart that process" in said
    assert daemon.service.pipeline.roster.notices() == [said]
    if how == "stash":
        git(daemon, "stash", "pop")
    writer.write(18, 18)
    daemon.write(line(19))
    daemon.turn()
    writer.write(20, 20)
    writer.end()
    daemon.settle(20)
    check(daemon, [*range(1, 18), 19, 18, 20] if how != "stash" else on_disk(daemon))
    assert sorted(on_disk(daemon)) == list(range(1, 21))
    assert daemon.service.pipeline.roster.notices() == []
    assert refs(daemon) == []


def test_a_writer_whose_file_was_at_rest_when_it_was_replaced(
    daemon: Daemon, writer: Writer
) -> None:
    writer.write(11, 13)
    daemon.turn()
    daemon.settle(400)  # Not kept open any more.
    git(daemon, "rm", "-q", "--cached", PATH)
    inode = daemon.path().stat().st_ino
    git(daemon, "reset", "-q", "--hard")
    assert daemon.path().stat().st_ino != inode
    writer.write(14, 15)
    check(daemon, list(range(1, 16)))


def test_a_writer_that_went_on_while_no_daemon_ran(daemon: Daemon, writer: Writer) -> None:
    writer.write(11, 13)
    daemon.settle(20)
    daemon.service.pipeline.roster.close()
    data = daemon.path().read_bytes()
    daemon.path().unlink()
    daemon.path().write_bytes(data)
    writer.write(14, 15)
    daemon.start()
    check(daemon, list(range(1, 16)))
    assert len(daemon.service.pipeline.roster.notices()) == 1


def test_the_lines_of_a_writer_whose_session_is_another_now_are_kept_under_a_ref(
    daemon: Daemon, writer: Writer
) -> None:
    writer.write(11, 13)
    daemon.turn()
    other = daemon.path().with_name("other")
    other.write_bytes(b'{"role":"user","content":"compacted"}\n')
    os.replace(other, daemon.path())
    writer.write(14, 15)
    daemon.settle(30)
    assert daemon.path().read_bytes().count(b"\n") == 1
    assert numbers(daemon.in_git()) == list(range(1, 14))
    (ref,) = refs(daemon)
    assert shown(daemon, ref) == list(range(1, 16))
    writer.write(16, 16)
    daemon.settle(30)
    (ref,) = refs(daemon)
    assert shown(daemon, ref) == list(range(1, 17))


def test_a_writer_goes_on_after_the_branch_went_back(daemon: Daemon, writer: Writer) -> None:
    behind = git(daemon, "rev-parse", "HEAD").strip()
    writer.write(11, 40)
    assert daemon.flush() == []
    writer.write(41, 42)
    daemon.turn()
    git(daemon, "reset", "-q", "--hard", behind)
    daemon.settle(20)
    writer.write(43, 44)
    check(daemon, [*range(1, 11), 43, 44])
    (ref,) = refs(daemon)
    assert shown(daemon, ref) == list(range(1, 43))


# -- the file changes under the daemon -----------------------------------------------------------


def test_a_file_deleted_and_written_again_goes_on_once_it_has_what_was_read(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    daemon.path().unlink()
    daemon.turn()
    assert "is gone" in daemon.session().lost
    assert numbers(daemon.in_git()) == list(range(1, 14))
    write(daemon, 1, 8)
    daemon.settle(20)
    assert on_disk(daemon) == list(range(1, 9))
    assert "shrank to" in daemon.session().lost
    write(daemon, 9, 15)
    check(daemon, list(range(1, 16)))


def test_a_file_that_a_person_removed_and_put_back_is_archived_again(daemon: Daemon) -> None:
    write(daemon, 1, 10)
    daemon.settle(20)
    data = daemon.path().read_bytes()
    daemon.path().unlink()
    daemon.settle(5)
    git(daemon, "commit", "-qam", "Removed by hand")
    daemon.settle(5)
    daemon.path().write_bytes(data)
    check(daemon, list(range(1, 11)))


def test_an_editor_that_replaces_the_file_by_the_same_and_a_line_more(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    other = daemon.path().with_name("editor")
    other.write_bytes(daemon.path().read_bytes())
    os.replace(other, daemon.path())
    write(daemon, 14, 14)
    check(daemon, list(range(1, 15)))
    assert texts(daemon, "restored") == texts(daemon, "lost") == []


def test_a_file_that_is_cut_to_nothing_and_begun_again_waits_for_a_person(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    os.truncate(daemon.path(), 0)
    write(daemon, 100, 101)
    daemon.settle(20)
    assert on_disk(daemon) == [100, 101]
    assert numbers(daemon.in_git()) == list(range(1, 14))
    (said,) = texts(daemon, "lost")
    assert f"git show HEAD:{PATH}" in said
    assert "move the new lines to a file of their own" in said
    os.replace(daemon.path(), daemon.path("new"))
    git(daemon, "checkout", "-q", "--", PATH)
    check(daemon, list(range(1, 14)))
    assert on_disk(daemon, "new") == [100, 101]
    assert numbers(daemon.in_git("new")) == [100, 101]


def test_what_a_person_commits_in_the_place_of_what_was_read_is_theirs(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    daemon.path().write_bytes(json.dumps(line(100)).encode() + b"\n")
    git(daemon, "commit", "-qam", "begin again")
    daemon.settle(20)
    assert on_disk(daemon) == numbers(daemon.in_git()) == [100]
    (ref,) = refs(daemon)
    assert shown(daemon, ref) == list(range(1, 14))


def test_a_file_moved_away_and_begun_anew_loses_nothing(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    os.replace(daemon.path(), daemon.path("before"))
    write(daemon, 100, 101)
    daemon.settle(20)
    assert on_disk(daemon, "before") == numbers(daemon.in_git("before")) == list(range(1, 14))
    assert on_disk(daemon) == numbers(daemon.in_git()) == [100, 101]
    assert daemon.session("before").progress.cursor.line == 13
    assert daemon.session().progress.cursor.line == 2
    assert texts(daemon, "lost") == []


# -- what only memory holds ----------------------------------------------------------------------


def rewrite(daemon: Daemon, *wanted: int) -> None:
    """Other lines into the same file, as an editor that saves in place does."""
    data = b"".join(json.dumps(line(number)).encode() + b"\n" for number in wanted)
    daemon.path().write_bytes(data)


def kept(daemon: Daemon) -> list[list[int]]:
    """What the refs hold, each of them."""
    return sorted(shown(daemon, ref) for ref in refs(daemon))


def load_again(daemon: Daemon) -> None:
    """The progress file is another, with the same in it."""
    roster, place = daemon.service.pipeline.roster, daemon.session().place
    path = daemon.root / place.progress_path
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))
    roster.note(place.progress_path)


def test_two_versions_that_were_read_while_nothing_could_be_saved_are_both_kept(
    daemon: Daemon,
) -> None:
    archived_then_ahead(daemon)
    pipeline = daemon.service.pipeline
    load_again(daemon)
    rewrite(daemon, *range(1, 11), 31, 32)
    pipeline.committer.paused = "git is packing"
    pipeline.roster.look(daemon.session())
    load_again(daemon)
    rewrite(daemon, *range(1, 11), 50)
    pipeline.roster.look(daemon.session())
    pipeline.committer.paused = ""
    check(daemon, [*range(1, 11), 50])
    assert kept(daemon) == [list(range(1, 14)), [*range(1, 11), 31, 32]]


def test_a_longer_version_without_a_name_does_not_stand_for_what_was_read(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    first = git(daemon, "rev-parse", "HEAD").strip()
    write(daemon, 14, 40)
    assert daemon.flush() == []
    write(daemon, 41, 43)
    daemon.turn()
    rewrite(daemon, *range(1, 41), *range(51, 61))
    git(daemon, "reset", "-q", "--hard", first)
    check(daemon, list(range(1, 11)))
    assert kept(daemon) == [list(range(1, 44)), [*range(1, 41), *range(51, 61)]]


def test_what_was_read_of_a_file_that_is_gone_is_not_taken_for_archived(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    session, committer = daemon.session(), daemon.service.pipeline.committer
    daemon.path().unlink()
    committer.archive([session])
    assert [one.number for one in session.kept] == [11, 12, 13]
    daemon.settle(20)
    assert numbers(daemon.in_git()) == list(range(1, 14))


def test_a_lost_session_at_rest_whose_progress_is_taken_again_is_not_forgotten(
    daemon: Daemon,
) -> None:
    archived_then_ahead(daemon)
    rewrite(daemon, 100)
    daemon.settle(20)
    session, roster = daemon.session(), daemon.service.pipeline.roster
    assert session.lost
    assert not roster.is_active(session)
    intake.load(daemon.store.layout, session)  # As where a result does not fit any more.
    daemon.settle(20)
    assert "shrank" in session.lost


def test_a_progress_file_that_changes_while_its_session_is_archived_delays_that(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived_then_ahead(daemon)
    committer = daemon.service.pipeline.committer
    path, commit = daemon.root / daemon.session().place.progress_path, committer.history.commit

    def late(*several: Any, **more: Any) -> str:
        monkeypatch.undo()
        data = path.read_bytes()
        path.write_bytes(data.replace(b"{", b"{ ", 1))
        try:
            return commit(*several, **more)
        finally:
            path.write_bytes(data)

    monkeypatch.setattr(committer.history, "commit", late)
    committer.archive([daemon.session()])
    assert "changed meanwhile" in daemon.session().archive_held
    assert [one.number for one in daemon.session().kept] == [11, 12, 13]
    daemon.settle(60)
    assert daemon.session().archive_held == ""
    assert numbers(daemon.in_git()) == list(range(1, 14))


@pytest.mark.parametrize("how", ["merge", "detached"])
def test_what_only_memory_holds_is_kept_at_a_stop_whatever_is_under_way(
    daemon: Daemon, how: str
) -> None:
    archived_then_ahead(daemon)
    if how == "merge":
        (daemon.root / ".git/MERGE_HEAD").write_text(git(daemon, "rev-parse", "HEAD"))
    else:
        git(daemon, "checkout", "-q", "--detach")
    os.truncate(daemon.path(), 10)
    daemon.turn()
    assert daemon.session().lost
    assert refs(daemon) == []
    daemon.service.end()
    assert kept(daemon) == [list(range(1, 14))]


def test_lines_wait_for_the_end_of_another_and_not_for_ever(daemon: Daemon) -> None:
    archived_then_ahead(daemon)
    git(daemon, "stash", "-q")
    half, whole = b'{"role": "us', daemon.path().read_bytes()
    daemon.write(half)
    os.utime(daemon.path(), (daemon.clock.now(), daemon.clock.now()))
    daemon.settle(40)
    assert daemon.path().read_bytes() == whole + half
    assert "a line is being written" in daemon.session().held
    daemon.settle(60)  # Who wrote it is dead.
    found = daemon.path().read_bytes().removeprefix(whole).split(b"\n")
    assert [found[0], *numbers(b"\n".join(found[1:]))] == [half, 11, 12, 13]
    assert daemon.session().held == daemon.session().lost == ""
    assert daemon.session().progress.cursor.line == 14


# -- a person's rebase ---------------------------------------------------------------------------


class Appender(threading.Thread):
    """Appends line after line, opening the file each time, until it is told to stop."""

    def __init__(self, path: Path, first: int) -> None:
        super().__init__()
        self.path = path
        self.next = first
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.02):
            with open(self.path, "ab") as file:
                file.write(json.dumps(line(self.next)).encode() + b"\n")
            self.next += 1


@pytest.mark.parametrize("command", ["rebase", "pull"])
def test_a_rebase_under_a_writer_loses_no_line(
    daemon: Daemon, tmp_path: Path, command: str
) -> None:
    write(daemon, 1, 10)
    assert daemon.flush() == []
    git(daemon, "clone", "-q", str(daemon.root), str(tmp_path / "clone"))
    clone = tmp_path / "clone"
    (clone / "notes.md").write_text("theirs\n")
    for arguments in (["add", "."], ["commit", "-qm", "theirs"]):
        git(daemon, "-C", str(clone), "-c", "user.name=o", "-c", "user.email=o@x", *arguments)
    git(daemon, "remote", "add", "origin", str(clone))
    git(daemon, "fetch", "-q", "origin")
    writer = Appender(daemon.path(), 11)
    writer.start()
    words = ["rebase", "-q", "--autostash", "origin/main"]
    if command == "pull":
        words = ["pull", "-q", "--rebase", "--autostash", "origin", "main"]
    READ.clear()
    try:
        turn(daemon)
        said = [rebase(daemon, writer, words) for _ in range(3)]
        turn(daemon)
    finally:
        writer.ended.set()
        writer.join()
    daemon.settle(20)
    # A line that came between git's reading and its replacing the file, and was read by nobody,
    # is in no place at all.
    assert {*on_disk(daemon), *saved(daemon)} >= READ, said
    assert len(set(on_disk(daemon))) == len(on_disk(daemon)), said
    check(daemon, on_disk(daemon))


READ: set[int] = set()


def turn(daemon: Daemon) -> None:
    """A turn, and which lines were read by then."""
    daemon.turn()
    READ.update(numbers(b"".join(one.data + b"\n" for one in daemon.session().kept)))


def saved(daemon: Daemon) -> set[int]:
    """The lines under refs, and those that git put into its stash."""
    stashes = [one for one in git(daemon, "stash", "list", "--format=%gd").split("\n") if one]
    return {number for ref in (*refs(daemon), *stashes) for number in shown(daemon, ref)}


def rebase(daemon: Daemon, writer: Appender, words: list[str]) -> str:
    """What a person does, and what they do when git gives up; returns what git said."""
    running = subprocess.Popen(
        ["git", *WITHOUT_FILTER, *words], cwd=daemon.root, stderr=subprocess.PIPE, text=True
    )
    while running.poll() is None:
        turn(daemon)
        writer.ended.wait(0.02)
    said = running.communicate()[1]
    if running.returncode and (daemon.root / ".git/rebase-merge").exists():
        # One that was begun is aborted; of one that was not, `quit` saves the autostash.
        begun = (daemon.root / ".git/rebase-merge/head-name").exists()
        give_up(daemon, "--abort" if begun else "--quit")
    return f"{running.returncode} {said}"


def give_up(daemon: Daemon, how: str) -> None:
    """End a rebase; git fails where the writer makes the file between its removing and writing."""
    for _ in range(5):
        words = ["git", *WITHOUT_FILTER, "rebase", how]
        if subprocess.run(words, cwd=daemon.root, check=False).returncode == 0:
            return
    raise AssertionError(f"git rebase {how} never succeeded")


def test_lines_that_another_branch_has_are_not_kept_beside(daemon) -> None:
    daemon.git("branch", "side")
    daemon.write(user("Please build it."), agent("Done."))
    daemon.settle()
    daemon.git("checkout", "-q", "side")
    daemon.settle()
    assert rescued.refs(daemon.root) == []


def test_a_ref_goes_when_a_branch_has_its_lines(daemon) -> None:
    lines = b'{"role":"user","content":"kept"}\n'
    place = SessionPlace("default", "other")
    ref = rescued.save(daemon.root, place, lines, "", daemon.clock)
    assert rescued.refs(daemon.root) == [ref]
    daemon.write(lines, user("and more"), session="other")
    daemon.settle()
    daemon.git("commit", "-q", "--allow-empty", "-m", "Something")
    daemon.settle()
    assert rescued.refs(daemon.root) == []
