"""What the doctor finds of a store as a whole, and what it mends: nothing is lost on the way."""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path

import pytest

from acontext_fs import blobs, checks_past, checks_sessions, doctor, gitcommand
from acontext_fs.doctor import examine, of_index
from acontext_fs.errors import CommitHeld
from acontext_fs.finding import Finding
from acontext_fs.mending import WHAT, mend
from acontext_fs.owning import own
from tests.daemon.harness import Daemon, agent, user

TASKS, PROGRESS = "spaces/default/tasks/s.jsonl", "spaces/default/progress/s.json"
SESSION = "spaces/default/sessions/s.jsonl"


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    made = Daemon(tmp_path / "store")
    made.write(user("Please tidy up"), agent("Done."))
    made.settle()
    assert list(examine(made.store)) == []
    return made


def blob_path(data: bytes) -> str:
    return blobs.path_of("default", f"{hashlib.sha256(data).hexdigest()}.txt")


def only(daemon: Daemon) -> Finding:
    found = list(examine(daemon.store))
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("path", [TASKS, PROGRESS])
def test_a_file_that_is_gone_is_brought_back(daemon, path):
    before = (daemon.root / path).read_bytes()
    (daemon.root / path).unlink()
    found = only(daemon)
    assert (found.path, found.mend) == (path, "bring back")
    assert mend(daemon.store, found) == ""
    assert (daemon.root / path).read_bytes() == before
    assert mend(daemon.store, found) == "it is there by now"
    assert list(examine(daemon.store)) == []


@pytest.mark.parametrize("path", [TASKS, PROGRESS])
def test_a_damaged_file_is_put_aside_and_written_again(daemon, path):
    before = (daemon.root / path).read_bytes()
    (daemon.root / path).write_bytes(b"{damaged")
    found = only(daemon)
    assert (found.path, found.mend) == (path, "replace")
    assert mend(daemon.store, found) == ""
    assert (daemon.root / path).read_bytes() == before
    aside = daemon.root / ".acontext/replaced"
    assert [file.read_bytes() for file in aside.iterdir()] == [b"{damaged"]
    assert mend(daemon.store, found) == "it can be read by now"
    assert list(examine(daemon.store)) == []


def test_a_damaged_file_of_which_git_has_no_better_stays(daemon):
    (daemon.root / TASKS).write_bytes(b"{damaged")
    daemon.git("commit", "-qam", "Damage")
    found = only(daemon)
    assert mend(daemon.store, found) == "what git has of it cannot be read either"
    assert (daemon.root / TASKS).read_bytes() == b"{damaged"


def test_an_edit_by_hand_is_told_and_left_alone(daemon):
    text = (daemon.root / TASKS).read_text().replace("tidy up", "tidy it up")
    (daemon.root / TASKS).write_text(text)
    found = only(daemon)
    assert (found.kind, found.mend) == ("tasks", "")
    assert "not committed" in found.text
    assert mend(daemon.store, found) == "a person has to decide about it"


def test_lines_that_only_git_has_are_appended(daemon):
    whole = (daemon.root / SESSION).read_bytes()
    os.truncate(daemon.root / SESSION, whole.index(b"\n") + 1)
    found = next(one for one in examine(daemon.store) if one.kind == "transcript")
    assert (found.text, found.mend) == ("git has 1 line more than the file", "append")
    assert mend(daemon.store, found) == ""
    assert (daemon.root / SESSION).read_bytes() == whole
    assert list(examine(daemon.store)) == []


def test_a_transcript_that_is_another_is_left_alone(daemon):
    (daemon.root / SESSION).write_bytes(b'{"role":"user","content":"other"}\n' * 2)
    found = next(one for one in examine(daemon.store) if one.kind == "transcript")
    assert (found.mend, "not a continuation" in found.text) == ("", True)
    appended = Finding("transcript", SESSION, "", "", mend="append")
    assert "not the beginning" in mend(daemon.store, appended)


def test_a_transcript_that_is_gone_is_for_a_person_to_decide(daemon):
    (daemon.root / SESSION).unlink()
    found = [one for one in examine(daemon.store) if one.kind == "transcript"]
    assert [(one.path, one.mend) for one in found] == [(SESSION, "")]


