"""The files on disk as a source: what is in the store, and what tells that it changed."""

from __future__ import annotations

import os
import time

import pytest

from acontext_fs.errors import StoreError

PATH = "spaces/default/skills/daily-logs/a.md"


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "a.md").write_text("a secret\n")
    return folder


def test_a_link_is_no_file_of_the_store(store, outside):
    store.layout.path(PATH).symlink_to(outside / "a.md")
    assert store.source.stamp(PATH) is None
    assert store.source.read(PATH) is None
    assert not store.source.holds(PATH)
    assert PATH not in store.source.paths("spaces/default/skills")
    assert PATH not in [entry.path for entry in store.source.walk("spaces/default/skills")]


def test_nothing_is_read_behind_a_folder_that_is_a_link(store, outside):
    folder = "spaces/default/skills/linked"
    store.layout.path(folder).symlink_to(outside)
    assert store.source.read(f"{folder}/a.md") is None
    assert not store.source.holds(f"{folder}/a.md")
    assert list(store.source.walk(folder)) == list(store.source.paths(folder)) == []
    store.layout.path("spaces/linked").symlink_to(store.layout.path("spaces/default"))
    assert store.source.space_names() == ["default"]


def test_a_file_that_was_written_again_has_another_stamp_whatever_its_time_says(store, write):
    place = write(PATH, "one\n")
    before, status = store.source.stamp(PATH), place.stat()
    assert store.source.stamp(PATH) == before
    deadline = time.monotonic() + 10
    while store.source.stamp(PATH) == before and time.monotonic() < deadline:
        place.write_text("two\n")  # Until the clock of the file system ticks.
        os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = place.stat()
    assert (after.st_size, after.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert store.source.stamp(PATH) != before
    (entry,) = (one for one in store.source.walk("spaces/default/skills") if one.path == PATH)
    assert entry.stamp == store.source.stamp(PATH)


def test_a_line_is_read_from_where_it_begins(store, write):
    write(PATH, "one\ntwo\nthree")
    assert [store.source.read_line(PATH, start) for start in (0, 4, 8, 99)] == [
        b"one",
        b"two",
        b"three",
        b"",
    ]
    with pytest.raises(StoreError, match=r"cannot read .*nothing\.md"):
        store.source.read_line("spaces/default/nothing.md", 0)


def test_what_is_no_file_cannot_be_read_and_has_no_stamp(store):
    place = store.layout.path(PATH)
    place.mkdir()
    assert store.source.stamp(PATH) is None
    with pytest.raises(StoreError, match="move it away"):
        store.source.read(PATH)
    place.rmdir()
    os.mkfifo(place)
    with pytest.raises(StoreError, match="move it away"):
        store.source.read(PATH)  # And does not wait for the other end.
