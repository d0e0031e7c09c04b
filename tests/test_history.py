"""What a commit is, and what of a person's it leaves alone; checked with the real git command."""

import stat

import pytest

from acontext_fs.commits import FileEdit, message_of
from acontext_fs.errors import CommitConflict, CommitHeld, HistoryError
from acontext_fs.history import History
from tests.conftest import run_git
from tests.repository import MESSAGE, A, B, edit, person, settled, tree

# -- what a commit is -----------------------------------------------------------------------------


def test_a_commit_has_the_given_paths_and_no_others(history, store, git, clock):
    before = tree(git)
    clock.advance(60)
    commit = history.commit([edit(A, b"a\n"), edit(B, b"b\n")], MESSAGE)
    assert git("rev-parse", "HEAD").strip() == commit == history.head()
    after = tree(git)
    assert {path: after[path] for path in before} == before
    assert set(after) - set(before) == {A, B}
    assert git("show", f"HEAD:{A}") == "a\n" == store.layout.path(A).read_text()
    assert git("diff", "--name-only", "HEAD~1", "HEAD") == f"{B}\n{A}\n"
    assert git("log", "-1", "--format=%an|%cn|%ct|%s|%b") == (
        "acontext-fs|acontext-fs|1767225660|Track tasks|Why.\n\nAcontext-Kind: tasks\n\n"
    )
    settled(git)


def test_git_reads_the_trailers_of_a_commit(history, git):
    message = message_of("S", "B", {"Acontext-Kind": "tasks", "Acontext-Lines": "17-32"})
    history.commit([edit(A)], message)
    found = git("interpret-trailers", "--parse", stdin=git("log", "-1", "--format=%B"))
    assert found == "Acontext-Kind: tasks\nAcontext-Lines: 17-32\n"
    assert git("log", "-1", "--format=%(trailers:key=Acontext-Lines,valueonly)") == "17-32\n\n"
    assert next(history.log()).trailer("Acontext-Lines") == "17-32"


def test_the_same_edits_at_the_same_time_are_the_same_commit(tmp_path, clock):
    from acontext_fs import setup

    made = set()
    for name in ("x", "y"):
        setup.init(tmp_path / name, clock)
        made.add(History(tmp_path / name, clock).commit([edit(A)], MESSAGE))
    assert len(made) == 1


def test_what_head_has_already_makes_no_commit(history, git):
    history.commit([edit(A)], MESSAGE)
    head = history.head()
    assert history.commit([edit(A, b"new\n", b"new\n")], MESSAGE) == ""
    assert history.commit([], MESSAGE) == ""
    assert history.commit([edit("nowhere/x", None)], MESSAGE) == ""
    assert history.head() == head
    settled(git)


def test_a_branch_without_commits_begins_with_ours(tmp_path, clock):
    run_git(tmp_path, "init", "-q", "-b", "trunk")
    history = History(tmp_path, clock)
    assert history.head() == ""
    assert list(history.log()) == []
    assert history.read(A) is None
    assert history.held() == ""
    commit = history.commit([edit(A, b"a\n")], MESSAGE)
    assert run_git(tmp_path, "rev-parse", "trunk").strip() == commit
    assert run_git(tmp_path, "rev-list", "--count", "trunk") == "1\n"
    assert run_git(tmp_path, "status", "--porcelain", "-uno") == ""
    assert run_git(tmp_path, "fsck", "--strict") == ""


def test_a_file_is_removed_with_the_folders_that_become_empty(history, store, git):
    history.commit([edit(A), edit(B)], MESSAGE)
    history.commit([edit(A, None, b"new\n")], MESSAGE)
    assert A not in tree(git)
    assert not store.layout.path(A).parent.exists()
    assert git("ls-tree", "HEAD:spaces/default").count("tree") == 2
    settled(git)


def test_a_file_of_many_folders_is_added_and_the_neighbours_stay(history, git):
    history.commit([edit("a/b/c/d/e.txt", b"1")], MESSAGE)
    history.commit([edit("a/b/f.txt", b"2"), edit("a/b/c/g.txt", b"3")], MESSAGE)
    assert {"a/b/c/d/e.txt", "a/b/f.txt", "a/b/c/g.txt"} < set(tree(git))
    settled(git)