def test_a_batch_that_was_committed_twice(daemon):
    trailers = daemon.git("log", "--format=%(trailers:key=Acontext-Batch)", "-5")
    batch = next(line for line in trailers.split("\n") if line)
    daemon.git("commit", "-q", "--allow-empty", "-m", f"Again\n\n{batch}")
    found = only(daemon)
    assert found.kind == "history"
    assert batch.partition(": ")[2] in found.text


def test_damaged_objects_are_told(daemon):
    blob = daemon.git("rev-parse", f"HEAD:{SESSION}").strip()
    path = daemon.root / ".git/objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(b"")
    assert any(blob in line for line in gitcommand.fsck(daemon.root))
    kinds = {one.kind for one in examine(daemon.store)}
    assert "history" in kinds


def test_settings_and_skills_that_cannot_be_used(daemon):
    (daemon.root / "acontext.toml").write_text("max_concurrency = many\n")
    (daemon.root / "spaces/default/space.toml").write_text("nonsense = 1\n")
    skill = daemon.root / "spaces/default/skills/mine/SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text("---\nname: other\ndescription: x\n---\n")
    found = [one for one in examine(daemon.store) if one.kind in ("settings", "skill")]
    assert [one.kind for one in found] == ["settings", "settings", "skill"]
    assert "nonsense" in found[1].text
    assert "mine" in found[2].text


def test_leftovers_are_put_away(daemon):
    left = daemon.root / "spaces/default/skills/.acontext-x1y2.tmp"
    left.write_text("by hand, perhaps")
    found = only(daemon)
    assert (found.kind, found.mend) == ("leftover", "put away")
    assert mend(daemon.store, found) == ""
    assert not left.exists()
    (kept,) = (daemon.root / ".acontext/leftovers").iterdir()
    assert kept.read_text() == "by hand, perhaps"


def test_git_is_told_again_what_it_forgot(daemon):
    daemon.git("config", "--unset", "filter.acontext-fs.process")
    (daemon.root / ".gitattributes").write_text("*.md text\n")
    daemon.git("commit", "-qam", "Another file")
    found = [one for one in examine(daemon.store) if one.mend == "set up"]
    assert found
    assert mend(daemon.store, found[0]) == ""
    assert list(examine(daemon.store)) == []
    assert daemon.git("status", "--porcelain") == ""
    assert (daemon.root / ".gitattributes").read_text().startswith("*.md text\n")


# -- what a person put in the way -----------------------------------------------------------------


