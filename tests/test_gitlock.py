import os

import pytest

from acontext_fs import gitlock
from acontext_fs.errors import CommitHeld
from acontext_fs.gitlock import IndexLock, clear_branch_lock


def test_it_is_there_while_it_is_held_and_not_before_or_after(tmp_path):
    lock = IndexLock(tmp_path)
    for _ in range(2):
        assert not (tmp_path / "index.lock").exists()
        with lock.hold():
            assert (tmp_path / "index.lock").exists()
    assert not (tmp_path / "index.lock").exists()


def test_it_is_released_after_an_error(tmp_path):
    lock = IndexLock(tmp_path)
    with pytest.raises(ZeroDivisionError), lock.hold():
        raise ZeroDivisionError
    assert not (tmp_path / "index.lock").exists()


def test_one_that_somebody_else_holds_is_neither_taken_nor_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(gitlock, "PATIENCE_SECONDS", 0.02)
    (tmp_path / "index.lock").write_bytes(b"")
    lock = IndexLock(tmp_path)
    with pytest.raises(CommitHeld, match="another git process holds"), lock.hold():
        pytest.fail("held twice")
    lock.clear()
    assert (tmp_path / "index.lock").exists()


def test_one_of_ours_that_a_crash_left_is_removed(tmp_path):
    with IndexLock(tmp_path).hold():
        os.link(tmp_path / "index.lock", tmp_path / "kept")
    os.link(tmp_path / "kept", tmp_path / "index.lock")
    lock = IndexLock(tmp_path)
    lock.clear()
    assert not (tmp_path / "index.lock").exists()
    with lock.hold():
        assert (tmp_path / "index.lock").exists()


@pytest.mark.parametrize(
    ("held", "age", "crashed", "left"),
    [
        (b"1" * 40 + b"\n", 0.0, False, False),
        (b"2" * 40 + b"\n", 1000.0, True, True),
        (b"", 0.0, True, True),
        (b"", 1.0, False, True),
        (b"", 1.0, True, False),
        (b"", 1000.0, False, False),
    ],
)
def test_a_branch_is_unlocked_if_only_a_crash_of_ours_can_have_locked_it(
    tmp_path, held, age, crashed, left
):
    lock = tmp_path / "main.lock"
    lock.write_bytes(held)
    then = lock.stat().st_mtime - age
    os.utime(lock, (then, then))
    clear_branch_lock(tmp_path / "main", "1" * 40, crashed=crashed)
    assert lock.exists() is left


def test_a_branch_without_a_lock_is_fine(tmp_path):
    clear_branch_lock(tmp_path / "main", "1" * 40, crashed=True)
    assert list(tmp_path.iterdir()) == []
