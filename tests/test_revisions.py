"""The history as readers see it: dates, odd commits, and the files of a commit."""

from __future__ import annotations

import os
from pathlib import Path

import pygit2
import pytest

from acontext_fs.errors import HistoryError, StoreError, UsageError
from tests.conftest import run_git

DAY = "2026-05-0{}T12:00:00+0000"


def commit(git, subject: str, day: int) -> str:
    """An empty commit at noon of a day in May; its id."""
    os.environ["GIT_COMMITTER_DATE"] = DAY.format(day)
    try:
        git("commit", "-q", "--allow-empty", "-m", subject)
    finally:
        del os.environ["GIT_COMMITTER_DATE"]
    return git("rev-parse", "HEAD").strip()


def raw_commit(store, body: bytes) -> str:
    """A commit with HEAD's tree and any bytes else, and HEAD moved to it; its id."""
    repo = pygit2.Repository(str(store.root))
    tree = repo[repo.head.target].tree_id
    head = f"tree {tree}\nparent {repo.head.target}\n".encode()
    made = str(repo.odb.write(pygit2.enums.ObjectType.COMMIT, head + body))
    run_git(store.root, "update-ref", "HEAD", made)
    return made


@pytest.fixture
def days(store, git):
    """Commits of the first, second and fourth of May; on the third one of a merged branch."""
    git("commit", "-q", "--amend", "--no-edit", "--date=2026-04-30T00:00:00+0000")
    commit(git, "first", 1)
    second = commit(git, "second", 2)
    git("checkout", "-q", "-b", "side")
    commit(git, "aside", 3)
    git("checkout", "-q", "main")
    os.environ["GIT_COMMITTER_DATE"] = DAY.format(4)
    git("merge", "-q", "--no-ff", "-m", "merged", "side")
    del os.environ["GIT_COMMITTER_DATE"]
    return {"second": second, "merged": git("rev-parse", "HEAD").strip()}


def test_a_day_is_its_end_and_a_moment_itself(store, days):
    resolve = store.revisions.resolve
    assert resolve("2026-05-02") == days["second"]
    assert resolve("2026-05-02T12:00:00Z") == days["second"]
    assert resolve("2026-05-02T14:00:00+02:00") == days["second"]
    assert resolve("2026-05-02 14:00:00 02:00") == days["second"]
    assert resolve("2026-05-02T11:59:59Z") == resolve("2026-05-01")
    assert resolve("2026-05-04") == resolve("HEAD") == days["merged"]


def test_a_date_follows_the_line_of_first_parents(store, days):
    assert store.revisions.resolve("2026-05-03") == days["second"]


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("2026-02-30", "no date of the calendar"),
        ("9999-12-31", "no date of the calendar"),
        ("2026-05-01T25:00", "no date and time"),
        ("1999-01-01", "no commit as old"),
        ("nonsense", "git knows no commit"),
        (" ", "no commit is named"),
    ],
)
def test_what_means_no_commit_is_told_in_a_sentence(store, revision, said):
    with pytest.raises(UsageError, match=said) as caught:
        store.revisions.resolve(revision)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b"author A <a@x> 1 +0000\ncommitter A <a@x> 99999999999999 +0000\n\nfar\n",
            ("far", "A", "9999-12-31T23:59:59.000000Z"),
        ),
        (
            b"author A <a@x> 1 +0000\ncommitter A <a@x> -99999999999 +0000\n\nearly\n",
            ("early", "A", "1970-01-01T00:00:00.000000Z"),
        ),
        (
            b"author \xe9 <a@x> 1 +0000\ncommitter A <a@x> 0 +0000\nencoding nonsense\n\nh\xe9\n",
            ("h\ufffd", "\ufffd", "1970-01-01T00:00:00.000000Z"),
        ),
    ],
)
def test_a_commit_no_program_would_make_is_read_as_far_as_it_can_be(store, body, expected):
    made = raw_commit(store, body)
    first, *_ = store.revisions.log()
    assert first.id == made
    assert (first.subject, first.author, first.when) == expected
    (same,) = store.revisions.since(first.parents[0], made)
    assert same == first


