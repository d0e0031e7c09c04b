"""Where files are found, when they say what they are, and what their sessions are called."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from acontext_fs.blobs import TEXT_BYTES_MAX, references
from acontext_fs.daemon.capture import scanning, shelf, taking
from acontext_fs.daemon.capture.cleaning import Cleaner
from acontext_fs.daemon.capture.sources import Source
from acontext_fs.settings import Settings
from tests.daemon.capturing import OTHER, SESSION, Capturing, claude, codex, talk

NAME = f"-home-someone-work-shop/{SESSION}.jsonl"
KEY = "AKIA" + "X3PK7VWN2LRT5QBD"


@pytest.fixture
def own(store, tmp_path: Path) -> Capturing:
    return Capturing(store, tmp_path / "projects")


def recent(path: Path, own: Capturing) -> None:
    """Let a file have been written this moment, by the store's clock."""
    now = own.store.clock.now()
    os.utime(path, (now, now))


def cuts(line: bytes) -> list[int]:
    """Everywhere in a line, and just behind what could be a record by itself."""
    return [*range(1, len(line) - 1, 40), line.rindex(b"}}") + 1, len(line) - 2]


# -- a first line that is not there yet ----------------------------------------------------------


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("make", [talk, lambda count: codex(count - 1, SESSION)])
def test_half_a_first_line_decides_nothing(own, eager: bool, make) -> None:
    lines = make(4)
    for number, cut in enumerate(cuts(lines[0])):
        own.forget()
        own.start(eager=eager)
        name = f"p{number}/{SESSION}.jsonl"
        recent(own.write(name, [lines[0][:cut]]), own)
        assert own.take() == set(), cut
        recent(own.append(name, [lines[0][cut:], *lines[1:]]), own)
        own.take()
        assert set(own.sessions()) == {SESSION}, cut
    assert own.lines() == lines


def test_half_a_last_line_decides_nothing_either(own) -> None:
    content = [{"role": "user", "content": f"said {n}"} for n in range(5)]
    lines = [*talk(1), claude(1, "", message={"role": "user", "content": content})]
    half = lines[1][: lines[1].index(b"said 4")]
    recent(own.write(NAME, [lines[0], half]), own)
    own.take()
    own.append(NAME, [lines[1][len(half) :]])
    own.take()
    assert own.lines() == lines
    assert own.header()["source"] == "claude-code"


def test_the_same_file_elsewhere_is_not_stored_twice(own) -> None:
    lines = talk(4)
    half = lines[0][: lines[0].rindex(b"}}") + 1]
    recent(own.write(NAME, [half]), own)
    own.take()
    own.append(NAME, [lines[0][len(half) :], *lines[1:]])
    own.take()
    own.write(f"elsewhere/{SESSION}.jsonl", lines)
    own.take()
    assert own.lines() == lines
    assert set(own.sessions()) == {SESSION}


def test_half_a_first_line_is_told_and_stored_when_its_writer_must_have_died(own) -> None:
    own.start(eager=False)
    path = own.write(NAME, [talk(1)[0][:-2]])
    recent(path, own)
    own.take()
    assert own.capture.ledger.entries[str(path)].reason == taking.UNFINISHED
    own.start(eager=False)
    own.take()
    own.store.clock.advance(taking.TORN_SECONDS + 1)
    own.capture.turn(0.1)
    assert len(own.sessions()) == 1


# -- links, and what cannot be read --------------------------------------------------------------


