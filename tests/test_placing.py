"""Files put in place beside a person who saves at the same moment, in either way editors do it."""

import errno
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from acontext_fs import placing, swapping, worktree
from acontext_fs.errors import StoreError
from acontext_fs.worktree import Change

SAVES_MIN = 10
BEFORE, LEARNED, HAND = b"a\nb\nc\n", b"a\nb\nc\nlearned\n", b"by hand\na\nb\nc\n"


def change(path, content, *, before=None, mode=0o100644, archive=False, merge=False):
    old = worktree.blob_id(before, path)
    return Change(path, old, "", mode, content, archive, merge=merge, before=before)


@pytest.fixture(params=["exchange", "rename"], autouse=True)
def way(request, monkeypatch):
    """Where names can be exchanged, and where they cannot."""
    if request.param == "rename":
        monkeypatch.setattr(swapping, "_call", lambda: None)
    return request.param


def test_files_are_written_and_removed_and_transcripts_left_alone(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "gone").write_bytes(b"x")
    (tmp_path / "log").write_bytes(b"appended to")
    (tmp_path / "old").write_bytes(b"old")
    placing.place(
        tmp_path,
        [
            change("new/run", b"#!/bin/sh\n", mode=worktree.EXECUTABLE),
            change("folder/gone", None, before=b"x"),
            change("log", b"as committed", archive=True),
            change("old", b"new", before=b"old"),
        ],
    )
    assert stat.S_IMODE((tmp_path / "new" / "run").stat().st_mode) == 0o755
    assert (tmp_path / "log").read_bytes() == b"appended to"
    assert (tmp_path / "old").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["log", "new", "old"]