def test_names_that_are_no_text_are_not_among_the_files_of_a_commit(store, git):
    folder = os.fsencode(store.root / "spaces/default/skills/daily-logs")
    for name in (b"\xff.md", b"fine.md"):
        with open(folder + b"/" + name, "wb") as file:
            file.write(b"# x\n")
    git("add", "-A")
    git("commit", "-qm", "x")
    head = store.revisions.head()
    path = "spaces/default/skills/daily-logs/fine.md"
    assert store.revisions.skill_paths(head) == [path]
    found = [entry.path for entry in store.at("HEAD").source.walk("spaces/default/skills")]
    assert path in found
    assert all(name.isprintable() and name.encode() for name in found)


def test_links_of_git_and_of_the_file_system_are_no_files(store, git):
    folder = "spaces/default/skills/daily-logs"
    store.layout.path(f"{folder}/link.md").symlink_to("SKILL.md")
    git("add", "-A")
    inside = store.revisions.head()
    git("update-index", "--add", "--cacheinfo", f"160000,{inside},{folder}/module.md")
    git("commit", "-qm", "links")
    assert git("ls-tree", "-r", "--name-only", "HEAD").count("module.md") == 1
    source = store.at("HEAD").source
    for name in ("link.md", "module.md"):
        path = f"{folder}/{name}"
        assert (source.read(path), source.stamp(path)) == (None, None), name
        assert path not in source.paths(folder)
        with pytest.raises(StoreError, match="there is no"):
            source.read_line(path, 0)
    assert source.read(f"{folder}/SKILL.md")


def test_several_lines_of_a_file_are_one_reading(store, write, git, monkeypatch):
    one, other = (f"spaces/default/skills/daily-logs/{name}.md" for name in "ab")
    write(one, "one\ntwo\nthree")
    write(other, "four\n")
    git("add", "-A")
    git("commit", "-qm", "lines")
    source = store.at("HEAD").source
    reads = []
    genuine = source.read
    monkeypatch.setattr(source, "read", lambda path: reads.append(path) or genuine(path))
    assert [source.read_line(one, start) for start in (0, 4, 8, 99)] == [
        b"one",
        b"two",
        b"three",
        b"",
    ]
    assert source.read_line(other, 0) == b"four"
    assert reads == [one, other]


def test_as_many_commits_are_counted_as_are_asked_for(store, git):
    known = store.revisions.head()
    for number in range(4):
        git("commit", "-q", "--allow-empty", "-m", str(number))
    revisions = store.revisions
    head = revisions.head()
    assert revisions.count_since(known, head, 9) == 4
    assert revisions.count_since(known, head, 2) == 2
    assert revisions.count_since(head, head, 9) == revisions.count_since("", "", 9) == 0
    assert [one.subject for one in revisions.since(known, head)] == ["0", "1", "2", "3"]
    assert [one.subject for one in revisions.log()][:4] == ["3", "2", "1", "0"]


def test_a_shallow_clone_tells_where_it_ends(store, git, tmp_path):
    from acontext_fs.revisions import Revisions

    for number in range(3):
        git("commit", "-q", "--allow-empty", "-m", str(number))
    git("clone", "-q", "--depth=1", f"file://{store.root}", str(tmp_path / "clone"), at=tmp_path)
    clone = Revisions(tmp_path / "clone")
    assert store.revisions.shallow() == ""
    before = clone.shallow()
    assert before
    assert len(list(clone.log())) == 1
    git("fetch", "-q", "--deepen=1", at=tmp_path / "clone")
    assert clone.shallow() not in ("", before)
    assert len(list(Revisions(tmp_path / "clone").log())) == 2


def test_an_object_that_is_missing_is_told(store, git):
    head = store.revisions.head()
    tree = git("rev-parse", "HEAD^{tree}").strip()
    Path(store.root / ".git/objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(HistoryError, match="cannot read commit"):
        store.revisions.files(head)
    with pytest.raises(HistoryError, match="cannot read the history"):
        list(store.revisions.since("", "0" * 39 + "1"))
