"""Sessions parsed once: grown in place, verified, and forgotten when they are too many."""

from __future__ import annotations

import pytest

from acontext_fs import progress, sessions, tasks, transcripts
from acontext_fs.errors import SessionError, StoreError
from acontext_fs.progress import Progress
from acontext_fs.records import Cursor, Task
from acontext_fs.transcripts import Transcripts, digest

TIME = "2026-01-01T00:00:00.000000Z"


def say(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def texts(found: transcripts.Transcript) -> list[str]:
    return [part.text for message in found.messages for part in message.parts]


@pytest.fixture
def session(store):
    made = store.space("default").session("s")
    made.append([say("one"), say("two")])
    return made


@pytest.fixture
def parsed_lines(monkeypatch):
    """The numbers of the lines that were parsed, call by call."""
    calls: list[list[int]] = []
    genuine = sessions.parse

    def parse(source, lines, reader):
        lines = list(lines)
        calls.append([line.number for line in lines])
        return genuine(source, lines, reader)

    monkeypatch.setattr(sessions, "parse", parse)
    return calls


def test_the_digest_is_what_git_calls_the_content(git):
    for data in ("", "a line\n"):
        assert digest(data.encode()) == git("hash-object", "--stdin", stdin=data).strip()


def test_only_what_is_new_is_parsed(store, session, parsed_lines):
    found = Transcripts(store)
    first = found.get(session.place)
    assert found.get(session.place) is first
    session.append(say("three"))
    with open(session.path, "ab") as file:
        file.write(b'{"role":"user","content":"half')
    grown = found.get(session.place)
    assert texts(grown) == ["one", "two", "three"]
    assert parsed_lines == [[1, 2], [3]]
    assert grown.version != first.version
    assert list(grown.token_counts()) == list(
        transcripts.load(store.source, session.place).token_counts()
    )


def test_a_line_that_was_edited_in_place_is_seen_although_the_file_only_grew(store, session):
    found = Transcripts(store)
    assert texts(found.get(session.place)) == ["one", "two"]
    session.path.write_bytes(session.path.read_bytes().replace(b"one", b"ONE"))
    session.append(say("three"))
    assert texts(found.get(session.place)) == ["ONE", "two", "three"]


def test_a_file_that_was_cut_is_read_anew(store, session):
    found = Transcripts(store)
    whole = found.get(session.place)
    first, *_ = session.path.read_bytes().split(b"\n")
    session.path.write_bytes(first + b"\n")
    assert texts(found.get(session.place)) == ["one"]
    assert texts(whole) == ["one", "two"]  # Who has it asks it as it was.


def test_the_last_used_are_kept_and_no_more_than_fit(store):
    places = []
    for name in "abc":
        session = store.space("default").session(name)
        session.append(say("x" * 100))
        places.append(session.place)
    size = session.path.stat().st_size
    found = Transcripts(store, capacity_bytes=size * 5 // 2)
    a, b = (found.get(place) for place in places[:2])
    assert found.get(places[0]) is a  # Used last.
    c = found.get(places[2])
    assert found.get(places[0]) is a
    assert found.get(places[2]) is c
    assert found.get(places[1]) is not b


def test_a_session_too_large_for_the_rest_is_not_kept(store, session):
    found = Transcripts(store, capacity_bytes=session.path.stat().st_size)
    first = found.get(session.place)
    assert found.get(session.place) is not first


def test_a_session_that_is_gone_is_forgotten(store, session, parsed_lines):
    found = Transcripts(store)
    found.get(session.place)
    data = session.path.read_bytes()
    session.path.unlink()
    with pytest.raises(SessionError):
        found.get(session.place)
    session.path.write_bytes(data)
    assert texts(found.get(session.place)) == ["one", "two"]
    assert parsed_lines == [[1, 2], [1, 2]]


def test_tasks_and_progress_come_and_go_with_their_files(store, session):
    found = Transcripts(store)
    before = found.get(session.place)
    task = Task("t1", "s", 1, "success", "Count", TIME, TIME)
    written = {
        session.place.tasks_path: tasks.encode([task]),
        session.place.progress_path: progress.encode(Progress(cursor=Cursor(line=2))),
    }
    for path, data in written.items():
        place = store.layout.path(path)
        place.parent.mkdir(parents=True)
        place.write_bytes(data)
    both = found.get(session.place)
    assert [one.id for one in both.tasks] == ["t1"]
    assert both.progress.cursor.line == 2
    assert both.digests == (before.digests[0], *map(digest, written.values()))
    for path in written:
        store.layout.path(path).unlink()
    after = found.get(session.place)
    assert (after.tasks, after.progress, after.version) == ((), Progress(), before.version)


@pytest.mark.parametrize("damage", ["text", "folder"])
@pytest.mark.parametrize("which", ["tasks_path", "progress_path"])
def test_damaged_results_are_told_or_passed_over(store, session, damage, which):
    place = store.layout.path(getattr(session.place, which))
    place.parent.mkdir(parents=True)
    if damage == "folder":
        place.mkdir()
    else:
        place.write_text("no json\n")
    lenient = transcripts.load(store.source, session.place, lenient=True)
    assert (texts(lenient), lenient.tasks) == (["one", "two"], ())
    with pytest.raises((SessionError, StoreError), match=r"s\.json") as caught:
        transcripts.load(store.source, session.place)
    assert "\n" not in str(caught.value)