def test_if_one_file_cannot_be_staged_none_is_replaced(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot write"):
        placing.place(tmp_path, [change("a", b"new", before=b"old"), change("file/b", b"new")])
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a", "file"]


@pytest.mark.parametrize("merge", [True, False])
def test_what_was_saved_since_it_was_looked_at_is_kept_and_merged_into(tmp_path, merge):
    path = tmp_path / "notes.md"
    path.write_bytes(HAND)
    placing.place(tmp_path, [change("notes.md", LEARNED, before=BEFORE, merge=merge)])
    assert path.read_bytes() == (b"by hand\n" + LEARNED if merge else HAND)
    assert os.listdir(tmp_path) == ["notes.md"]


@pytest.mark.parametrize("saved", [b"a\nb\nC\nanother end\n", b"", None])
def test_what_cannot_be_merged_stays_as_the_person_has_it(tmp_path, saved):
    path = tmp_path / "notes.md"
    if saved is not None:
        path.write_bytes(saved)
    learned = b"a\nb\nsee\n"
    placing.place(tmp_path, [change("notes.md", learned, before=BEFORE, merge=True)])
    assert (path.read_bytes() if path.exists() else None) == saved
    assert os.listdir(tmp_path) == ([] if saved is None else ["notes.md"])


def test_a_file_that_somebody_made_meanwhile_stays(tmp_path):
    (tmp_path / "new.md").write_bytes(HAND)
    placing.place(tmp_path, [change("new.md", LEARNED, merge=True)])
    assert (tmp_path / "new.md").read_bytes() == HAND
    assert os.listdir(tmp_path) == ["new.md"]


def test_a_removed_file_that_was_saved_meanwhile_stays(tmp_path):
    (tmp_path / "notes.md").write_bytes(HAND)
    placing.place(tmp_path, [change("notes.md", None, before=BEFORE, merge=True)])
    assert (tmp_path / "notes.md").read_bytes() == HAND
    assert os.listdir(tmp_path) == ["notes.md"]


@pytest.mark.parametrize("closes", [True, False])
def test_an_editor_that_had_the_file_open_and_saves_into_it_is_noticed(
    tmp_path, monkeypatch, closes
):
    path = tmp_path / "notes.md"
    path.write_bytes(BEFORE)
    real = placing._folders

    with open(path, "r+b", buffering=0) as editor:

        def save(*given):
            editor.write(HAND)
            if closes:
                editor.close()
            return real(*given)

        monkeypatch.setattr(placing, "_folders", save)
        placing.place(tmp_path, [change("notes.md", LEARNED, before=BEFORE, merge=True)])
    noticed = swapping._call() is not None
    assert path.read_bytes() == (b"by hand\n" + LEARNED if noticed else LEARNED)
    kept = [name for name in os.listdir(tmp_path) if name != "notes.md"]
    # What it still writes into is not thrown away, where the system tells that it is open.
    assert len(kept) == (noticed and not closes and sys.platform == "linux")
    assert [(tmp_path / name).read_bytes() for name in kept] == [HAND][: len(kept)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_an_editor_in_the_middle_of_saving_is_waited_for(tmp_path, way, monkeypatch):
    if way == "rename":
        pytest.skip("without an exchange of names the file is gone by then")
    path = tmp_path / "notes.md"
    path.write_bytes(BEFORE)
    with open(path, "r+b", buffering=0) as editor:

        def sleep(seconds):
            if not editor.closed:
                editor.write(HAND)
                editor.close()

        monkeypatch.setattr(placing.time, "sleep", sleep)
        placing.place(tmp_path, [change("notes.md", LEARNED, before=BEFORE, merge=True)])
    assert path.read_bytes() == b"by hand\n" + LEARNED
    assert os.listdir(tmp_path) == ["notes.md"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_an_editor_that_opened_what_is_exchanged_once_more_is_waited_for_too(
    tmp_path, way, monkeypatch
):
    """Giving back what the first had saved takes away what the second had just opened."""
    if way == "rename":
        pytest.skip("without an exchange of names the file is gone by then")
    path = tmp_path / "notes.md"
    path.write_bytes(BEFORE)
    real, waiting = swapping.exchange, [b"first\n", b"second\n"]
    editors = []

    def exchange(one, other):
        if waiting:
            descriptor = os.open(path, os.O_RDWR)
            editors.append((descriptor, waiting.pop(0) + os.read(descriptor, 100)))
        return real(one, other)

    def sleep(seconds):
        for descriptor, text in editors:
            os.pwrite(descriptor, text, 0)
            os.close(descriptor)
        editors.clear()

    monkeypatch.setattr(placing, "exchange", exchange)
    monkeypatch.setattr(placing.time, "sleep", sleep)
    placing.place(tmp_path, [change("notes.md", LEARNED, before=BEFORE, merge=True)])
    assert waiting == editors == []
    assert sorted(path.read_bytes().split(b"\n")) == sorted(
        (b"first\nsecond\n" + LEARNED).split(b"\n")
    )
    assert os.listdir(tmp_path) == ["notes.md"]


# -- what is saved while names are exchanged ------------------------------------------------------


def saving_at(monkeypatch, path, saves):
    """A person saves as `saves` say, by number of the exchange: just before it is made."""
    real, count = swapping.exchange, iter(range(1, 100))

    def exchange(one, other):
        data = saves.get(next(count))
        if isinstance(data, OSError):
            raise data
        if data is not None:
            new = path.with_name("editor")
            new.write_bytes(data)
            os.replace(new, path)
        return real(one, other)

    monkeypatch.setattr(placing, "exchange", exchange)


def test_of_two_saves_around_an_exchange_none_is_lost(tmp_path, way, monkeypatch):
    """The second is made while the first is out of its place."""
    if way == "rename":
        pytest.skip("nothing is out of its place without an exchange of names")
    path = tmp_path / "notes.md"
    path.write_bytes(BEFORE)
    saving_at(monkeypatch, path, {1: b"first\n" + BEFORE, 2: BEFORE.replace(b"b\n", b"B\n")})
    placing.place(tmp_path, [change("notes.md", LEARNED, before=BEFORE, merge=True)])
    assert path.read_bytes() == b"first\n" + LEARNED.replace(b"b\n", b"B\n")
    assert os.listdir(tmp_path) == ["notes.md"]


def test_of_two_saves_that_overlap_the_newer_is_there_and_the_older_kept(
    tmp_path, way, monkeypatch
):
    if way == "rename":
        pytest.skip("nothing is out of its place without an exchange of names")
    path = tmp_path / "notes.md"
    path.write_bytes(BEFORE)
    saving_at(monkeypatch, path, {1: b"first\n", 2: b"second\n"})
    placing.place(tmp_path, [change("notes.md", LEARNED, before=BEFORE)])
    assert path.read_bytes() == b"second\n"
    (kept,) = (one for one in tmp_path.iterdir() if one != path)
    assert kept.read_bytes() == b"first\n"
    assert (kept.name[:10], kept.suffix) == (".acontext-", ".tmp")


def test_where_the_disk_fails_a_save_that_is_out_of_its_place_is_kept(tmp_path, way, monkeypatch):
    if way == "rename":
        pytest.skip("nothing is out of its place without an exchange of names")
    path = tmp_path / "notes.md"
    path.write_bytes(BEFORE)
    failed = OSError(errno.EIO, os.strerror(errno.EIO))
    saving_at(monkeypatch, path, {1: HAND, 2: failed})
    with pytest.raises(StoreError, match="cannot write"):
        placing.place(tmp_path, [change("notes.md", LEARNED, before=BEFORE, merge=True)])
    assert sorted(one.read_bytes() for one in tmp_path.iterdir()) == sorted([HAND, LEARNED])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPERM, errno.EXDEV])
def test_where_names_are_not_exchanged_nothing_is_left_over(tmp_path, way, monkeypatch, number):
    if way == "rename":
        pytest.skip("there it is not tried")
    path = tmp_path / "notes.md"
    path.write_bytes(BEFORE)
    saving_at(monkeypatch, path, {1: OSError(number, os.strerror(number))})
    with pytest.raises(StoreError, match="cannot write"):
        placing.place(tmp_path, [change("notes.md", LEARNED, before=BEFORE, merge=True)])
    assert path.read_bytes() == BEFORE
    assert os.listdir(tmp_path) == ["notes.md"]


# -- what a file is besides its text --------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_who_may_read_a_file_stays(tmp_path, mode):
    path = tmp_path / "notes.md"
    path.write_bytes(BEFORE)
    path.chmod(mode)
    placing.place(tmp_path, [change("notes.md", LEARNED, before=BEFORE, merge=True)])
    assert path.read_bytes() == LEARNED
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has them in Python")
def test_what_a_file_is_tagged_with_stays(tmp_path):
    path = tmp_path / "notes.md"
    path.write_bytes(BEFORE)
    try:
        os.setxattr(path, "user.tag", b"mine")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    placing.place(tmp_path, [change("notes.md", LEARNED, before=BEFORE, merge=True)])
    assert os.getxattr(path, "user.tag") == b"mine"


def test_a_link_that_a_person_put_there_meanwhile_stays(tmp_path):
    (tmp_path / "elsewhere").write_bytes(BEFORE)
    (tmp_path / "notes.md").symlink_to("elsewhere")
    placing.place(tmp_path, [change("notes.md", LEARNED, before=BEFORE)])
    assert (tmp_path / "notes.md").is_symlink()
    assert (tmp_path / "elsewhere").read_bytes() == BEFORE


@pytest.mark.parametrize("there", ["nothing", "a file", "a folder"])
def test_what_is_to_be_removed_and_is_gone_is_nothing_to_do(tmp_path, there):
    path = tmp_path / "folder" / "notes.md"
    if there == "a file":
        path.parent.write_bytes(b"x")
    elif there == "a folder":
        path.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    placing.place(tmp_path, [change("folder/notes.md", None, before=BEFORE)])
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("atomic", [True, False])
def test_a_person_who_saves_all_the_time_loses_no_line(tmp_path, way, atomic):
    """Each side adds lines of its own: at the end all are there, once."""
    if way == "rename":
        pytest.skip("without an exchange of names a moment remains in which a save is lost")
    path = tmp_path / "notes.md"
    path.write_bytes(b"top\n\nbottom\n")
    stop, said = threading.Event(), []

    def person() -> None:
        while not stop.is_set() or len(said) < SAVES_MIN:
            line = b"hand %d" % len(said)
            if _save(path, line, atomic=atomic):
                said.append(line)
            stop.wait(0.004)

    thread = threading.Thread(target=person)
    thread.start()
    learned = []
    for number in range(20):
        there = path.read_bytes()
        if b"bottom\n" not in there:
            continue  # In the middle of being written; the store waits until it settles.
        line = b"learned %d" % number
        edited = change("notes.md", there + line + b"\n", before=there, merge=True)
        placing.place(tmp_path, [edited])
        learned.append(line)
    stop.set()
    thread.join()
    found = path.read_bytes().split(b"\n")
    assert len(said) >= SAVES_MIN
    assert [line for line in said if found.count(line) != 1] == []
    assert os.listdir(tmp_path) == ["notes.md"]


def _save(path: Path, line: bytes, *, atomic: bool) -> bool:
    """Put a line under the first, as an editor that reads, and saves in one go."""
    text = path.read_bytes()
    if not text.startswith(b"top\n"):
        return False
    new = b"top\n" + line + b"\n" + text.removeprefix(b"top\n")
    if atomic:
        before = path.with_name(".swp")
        before.write_bytes(new)
        if path.read_bytes() != text:
            before.unlink()
            return False  # Editors ask before they write over a file that changed.
        os.replace(before, path)
        return True
    with open(path, "r+b", buffering=0) as file:
        if file.read() != text:
            return False
        file.seek(0)
        file.write(new)
    return True
