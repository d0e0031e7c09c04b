import os
import threading

import pytest

from acontext_fs import requests
from acontext_fs.errors import StoreError
from acontext_fs.layout import Layout
from acontext_fs.requests import Reply


@pytest.fixture
def root(tmp_path):
    return Layout(tmp_path)


def test_a_request_is_seen_with_what_it_asks_for(root):
    sent = requests.send(root, "flush", ["spaces/a/sessions/x.jsonl"], failed=True)
    (found,) = requests.pending(root)
    assert found == sent
    assert (found.action, found.failed) == ("flush", True)
    assert found.sessions == ("spaces/a/sessions/x.jsonl",)


def test_the_reply_reaches_the_one_who_waits_and_nothing_is_left(root):
    sent = requests.send(root, "learn", [], failed=False)
    got: list[Reply | None] = []
    waiting = threading.Thread(
        target=lambda: got.append(requests.wait(root, sent, 30, lambda: True))
    )
    waiting.start()
    requests.answer(root, sent, ["one", "two"])
    waiting.join()
    assert got == [Reply(("one", "two"))]
    assert os.listdir(requests.folder(root)) == []


def test_what_a_request_is_about_and_the_commit_made_for_it_arrive(root):
    sent = requests.send(root, "undo", [], failed=False, about="abc")
    (found,) = requests.pending(root)
    assert found.about == "abc"
    requests.answer(root, sent, ["held"], "def", soon=True)
    assert requests.wait(root, sent, 1, lambda: True) == Reply(("held",), "def", soon=True)


def test_a_request_with_a_reply_is_pending_no_more(root):
    sent = requests.send(root, "flush", [], failed=False)
    requests.answer(root, sent, [])
    assert requests.pending(root) == []
    assert requests.wait(root, sent, 1, lambda: True) == Reply(())


def test_whoever_waited_in_vain_takes_the_request_away(root):
    sent = requests.send(root, "flush", [], failed=False)
    assert requests.wait(root, sent, 0.01, lambda: True) is None
    assert requests.pending(root) == []


def test_nobody_waits_for_a_daemon_that_is_gone(root):
    sent = requests.send(root, "flush", [], failed=False)
    asked = []
    assert requests.wait(root, sent, 40, lambda: bool(asked.append(1))) is None
    assert asked == [1]


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"3", b"null", b"{}", b"\xff", b'{"action":["flush"]}'),
        b'{"action":"drop","sessions":[],"failed":false}',
        b'{"action":"flush","sessions":3,"failed":false}',
    ],
)
def test_what_is_no_request_is_left_alone(root, data):
    requests.folder(root).mkdir(parents=True)
    path = requests.folder(root) / "x.request"
    path.write_bytes(data)
    good = requests.send(root, "flush", [], failed=False)
    assert requests.pending(root) == [good]
    assert path.read_bytes() == data


def test_where_no_request_can_be_put_it_is_said(root):
    root.local.touch()
    with pytest.raises(StoreError, match="cannot write"):
        requests.send(root, "flush", [], failed=False)
    assert requests.pending(root) == []


def test_what_stands_in_the_way_stops_no_other_request(root):
    folder = requests.folder(root)
    (folder / "dir.request").mkdir(parents=True)
    (folder / "loop.request").symlink_to("loop.request")
    (folder / "gone.request").symlink_to("nowhere")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.request")
    good = requests.send(root, "flush", [], failed=False)
    assert requests.pending(root) == [good]


def test_a_request_that_vanishes_or_cannot_be_read_is_passed_over(root, monkeypatch):
    gone, shut, good = (requests.send(root, "flush", [], failed=False) for _ in range(3))
    open_ = os.open

    def late(path, *rest):
        if path.name == f"{gone.id}.request":
            path.unlink()
        if path.name == f"{shut.id}.request":
            raise PermissionError(13, "Permission denied", str(path))
        return open_(path, *rest)

    monkeypatch.setattr(os, "open", late)
    assert requests.pending(root) == [good]


def test_a_folder_of_requests_that_cannot_be_listed_holds_none(root):
    root.local.mkdir()
    requests.folder(root).symlink_to("requests")
    assert requests.pending(root) == []


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b"\xff", b'{"problems":"x"}', b"[" * 5000]
)
def test_a_broken_reply_is_no_reply_yet(root, data):
    sent = requests.send(root, "flush", [], failed=False)
    (requests.folder(root) / f"{sent.id}.reply").write_bytes(data)
    assert requests.pending(root) == [sent]
    got: list[Reply | None] = []
    waiting = threading.Thread(
        target=lambda: got.append(requests.wait(root, sent, 30, lambda: True))
    )
    waiting.start()
    requests.answer(root, sent, ["one"])
    waiting.join()
    assert got == [Reply(("one",))]


def test_a_request_whose_reply_has_no_place_is_not_taken_up(root):
    sent = requests.send(root, "flush", [], failed=False)
    (requests.folder(root) / f"{sent.id}.reply").mkdir()
    assert requests.pending(root) == []
    assert requests.wait(root, sent, 0.01, lambda: True) is None


def test_a_folder_in_the_place_of_a_request_stays_when_it_is_answered(root):
    sent = requests.send(root, "flush", [], failed=False)
    path = requests.folder(root) / f"{sent.id}.request"
    path.unlink()
    path.mkdir()
    requests.answer(root, sent, [])
    assert requests.wait(root, sent, 1, lambda: True) == Reply(())
    assert path.is_dir()
