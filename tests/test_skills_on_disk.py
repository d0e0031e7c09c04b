"""Skills as they stand on a disk: what is taken of them, and what is in the way of a new file."""

import os

import pytest

from acontext_fs import skills
from acontext_fs.errors import SkillInvalid

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")


class Listing(list):
    """What `os.scandir` gives, from a list."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_snapshot_takes_regular_visible_files_only(tmp_path):
    for path in ["a/SKILL.md", "a/sub/x.md", "a/.hidden.md", ".git/x", "a/y.tmp", "b/run.py"]:
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.encode())
    (tmp_path / "a/big.md").write_bytes(b"x" * (skills.SNAPSHOT_FILE_BYTES_MAX + 1))
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "secret.md").write_bytes(b"secret")
    os.symlink(outside, tmp_path / "a/linked")
    os.symlink(outside / "secret.md", tmp_path / "a/linked.md")
    assert skills.snapshot(tmp_path) == {
        "a/SKILL.md": b"a/SKILL.md",
        "a/sub/x.md": b"a/sub/x.md",
        "b/run.py": b"b/run.py",
    }
    assert list(skills.snapshot(tmp_path)) == ["a/SKILL.md", "a/sub/x.md", "b/run.py"]


def test_snapshot_of_no_folder_is_empty(tmp_path):
    assert skills.snapshot(tmp_path / "missing") == {}
    (tmp_path / "file").write_bytes(b"")
    assert skills.snapshot(tmp_path / "file") == {}


def test_snapshot_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(skills, "SNAPSHOT_FILES_MAX", 2)
    for n in range(3):
        (tmp_path / f"{n}.md").write_bytes(b"")
    with pytest.raises(SkillInvalid, match="more than 2 files"):
        skills.snapshot(tmp_path)


def test_what_vanishes_between_the_listing_and_the_look_is_left_out(tmp_path, monkeypatch):
    (tmp_path / "a.md").write_bytes(b"a")
    (tmp_path / "gone.md").write_bytes(b"gone")
    scandir = os.scandir

    def late(folder):
        found = Listing(scandir(folder))
        (tmp_path / "gone.md").unlink()
        return found

    monkeypatch.setattr(os, "scandir", late)
    assert skills.snapshot(tmp_path) == {"a.md": b"a"}


@pytest.mark.parametrize("becomes", ["nothing", "link", "large", "folder", "unreadable"])
def test_what_changes_between_the_look_and_the_reading_is_left_out(tmp_path, monkeypatch, becomes):
    (tmp_path / "a.md").write_bytes(b"a")
    changing = tmp_path / "b.md"
    changing.write_bytes(b"b")
    open_ = os.open

    def late(path, *rest):
        if path == changing:
            changing.unlink()
            if becomes == "link":
                changing.symlink_to(tmp_path / "a.md")
            elif becomes == "large":
                changing.write_bytes(b"x" * (skills.SNAPSHOT_FILE_BYTES_MAX + 1))
            elif becomes == "folder":
                changing.mkdir()
            elif becomes == "unreadable":
                raise PermissionError(13, "Permission denied", str(path))
        return open_(path, *rest)

    monkeypatch.setattr(os, "open", late)
    assert skills.snapshot(tmp_path) == {"a.md": b"a"}


@needs_pipes
def test_a_pipe_is_left_out(tmp_path):
    os.mkfifo(tmp_path / "p.md")
    assert skills.snapshot(tmp_path) == {}


def obstacles(folder):
    """A folder `skills/` with one of each thing that a snapshot leaves out."""
    (folder / "a/dir.md").mkdir(parents=True)
    (folder / "a/x.md").write_bytes(b"x")
    (folder / "a/big.md").write_bytes(b"x" * (skills.SNAPSHOT_FILE_BYTES_MAX + 1))
    (folder / "a/no\u00a0break.md").write_bytes(b"x")
    (folder / "a/linked.md").symlink_to("x.md")
    (folder / "a/loop.md").symlink_to("loop.md")
    (folder / "a/dangling.md").symlink_to("nowhere.md")
    (folder / "linked").symlink_to("a")
    return folder


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("a/linked.md", "it is a symbolic link"),
        ("a/loop.md", "it is a symbolic link"),
        ("a/dangling.md", "it is a symbolic link"),
        ("linked/new.md", "skills/linked is a symbolic link"),
        ("a/linked.md/new.md", "skills/a/linked.md is a symbolic link"),
        ("a/big.md", "it has 1048577 bytes"),
        ("a/big.md/new.md", "skills/a/big.md has 1048577 bytes"),
        ("a/dir.md", "it is a folder"),
        ("a/no\u00a0break.md", "it has a name that is not printable"),
    ],
)
def test_blocked_names_the_first_path_where_something_unseen_stands(tmp_path, path, what):
    folder = obstacles(tmp_path / "skills")
    said = skills.blocked(folder, ["a/x.md", path, "a/dir.md"])
    assert said.startswith(f"skills/{path} cannot be written: {what}")
    assert path not in skills.snapshot(folder)


def test_blocked_is_silent_where_a_snapshot_sees_all_there_is(tmp_path):
    folder = obstacles(tmp_path / "skills")
    free = ["a/x.md", "a/new.md", "a/dir.md/new.md", "new/SKILL.md", "a/x.md/below.md"]
    assert skills.blocked(folder, free) == ""
    assert skills.blocked(tmp_path / "missing", free) == ""
    assert skills.blocked(folder, []) == ""


@needs_pipes
def test_a_pipe_blocks(tmp_path):
    os.mkfifo(tmp_path / "p.md")
    assert "it is a pipe or a device" in skills.blocked(tmp_path, ["p.md"])


def test_a_skills_folder_that_is_a_link_blocks_all_of_it(tmp_path):
    obstacles(tmp_path / "real")
    (tmp_path / "skills").symlink_to("real")
    assert "skills/ is a symbolic link" in skills.blocked(tmp_path / "skills", ["a/new.md"])


@pytest.mark.parametrize("unreadable", ["a", "a/x.md"])
def test_what_nobody_may_read_blocks(tmp_path, monkeypatch, unreadable):
    folder = obstacles(tmp_path / "skills")
    access = os.access
    monkeypatch.setattr(os, "access", lambda p, m: p != folder / unreadable and access(p, m))
    assert "cannot be read: check who owns it" in skills.blocked(folder, ["a/x.md"])


def test_what_cannot_be_looked_at_blocks(tmp_path):
    said = skills.blocked(tmp_path, ["a" * 5000 + "/x.md"])
    assert "cannot be looked at: File name too long" in said


@pytest.mark.parametrize(
    ("mode", "what"), [(0o755, "it can be run"), (0o444, "it is read-only"), (0o500, "read-only")]
)
def test_a_file_that_can_be_run_or_not_be_written_blocks(tmp_path, mode, what):
    folder = obstacles(tmp_path / "skills")
    (folder / "a/SKILL.md").write_bytes(b"x")
    assert skills.blocked(folder, ["a/x.md"]) == ""
    (folder / "a/x.md").chmod(mode)
    assert what in skills.blocked(folder, ["a/new.md", "a/x.md"])


def test_on_a_disk_where_everything_can_be_run_that_says_nothing(tmp_path):
    folder = obstacles(tmp_path / "skills")
    (folder / "a/SKILL.md").write_bytes(b"x")
    for name in ("x.md", "SKILL.md"):
        (folder / "a" / name).chmod(0o777)
    assert skills.blocked(folder, ["a/x.md"]) == ""
