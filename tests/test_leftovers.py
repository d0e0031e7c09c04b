import shutil

from acontext_fs import leftovers
from acontext_fs.owning import lock_identity, own


def crashed(store) -> None:
    """A process owned the store and died."""
    with own(store.layout, "daemon", store.clock):
        note = (store.layout.local / "owner.json").read_bytes()
    (store.layout.local / "owner.json").write_bytes(note)


def test_what_a_crash_left_half_written_is_put_away_by_the_next_owner(store, write):
    crashed(store)
    half = write("spaces/default/tasks/2026/.acontext-abc.tmp", "half")
    write("spaces/default/skills/x/.acontext-abc.tmp", "another half")
    write(".git/.acontext-abc.tmp", "half a journal")
    write(".acontext/.acontext-abc.tmp", "half a state")
    theirs = write("spaces/default/sessions/mine.tmp", "a person's")
    with own(store.layout, "daemon", store.clock):
        assert not half.exists()
        assert theirs.read_text() == "a person's"
    kept = {file.read_text() for file in leftovers.folder(store.layout).iterdir()}
    assert kept == {"half", "another half", "half a journal", "half a state"}


def test_it_is_found_without_the_note_when_the_local_folder_was_deleted(store, write):
    with own(store.layout, "daemon", store.clock):
        pass
    half = write("spaces/default/tasks/2026/.acontext-abc.tmp", "half")
    shutil.rmtree(store.layout.local)
    with own(store.layout, "daemon", store.clock):
        assert not half.exists()
    assert [file.read_text() for file in leftovers.folder(store.layout).iterdir()] == ["half"]


def test_after_a_clean_end_nothing_is_looked_for(store, write):
    with own(store.layout, "daemon", store.clock):
        pass
    other = write("spaces/default/.acontext-abc.tmp", "being written by somebody")
    with own(store.layout, "daemon", store.clock):
        assert other.exists()


def test_no_more_than_so_many_are_kept_and_the_newest_of_them(store, write, monkeypatch):
    monkeypatch.setattr(leftovers, "LEFTOVERS_MAX", 2)
    for number in range(4):
        write(f"spaces/default/.acontext-{number}.tmp", str(number))
    assert len(leftovers.put_away(store.layout)) == 4
    assert len(list(leftovers.folder(store.layout).iterdir())) == 2


def test_who_lost_the_lock_leaves_the_note_of_the_next_owner(store):
    note = store.layout.local / "owner.json"
    with own(store.layout, "daemon", store.clock):
        before = lock_identity(store.layout)
        (store.layout.local / "owner.lock").rename(store.layout.local / "gone")
        assert lock_identity(store.layout) is None
        with own(store.layout, "flush", store.clock):
            assert lock_identity(store.layout) != before
            theirs = note.read_bytes()
            assert b"flush" in theirs
        note.write_bytes(theirs)
        assert lock_identity(store.layout) != before
    assert note.read_bytes() == theirs


def test_a_damaged_note_of_the_owner_is_no_error(store):
    from acontext_fs.owning import owner

    with own(store.layout, "daemon", store.clock):
        assert "`acontext-fs daemon`" in owner(store.layout)
        (store.layout.local / "owner.json").write_bytes(b"")
        assert owner(store.layout) == "another process"
