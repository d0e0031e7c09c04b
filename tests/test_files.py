import os
import resource
import stat
import subprocess
import sys

import pytest

from acontext_fs import files
from acontext_fs.errors import StoreError


def test_a_file_is_made_with_its_folders_and_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    files.write_atomic(path, b"one")
    first = path.stat().st_ino
    files.write_atomic(path, b"two", 0o755)
    assert path.read_bytes() == b"two"
    assert path.stat().st_ino != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert os.listdir(path.parent) == ["file"]


def test_a_reader_who_has_the_old_file_open_keeps_the_old_content(tmp_path):
    path = tmp_path / "file"
    files.write_atomic(path, b"old")
    with open(path, "rb") as reader:
        files.write_atomic(path, b"new content")
        assert reader.read() == b"old"


def test_with_no_room_left_the_old_content_stays_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    script = """
import resource, sys
from pathlib import Path
from acontext_fs import files
from acontext_fs.errors import StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    files.write_atomic(Path(sys.argv[1]), b"x" * 5000)
except StoreError as error:
    print(error)
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert f"cannot write {path}: File too large" in done.stdout
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    (tmp_path / "file" / "x").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"a folder is in the place of a file"):
        files.write_atomic(tmp_path / "file", b"")
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "folder").touch()
    for act in (
        lambda: files.write_atomic(tmp_path / "folder" / "sub" / "file", b""),
        lambda: files.make_folder(tmp_path / "folder"),
        lambda: files.make_folder(tmp_path / "folder" / "sub"),
    ):
        with pytest.raises(StoreError, match=r"folder"):
            act()


def test_durable_syncs_the_file_before_and_the_folder_after_the_rename(tmp_path, monkeypatch):
    done = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda *a: (done.append("rename"), replace(*a)))
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: (
            done.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"),
            fsync(fd),
        ),
    )
    files.write_atomic(tmp_path / "file", b"x")
    assert done == ["file", "rename", "folder"]
    done.clear()
    files.write_atomic(tmp_path / "file", b"x", durable=False)
    assert done == ["rename"]


def test_reading_tells_no_file_from_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    assert files.read_bytes(tmp_path / "file") == b"x"
    assert files.read_bytes(tmp_path / "none") is None
    assert files.read_bytes(tmp_path / "file" / "below") is None
    with pytest.raises(StoreError, match=r"a folder is in the place of a file"):
        files.read_bytes(tmp_path)
