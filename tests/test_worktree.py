import pytest

from acontext_fs import worktree
from acontext_fs.commits import FileEdit
from acontext_fs.errors import CommitConflict, CommitHeld
from acontext_fs.worktree import Change
from tests.conftest import run_git


def change(path, content, *, old="", mode=0o100644, archive=False):
    return Change(path, old, "", mode, content, archive)


@pytest.mark.parametrize("data", [b"", b"x", b"a\r\nb\n", b"\0\xff" * 5000])
def test_a_blob_has_the_id_that_git_gives_it(tmp_path, data):
    (tmp_path / "x.bin").write_bytes(data)
    assert worktree.blob_id(data, "x.bin") == run_git(tmp_path, "hash-object", "x.bin").strip()


def test_markdown_is_stored_with_plain_line_ends_and_nothing_else_is_touched():
    assert worktree.plain(b"a\r\nb\r\n", "x.md") == b"a\nb\n"
    assert worktree.plain(b"a\r\nb\r\n", "x.jsonl") == b"a\r\nb\r\n"
    assert worktree.plain(None, "x.md") is None
    assert worktree.blob_id(b"a\r\n", "x.md") == worktree.blob_id(b"a\n", "x.md")
    assert worktree.blob_id(None, "x.md") == ""


def test_a_base_that_is_there_and_committed_is_fine(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    worktree.check_base(tmp_path, FileEdit("a", b"two", b"one"), worktree.blob_id(b"one", "a"))
    worktree.check_base(tmp_path, FileEdit("new/b", b"two"), "")


def test_a_path_that_changed_meanwhile_is_a_conflict(tmp_path):
    (tmp_path / "a").write_bytes(b"other")
    with pytest.raises(CommitConflict, match="a changed meanwhile"):
        worktree.check_base(tmp_path, FileEdit("a", b"two", b"one"), worktree.blob_id(b"one", "a"))


def test_work_that_is_not_committed_waits(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    with pytest.raises(CommitHeld, match="not committed") as caught:
        worktree.check_base(tmp_path, FileEdit("a", b"two", b"one"), worktree.blob_id(b"x", "a"))
    assert caught.value.path == "a"


@pytest.mark.parametrize(("blocked", "text"), [("a", "a is a file"), ("a/b", "a is a file")])
def test_a_file_where_a_folder_is_needed_waits(tmp_path, blocked, text):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(CommitHeld, match=text):
        worktree.check_base(tmp_path, FileEdit(f"{blocked}/c", b"x"), "")


def test_only_what_is_as_it_was_is_unwritten(tmp_path):
    (tmp_path / "as-before").write_bytes(b"one")
    (tmp_path / "edited").write_bytes(b"mine")
    old = worktree.blob_id(b"one", "x")
    changes = [change(name, b"two", old=old) for name in ("as-before", "edited", "removed")]
    changes.append(change("made", b"two"))
    found = worktree.unwritten(tmp_path, changes)
    assert [one.path for one in found] == ["as-before", "made"]


def test_a_file_saved_a_moment_ago_is_left_alone_until_it_settles(tmp_path):
    path = tmp_path / "notes.md"
    path.write_bytes(b"x")
    saved = path.stat().st_mtime
    with pytest.raises(CommitHeld, match="is being edited") as raised:
        worktree.check_settled(tmp_path, "notes.md", saved + 0.5)
    assert (raised.value.path, raised.value.soon) == ("notes.md", True)
    worktree.check_settled(tmp_path, "notes.md", saved + worktree.SETTLED_SECONDS)
    worktree.check_settled(tmp_path, "notes.md", saved - 3600)  # The clock was put back.
    worktree.check_settled(tmp_path, "gone.md", saved)