def test_nothing_is_written_through_a_link(daemon, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (daemon.root / TASKS).parent.rename(elsewhere)
    (elsewhere / "s.jsonl").unlink()
    (daemon.root / TASKS).parent.symlink_to(elsewhere)
    for what in ("bring back", "replace"):
        with pytest.raises(CommitHeld, match="symbolic link"):
            mend(daemon.store, Finding("tasks", TASKS, "", "", mend=what))
    assert list(elsewhere.iterdir()) == []


def test_who_may_read_a_file_that_is_replaced_stays(daemon):
    (daemon.root / TASKS).write_bytes(b"{damaged")
    (daemon.root / TASKS).chmod(0o600)
    assert mend(daemon.store, only(daemon)) == ""
    assert (daemon.root / TASKS).stat().st_mode & 0o777 == 0o600


def test_what_belongs_to_a_transcript_that_is_gone_is_not_brought_back(daemon):
    for path in (SESSION, TASKS, PROGRESS):
        (daemon.root / path).unlink()
    assert [(one.path, one.mend) for one in examine(daemon.store)] == [(SESSION, "")]


def test_a_blob_that_only_git_has_is_brought_back(daemon):
    data = b"a picture"
    path = blob_path(data)
    place = daemon.root / path
    place.parent.mkdir(parents=True)
    place.write_bytes(data)
    daemon.git("add", ".")
    daemon.git("commit", "-qm", "A blob")
    place.unlink()
    found = only(daemon)
    assert (found.kind, found.path, found.mend) == ("blob", path, "bring back")
    assert mend(daemon.store, found) == ""
    assert place.read_bytes() == data


def test_a_command_that_is_told_means_the_file_whatever_its_name(daemon):
    name = "$(touch x) 'y\".jsonl"
    place = daemon.path().with_name(name)
    place.write_text('{"role":"user","content":"x"}\n')
    daemon.git("add", ".")
    daemon.git("commit", "-qm", "A name")
    place.unlink()
    (found,) = (one for one in examine(daemon.store) if one.kind == "transcript")
    command = found.remedy.split("`")[3]
    assert shlex.split(command) == ["git", "checkout", "HEAD", "--", found.path]
    assert found.path.endswith(name)


# -- while a daemon goes on -----------------------------------------------------------------------


def test_what_a_daemon_does_meanwhile_is_no_finding(daemon, monkeypatch):
    """It reads on, takes in a blob, begins a session and commits while the doctor looks."""
    real = checks_sessions._of_lines
    numbers = iter(range(100))

    def then_more(store, place, seen, named):
        yield from real(store, place, seen, named)
        name = f"new{next(numbers)}"
        daemon.write(user("And this"), agent("Done."))
        daemon.write(user("More"), agent("Done."), session=name)
        data = name.encode()
        path = store.layout.path(blob_path(data))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        daemon.settle(20)

    monkeypatch.setattr(checks_sessions, "_of_lines", then_more)
    real_paths = checks_past._paths

    def meanwhile(have):
        for path in real_paths(have):
            if path == PROGRESS:
                daemon.write(user("And that"), agent("Done."))
                daemon.settle(20)
            yield path

    monkeypatch.setattr(checks_past, "_paths", meanwhile)
    head = daemon.git("rev-list", "--count", "HEAD")
    assert list(examine(daemon.store)) == []
    assert int(daemon.git("rev-list", "--count", "HEAD")) >= int(head) + 3


def test_what_git_says_of_a_commit_in_the_making_is_no_finding(daemon, monkeypatch):
    said = iter([["missing tree 1", "missing blob 2"], ["missing blob 2", "missing tree 3"]])
    monkeypatch.setattr(gitcommand, "fsck", lambda root: next(said))
    assert only(daemon).text == "git says: missing blob 2"


def test_a_file_that_a_commit_of_a_daemon_is_about_to_write_is_no_finding(daemon, monkeypatch):
    data = (daemon.root / TASKS).read_bytes()
    (daemon.root / TASKS).unlink()
    waited = []

    def wait(is_over):
        assert is_over()
        waited.append(is_over)
        (daemon.root / TASKS).write_bytes(data)

    monkeypatch.setattr(doctor, "take_patiently", wait)
    with own(daemon.store.layout, "daemon", daemon.clock):
        assert list(examine(daemon.store)) == []
    assert len(waited) == 1


def test_an_index_that_says_something_else_is_moved_aside(daemon):
    with daemon.store.index() as index:
        index.refresh()
        index.publish(thorough=True)
    assert list(of_index(daemon.store)) == []
    folder = next((daemon.root / ".acontext/index").iterdir())
    found = Finding("index", str(folder), "sessions: 1 rows", "", mend="rebuild")
    assert mend(daemon.store, found) == ""
    assert not folder.exists()
    assert list(of_index(daemon.store)) == []


def test_everything_that_can_be_mended_is_described():
    assert all(len(text) > 20 for text in WHAT.values())


def test_tasks_that_are_gone_here_and_in_git_are_missed(daemon):
    daemon.git("rm", "-q", TASKS)
    daemon.git("commit", "-qm", "Gone")
    found = only(daemon)
    assert (found.path, found.text) == (TASKS, "it is missing, and 2 lines were read")


@pytest.mark.parametrize("what", ["hook", "driver", "filter"])
def test_what_git_was_told_and_forgot_is_missed_and_told_again(daemon, what):
    if what == "hook":
        (daemon.root / ".git/hooks/pre-commit").unlink()
    elif what == "driver":
        daemon.git("config", "--unset", "merge.union.driver")
    else:
        daemon.git("config", "--unset", "filter.acontext-fs.process")
    found = only(daemon)
    assert found.mend == "set up"
    assert mend(daemon.store, found) == ""
    assert list(examine(daemon.store)) == []