def test_a_script_stays_executable(history, store, git, write):
    path = "spaces/default/skills/s/run.sh"
    write(path, "old\n").chmod(0o755)
    git("add", ".")
    git("commit", "-qm", "A script")
    history.commit([edit(path, b"new\n", b"old\n")], MESSAGE)
    assert tree(git)[path].startswith("100755 ")
    assert stat.S_IMODE(store.layout.path(path).stat().st_mode) == 0o755
    settled(git)


def test_a_transcript_is_committed_from_its_bytes_and_the_file_is_not_touched(history, store, git):
    session = store.space("default").session("s")
    session.append({"role": "user", "content": "x"})
    data = session.path.read_bytes()
    session.append({"role": "user", "content": "y"})
    found = session.path.stat()
    history.commit([FileEdit(session.place.session_path, data, archive=True)], MESSAGE)
    assert git("show", f"HEAD:{session.place.session_path}").encode() == data
    assert (session.path.stat().st_ino, session.path.stat().st_mtime_ns) == (
        found.st_ino,
        found.st_mtime_ns,
    )
    assert git("status", "--porcelain") == f" M {session.place.session_path}\n"


def test_content_is_stored_byte_for_byte(history, git):
    data = b"\xff\0\r\n\xe2\x80\xa8 no newline"
    history.commit([edit(A, data)], MESSAGE)
    assert history.read(A) == data
    settled(git)


def test_markdown_with_windows_line_ends_is_the_same_to_git(history, store, git):
    path = "spaces/default/skills/s/x.md"
    history.commit([edit(path, b"a\nb\n")], MESSAGE)
    store.layout.path(path).write_bytes(b"a\r\nb\r\n")
    assert git("diff", "--exit-code", "--ignore-cr-at-eol") == ""
    history.commit([edit(path, b"a\nc\n", b"a\r\nb\r\n")], MESSAGE)
    assert history.read(path) == b"a\nc\n"
    settled(git)


# -- a person's work ------------------------------------------------------------------------------


def test_staged_edited_and_untracked_files_stay_exactly_as_they_were(history, store, git, write):
    for name in ("edited.txt", "both.txt", "gone.txt", "moved.txt", "staged-gone.txt"):
        write(name, f"{name} one\n")
    git("add", ".")
    git("commit", "-qm", "Mine")
    write("staged.txt", "staged\n")
    write("both.txt", "staged\n")
    git("add", "staged.txt", "both.txt")
    git("mv", "moved.txt", "moved-to.txt")
    git("rm", "-q", "--cached", "staged-gone.txt")
    write("both.txt", "and edited\n")
    write("edited.txt", "two\n")
    write("loose.txt", "untracked\n")
    write("intended.txt", "later\n")
    git("add", "-N", "intended.txt")
    store.layout.path("gone.txt").unlink()
    before = person(git)
    assert before[2].count("\n") >= 8
    for number in range(3):
        base = None if number == 0 else b"%d" % (number - 1)
        history.commit([edit(A, b"%d" % number, base)], MESSAGE)
        assert person(git) == before
    assert git("fsck", "--strict") == ""
    assert git("log", "--format=%an", "-3") == "acontext-fs\n" * 3


def test_marks_a_person_put_on_index_entries_stay(history, git, write):
    write("skipped.txt", "x\n")
    write("assumed.txt", "x\n")
    git("add", ".")
    git("commit", "-qm", "Mine")
    git("update-index", "--skip-worktree", "skipped.txt")
    git("update-index", "--assume-unchanged", "assumed.txt")
    history.commit([edit(A)], MESSAGE)
    assert git("ls-files", "-v", "skipped.txt", "assumed.txt") == "h assumed.txt\nS skipped.txt\n"


def test_the_commit_of_a_person_right_after_ours_reverts_nothing(history, git, write):
    write("mine.txt", "1\n")
    git("add", "mine.txt")
    history.commit([edit(A, b"ours\n")], MESSAGE)
    git("commit", "-qm", "Mine")
    assert git("show", "--name-only", "--format=", "HEAD") == "mine.txt\n"
    assert history.read(A) == b"ours\n"
    write("mine.txt", "2\n")
    history.commit([edit(A, b"again\n", b"ours\n")], MESSAGE)
    git("commit", "-qam", "Mine too")
    assert history.read(A) == b"again\n"
    settled(git)


