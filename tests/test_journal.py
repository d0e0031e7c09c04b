import pytest

from acontext_fs.journal import Journal
from acontext_fs.worktree import Change

CHANGES = [
    Change("a.json", "", "1" * 40, 0o100644, b"x", False),
    Change("s.jsonl", "2" * 40, "3" * 40, 0o100755, b"y", True),
    Change("gone", "4" * 40, "", 0o100644, None, False),
]


def test_what_is_written_is_read_back_without_contents(tmp_path):
    journal = Journal(tmp_path / "local" / "journal.json")
    journal.write("5" * 40, CHANGES, [])
    found = journal.read()
    assert found is not None
    commit, changes = found
    assert commit == "5" * 40
    assert [(c.path, c.old, c.new, c.mode, c.archive) for c in changes] == [
        (c.path, c.old, c.new, c.mode, c.archive) for c in CHANGES
    ]
    assert [c.content for c in changes] == [None, None, None]


def test_there_is_none_before_it_is_written_and_after_it_is_dropped(tmp_path):
    journal = Journal(tmp_path / "journal.json")
    assert journal.read() is None
    journal.drop()
    journal.write("5" * 40, CHANGES, [])
    journal.drop()
    assert journal.read() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b'{"commit":"5"}', b'{"commit":"5","files":[{}]}']
)
def test_what_is_no_journal_is_removed(tmp_path, data):
    path = tmp_path / "journal.json"
    path.write_bytes(data)
    assert Journal(path).read() is None
    assert not path.exists()
