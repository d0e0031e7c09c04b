import os
import stat

import pytest

from acontext_fs import worktree
from acontext_fs.commits import FileEdit
from acontext_fs.errors import CommitConflict, CommitHeld, StoreError
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


def test_files_are_written_and_removed_and_transcripts_left_alone(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "gone").write_bytes(b"x")
    (tmp_path / "log").write_bytes(b"appended to")
    worktree.write(
        tmp_path,
        [
            change("new/run", b"#!/bin/sh\n", mode=worktree.EXECUTABLE),
            change("folder/gone", None),
            change("log", b"as committed", archive=True),
        ],
    )
    assert stat.S_IMODE((tmp_path / "new" / "run").stat().st_mode) == 0o755
    assert (tmp_path / "log").read_bytes() == b"appended to"
    assert sorted(os.listdir(tmp_path)) == ["log", "new"]


def test_if_one_file_cannot_be_staged_none_is_replaced(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot write"):
        worktree.write(tmp_path, [change("a", b"new"), change("file/b", b"new")])
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a", "file"]
