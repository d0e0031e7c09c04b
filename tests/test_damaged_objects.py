import os

import pytest

from acontext_fs import damaged_objects
from acontext_fs.errors import HistoryError
from tests.repository import MESSAGE, A, edit


def place(store, name: str):
    return store.root / ".git" / "objects" / name[:2] / name[2:]


def spoil(path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_damaged_objects_are_taken_away_and_whole_ones_stay(store, git, tmp_path):
    names = {
        text: git("hash-object", "-w", "--stdin", stdin=text).strip()
        for text in ("whole", "empty", "cut", "zeros", "another")
    }
    spoil(place(store, names["empty"]), b"")
    spoil(place(store, names["cut"]), place(store, names["cut"]).read_bytes()[:-3])
    spoil(place(store, names["zeros"]), bytes(20))
    spoil(place(store, names["another"]), place(store, names["whole"]).read_bytes())
    shelf = tmp_path / "shelf"
    found = damaged_objects.take_away(store.root / ".git" / "objects", shelf)
    damaged = {names[text] for text in ("empty", "cut", "zeros", "another")}
    assert set(found) == damaged == set(os.listdir(shelf))
    assert git("cat-file", "blob", names["whole"]) == "whole"
    assert git("fsck", "--strict", "--no-dangling") == ""


def test_a_damaged_object_that_is_taken_away_is_written_anew(store, git, history, tmp_path):
    name = git("hash-object", "-w", "--stdin", stdin="new\n").strip()
    spoil(place(store, name), b"")
    assert damaged_objects.take_away(store.root / ".git" / "objects", tmp_path) == [name]
    assert history.commit([edit(A)], MESSAGE)
    assert git("show", f"HEAD:{A}") == "new\n"
    assert git("fsck", "--strict", "--no-dangling") == ""


def test_without_that_a_commit_is_refused_for_ever_or_leads_to_the_damaged_object(
    store, git, history
):
    """Why it is done: whoever writes an object looks whether there is a file, not what is in it."""
    text = "".join(f"{number}\n" for number in range(2000))
    cut = git("hash-object", "-w", "--stdin", stdin=text).strip()
    empty = git("hash-object", "-w", "--stdin", stdin="new\n").strip()
    spoil(place(store, cut), place(store, cut).read_bytes()[:-100])
    spoil(place(store, empty), b"")
    with pytest.raises(HistoryError):
        history.commit([edit(A)], MESSAGE)
    history.commit([edit(A, text.encode())], MESSAGE)
    assert git("rev-parse", f"HEAD:{A}").strip() == cut
    with pytest.raises(AssertionError, match="unable to stream"):
        git("cat-file", "blob", cut)