def test_a_file_changed_since_it_was_read_is_a_conflict_and_stays(history, store, git, write):
    history.commit([edit(A, b"one\n")], MESSAGE)
    write(A, "by a person\n")
    head = history.head()
    with pytest.raises(CommitConflict, match="changed meanwhile"):
        history.commit([edit(B), edit(A, b"two\n", b"one\n")], MESSAGE)
    assert store.layout.path(A).read_text() == "by a person\n"
    assert not store.layout.path(B).exists()
    assert history.head() == head


@pytest.mark.parametrize("kind", ["edited", "new", "deleted"])
def test_a_file_with_changes_that_are_not_committed_is_waited_for(history, store, git, write, kind):
    path = "spaces/default/skills/s/SKILL.md"
    base: bytes | None = b"by a person\n"
    if kind != "new":
        history.commit([edit(path, b"one\n")], MESSAGE)
    if kind == "deleted":
        store.layout.path(path).unlink()
        base = None
    else:
        write(path, "by a person\n")
    before = person(git)
    with pytest.raises(CommitHeld, match=r"not committed|is missing") as raised:
        history.commit([edit(path, b"learned\n", base)], MESSAGE)
    assert raised.value.path == path
    assert person(git) == before


def test_a_file_the_person_staged_is_waited_for(history, git, write):
    history.commit([edit(A, b"one\n")], MESSAGE)
    write(A, "staged\n")
    git("add", A)
    write(A, "one\n")
    before = person(git)
    with pytest.raises(CommitHeld, match="is staged") as raised:
        history.commit([edit(A, b"two\n", b"one\n")], MESSAGE)
    assert raised.value.path == A
    assert person(git) == before
    git("reset", "-q")
    history.commit([edit(A, b"two\n", b"one\n")], MESSAGE)
    settled(git)


def test_a_folder_or_file_in_the_way_is_waited_for(history, store, write):
    store.layout.path(A).mkdir(parents=True)
    with pytest.raises(CommitHeld) as raised:
        history.commit([edit(A)], MESSAGE)
    assert raised.value.path == A
    write("spaces/default/progress", "a file\n")
    with pytest.raises(CommitHeld, match="a file where a folder is needed"):
        history.commit([edit(B)], MESSAGE)


# -- reading --------------------------------------------------------------------------------------


def test_the_log_is_newest_first_and_as_long_as_asked_for(history, git, store):
    base = None
    for number in range(5):
        history.commit([edit(A, b"%d" % number, base)], message_of(f"n{number}", "", {}))
        base = b"%d" % number
    assert [commit.subject for commit in history.log(3)] == ["n4", "n3", "n2"]
    assert [c.id for c in history.log()] == git("log", "--format=%H").split()
    newest = next(history.log())
    assert store.revisions.changed_paths(newest.id) == [A]
    assert "acontext.toml" in store.revisions.changed_paths(
        git("rev-list", "--max-parents=0", "HEAD").strip()
    )


def test_reading_gives_what_head_has(history, write):
    history.commit([edit(A, b"in git\n")], MESSAGE)
    write(A, "on disk\n")
    assert history.read(A) == b"in git\n"
    assert history.read("spaces/default/tasks") is None
    assert history.read("nowhere") is None


def test_an_unreadable_head_is_said(history, store):
    (store.root / ".git" / "HEAD").write_text("nonsense")
    with pytest.raises(HistoryError):
        history.head()


def test_nothing_to_commit_is_no_commit_wherever_the_branch_is(history, git):
    before = git("rev-parse", "HEAD")
    assert history.commit([], MESSAGE, on="0" * 40) == ""
    assert git("rev-parse", "HEAD") == before


def test_a_history_that_is_damaged_is_said_to_be(history, git):
    first = git("rev-parse", "HEAD").strip()
    history.commit([edit(A, b"a\n")], MESSAGE)
    (history.root / ".git/objects" / first[:2] / first[2:]).unlink()
    with pytest.raises(HistoryError, match="cannot read the history of"):
        list(History(history.root).log())