def test_links_to_folders_are_followed(own, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "p"
    elsewhere.mkdir(parents=True)
    (elsewhere / f"{SESSION}.jsonl").write_bytes(b"".join(talk(3)))
    (own.folder / "linked").symlink_to(elsewhere)
    own.take()
    assert own.lines() == talk(3)
    with open(elsewhere / f"{SESSION}.jsonl", "ab") as file:
        file.write(b"".join(talk(2, first=3)))
    own.take()
    assert own.lines() == talk(5)


def test_links_in_circles_and_twice_to_a_folder_end(own, tmp_path: Path) -> None:
    own.write(f"p/{SESSION}.jsonl", talk(3))
    (tmp_path / "beside.jsonl").write_bytes(b"".join(talk(3, OTHER)))
    for name, target in {
        "a": own.folder / "p",
        "b": own.folder / "p",
        "p/up": own.folder,
        "p/self": own.folder / "p" / "self",
        "around": tmp_path,
        "store": own.store.root / "spaces",
        "gone": tmp_path / "nowhere",
    }.items():
        (own.folder / name).symlink_to(target)
    found = scanning.scan(Source("", str(own.folder)), own.store.root / "spaces")
    assert list(found) == [str(own.folder / f"p/{SESSION}.jsonl")]


def test_a_file_that_two_sources_lead_to_is_found_once(own, tmp_path: Path) -> None:
    own.write(f"p/{SESSION}.jsonl", talk(3))
    other = tmp_path / "other"
    other.mkdir()
    (other / "link").symlink_to(own.folder / "p")
    found = [Source("", str(folder)) for folder in (other, own.folder)]
    assert list(scanning.scan_all(found, own.store.root, {})) == [
        str(own.folder / f"p/{SESSION}.jsonl")
    ]
    assert list(scanning.scan_all(found[:1], own.store.root, {})) == [
        str(other / f"link/{SESSION}.jsonl")
    ]


def test_a_folder_that_cannot_be_read_is_told(own, monkeypatch) -> None:
    own.write(NAME, talk(2))
    own.write(f"closed/{OTHER}.jsonl", talk(2, OTHER, salt="other"))
    listing = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    own.take()
    own.take()
    closed = str(own.folder / "closed")
    assert own.lines() == talk(2)
    assert len(own.said) == 1
    (problem,) = own.capture.problems()
    assert problem.startswith(f"{closed}: cannot be read: Permission denied")
    monkeypatch.undo()
    own.take()
    assert own.capture.problems() == []
    assert own.lines(OTHER) == talk(2, OTHER, salt="other")


def test_a_source_that_vanished_is_told_and_removes_nothing(own) -> None:
    own.write(NAME, talk(2))
    own.take()
    own.folder.rename(own.folder.with_name("moved"))
    own.take()
    (problem,) = own.capture.problems()
    assert "is missing" in problem
    assert own.capture.state()["trouble"][0]["path"] == str(own.folder)
    assert own.lines() == talk(2)


# -- names ---------------------------------------------------------------------------------------


def test_an_id_with_a_secret_in_it_becomes_no_path(own) -> None:
    session = f"chat-{KEY}"
    own.write(f"p/{KEY}.jsonl", talk(2, session))
    own.write(f"{KEY}/log.jsonl", [b'{"role":"user","content":"hi"}\n'])
    own.take()
    own.forget()
    own.take()
    names = sorted(own.sessions())
    assert len(names) == 2
    assert all(name.startswith("redacted-") and len(name) == 21 for name in names)
    everything = b"".join(path.read_bytes() for path in own.store.root.glob("spaces/**/*.jsonl"))
    assert KEY.encode() not in everything


def test_no_id_looks_like_an_option() -> None:
    assert shelf.session_id_of("-x") == "session-x"
    assert not shelf.session_id_of("-" * 200).startswith("-")
    assert shelf.session_id_of("a-x") == "a-x"


@pytest.mark.parametrize(
    "name",
    [SESSION, f"{SESSION}.agent-a1b2c3d", "ses_4f9a0c1b2", "session-2026-03-04T10-00-ab12cd34"],
)
def test_the_ids_of_agents_are_no_secrets(store, name: str) -> None:
    assert Cleaner(store.layout, Settings()).session_id(name) == name


# -- what does not fit into a line ---------------------------------------------------------------


def test_a_text_above_the_limit_is_stored_whole(store, tmp_path: Path) -> None:
    own = Capturing(store, tmp_path / "projects", blob_bytes_max=400_000)
    text = "word " * (TEXT_BYTES_MAX // 4)
    own.write(NAME, [claude(0, text)])
    own.take()
    (line,) = own.lines()
    found = {path.name: path.read_bytes() for path in store.root.glob("spaces/*/blobs/*/*")}
    assert b"".join(found[name] for name in references(line)).decode() == text
    assert own.capture.account.left_out == 0


def test_what_is_too_large_to_be_kept_is_counted(store, tmp_path: Path) -> None:
    import base64

    own = Capturing(store, tmp_path / "projects", blob_bytes_max=40_000)
    data = b"\x89PNG\r\n\x1a\n" + b"\0\1" * 30_000
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(data).decode()}
    content = [{"type": "image", "source": source}]
    own.write(NAME, [*talk(1), claude(1, "", message={"role": "user", "content": content})])
    own.take()
    assert b"[left out: image/png" in own.lines()[1]
    assert (own.capture.account.left_out, own.capture.account.left_out_bytes) == (1, len(data))
    own.append(NAME, [json.dumps({"said": own.lines()[1].decode()}).encode() + b"\n"])
    own.take()
    assert own.capture.account.left_out == 1
