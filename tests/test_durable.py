import os
import stat
from pathlib import Path

import pytest

from acontext_fs import durable
from acontext_fs.errors import StoreError


@pytest.fixture
def synced(monkeypatch):
    """Every path that was synced, in the order of the calls' ends, and the names at that time."""
    done: list[Path] = []
    real = os.fsync

    def fsync(descriptor):
        done.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return done


def test_files_are_replaced_together_and_nothing_else_is_left(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    several = [
        durable.stage(tmp_path / "a", b"new"),
        durable.stage(tmp_path / "b" / "c", b"made", 0o755),
    ]
    assert (tmp_path / "a").read_bytes() == b"old"
    durable.replace(several)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "b" / "c").read_bytes() == b"made"
    assert stat.S_IMODE((tmp_path / "b" / "c").stat().st_mode) == 0o755
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert os.listdir(tmp_path / "b") == ["c"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks the kernel for names")
def test_everything_is_synced_once_contents_before_names(tmp_path, synced):
    (tmp_path / "b").mkdir()
    (tmp_path / "there").write_bytes(b"x")
    several = [durable.stage(tmp_path / "b" / name, b"x") for name in ("one", "two")]
    durable.replace(several, [tmp_path / "there"])
    temporary = {one.temporary for one in several}
    assert set(synced[:3]) == {*temporary, tmp_path / "there"}
    assert set(synced[3:]) == {tmp_path / "b", tmp_path}
    assert len(synced) == 5


def test_more_files_than_threads_are_all_synced(tmp_path, monkeypatch):
    paths = [tmp_path / str(number) for number in range(5 * durable.AT_ONCE + 1)]
    for path in paths:
        path.write_bytes(b"x")
    count = []
    monkeypatch.setattr(os, "fsync", count.append)
    durable.sync(paths)
    assert len(count) == len(paths)


def test_what_is_gone_needs_no_sync(tmp_path):
    # `git gc` packs an object, and removes its file and folder, between two of our steps.
    durable.sync([tmp_path / "gone" / "file"])
    durable.replace([durable.stage(tmp_path / "a", b"x")], [tmp_path / "gone" / "file"])
    assert (tmp_path / "a").read_bytes() == b"x"


def test_a_disk_that_fails_is_an_error_and_leaves_the_old_content(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")
    staged = [durable.stage(tmp_path / "a", b"new")]

    def failing(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StoreError, match="Input/output error"):
        durable.replace(staged)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_what_cannot_be_replaced_is_named_and_the_rest_is_dropped(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "in the way").write_bytes(b"")
    several = [durable.stage(tmp_path / name, b"new") for name in ("a", "b", "c")]
    with pytest.raises(StoreError, match=r"cannot write .*/b: "):
        durable.replace(several)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_file_where_a_folder_is_needed_is_a_clear_error(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot write"):
        durable.stage(tmp_path / "a" / "b", b"x")
