"""How answers keep up with the files, and that asking changes none of them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from acontext_fs.api import reader as readers
from acontext_fs.api.answers import ApiError
from acontext_fs.api.reader import Opened, Reader
from acontext_fs.clock import FakeClock
from acontext_fs.errors import StoreError
from acontext_fs.index.index import Index
from acontext_fs.store import Store
from tests.api.conftest import Serve
from tests.conftest import run_git
from tests.daemon.harness import user


def append(store: Store, name: str, text: str = "Hello.") -> str:
    """A message more; the path of its session inside the store."""
    session = store.space("default").session(name)
    session.append(user(text, created_at="2026-06-01T00:00:00Z"))
    return session.place.session_path


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests wait for scans, however long they take."""
    monkeypatch.setattr(readers, "SCAN_WAIT_SECONDS", 30.0)
    monkeypatch.setattr(readers, "CHANGE_WAIT_SECONDS", 30.0)


@pytest.mark.usefixtures("patient")
def test_what_is_told_of_is_seen_at_once_and_nothing_else_is_looked_at(copied: Store) -> None:
    told: list[tuple[set[str], bool]] = []
    clock = FakeClock()
    store = Store(copied.root, clock)
    with Index.open(store) as index:
        reader = Reader(store, index, changes=lambda: told.pop() if told else (set(), False))
        reader.fresh()

        def found() -> set[str]:
            rows = reader.fresh().query(
                "select session_id from sessions where created_at > '2026-05-01'"
            )
            return {row[0] for row in rows.rows}

        assert found() == set()
        told.append(({append(store, "one")}, False))
        assert found() == {"one"}
        append(store, "two")
        assert found() == {"one"}
        told.append((set(), True))
        assert found() == {"one", "two"}
        append(store, "three")
        clock.advance(readers.RESCAN_SECONDS)
        assert found() == {"one", "two", "three"}
        reader.close()


class Busy:
    """An index that somebody else is refreshing for as long as `is_busy`."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.is_busy = False
        self.done: list[object] = []

    def refresh(self, paths: Any = None) -> bool:
        if self.is_busy:
            return False
        self.done.append(paths)
        self.index.refresh(paths)
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.index, name)


@pytest.mark.usefixtures("patient")
def test_changes_that_came_while_the_index_was_busy_are_not_forgotten(copied: Store) -> None:
    told: list[tuple[set[str], bool]] = []
    store = Store(copied.root, FakeClock())
    with Index.open(store) as index:
        busy: Any = Busy(index)
        reader = Reader(store, busy, changes=lambda: told.pop() if told else (set(), False))
        reader.fresh()
        busy.is_busy = True
        path = append(store, "one")
        told.append(({path}, False))
        reader.fresh()
        reader.fresh()
        assert busy.done == [None]
        busy.is_busy = False
        reader.fresh()
        assert busy.done == [None, {path}]
        reader.fresh()
        assert len(busy.done) == 2
        told.append((set(), True))
        busy.is_busy = True
        reader.fresh()
        busy.is_busy = False
        reader.fresh()
        assert busy.done[2:] == [None]
        reader.close()


class Slow:
    """An index whose refreshes take until they are allowed to end."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.may_end = threading.Event()

    def refresh(self, paths: Any = None) -> bool:
        assert self.may_end.wait(20)
        self.index.refresh(paths)
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.index, name)


def test_an_index_that_is_being_built(
    copied: Store, serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "BUILD_WAIT_SECONDS", 0.05)
    with serving(copied) as served:
        slow: Any = Slow(served.reader.index)
        served.reader.index = slow
        try:
            for path in ("session", "tasks", "stats", "log", "user/ls", "search?q=x"):
                answer = served.ask(path)
                assert answer.status_code == 503, path
                assert int(answer.headers["retry-after"]) > 0
                assert "being built" in answer.json()["msg"]
            # One session's files need no index.
            for path in ("task", "messages", "events", "configs", "token_counts"):
                assert served.get(f"session/many-1/{path}")
            assert served.get("session/other.talk/task")["items"][0]["session_id"] == "other.talk"
            assert "names more than one" in served.refused("session/talk/task", 409)
            assert served.ask("/health").status_code == 200
        finally:
            slow.may_end.set()
        monkeypatch.setattr(readers, "BUILD_WAIT_SECONDS", 20.0)
        assert len(served.get("session")["items"]) == 9


def test_nobody_waits_behind_a_slow_scan(copied: Store, serving: Serve) -> None:
    with serving(copied) as served:
        assert len(served.get("session")["items"]) == 9
        slow: Any = Slow(served.reader.index)
        served.reader.index = slow
        served.reader._missed = True
        try:
            append(copied, "late")
            assert len(served.get("session")["items"]) == 9
            assert served.get("session/many-1/task")
        finally:
            slow.may_end.set()
            slow.refresh()
        assert len(served.get("session")["items"]) == 10


def test_a_scan_that_fails_is_said(copied: Store) -> None:
    with Index.open(copied) as index:
        reader = Reader(copied, index)

        class Broken(Busy):
            def refresh(self, paths: Any = None) -> bool:
                raise ApiError(500, "the disk is full")

        broken: Any = Broken(index)
        reader.index = broken
        with pytest.raises(ApiError, match="the disk is full"):
            reader.fresh()
        reader.index = index
        assert reader.fresh().is_built
        reader.close()


def test_a_session_is_found_the_moment_it_begins(copied: Store, serving: Serve) -> None:
    with serving(copied, changes=lambda: (set(), False)) as served:
        assert len(served.get("session")["items"]) == 9
        append(copied, "fresh")
        (copied.root / "spaces/default/sessions/flat.jsonl").write_bytes(
            b'{"role": "user", "content": "Hi."}\n'
        )
        for name in ("fresh", "default.fresh", "flat", "default.flat"):
            assert len(served.get(f"session/{name}/messages")["items"]) == 1
        served.refused("session/other.fresh/messages", 404)
        copied.space("other").session("many-1").append(user("A talk of the same name."))
        found = served.get("learning_spaces/other/sessions/many-1")
        assert (found["learning_space_id"], found["status"]) == ("other", "pending")


@pytest.mark.usefixtures("patient")
def test_a_session_that_was_moved_is_found_where_it_is(copied: Store, serving: Serve) -> None:
    with serving(copied) as served:
        before = served.get("session/many-1/messages")
        old = copied.space("default").session("many-1").path
        new = old.parent.parent / "moved" / old.name
        new.parent.mkdir()
        served.reader._scan_at = 0.0
        old.rename(new)
        assert served.get("session/many-1/messages") == before


def every_file(root: Path) -> dict[str, tuple[str, int]]:
    """The hash and the time of every file of a store, but for its own local folder."""
    found = {}
    for folder, folders, names in os.walk(root):
        if ".acontext" in folders:
            folders.remove(".acontext")
        for name in names:
            path = Path(folder, name)
            data = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = (data, path.stat().st_mtime_ns)
    return found


def test_asking_changes_nothing(copied: Store, serving: Serve) -> None:
    run_git(copied.root, "status")  # What git itself refreshes.
    before, status = every_file(copied.root), run_git(copied.root, "status", "--porcelain")
    with serving(copied) as served:
        paths = list(served.ask("/openapi.json").json()["paths"])
        for path in paths:
            path = path.replace("{session_id}", "many-1").replace("{identifier}", "ada")
            for query in ("", "?at=HEAD", "?q=count", "?limit=1"):
                assert served.ask(path + query).status_code in (200, 400, 404, 503), path
    assert every_file(copied.root) == before
    assert run_git(copied.root, "status", "--porcelain") == status


def test_health_answers_while_everything_else_works(
    copied: Store, serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(copied) as served:
        assert served.get("session")
        may_end = threading.Event()
        began = threading.Semaphore(0)

        def stuck(*_: object) -> Any:
            began.release()
            assert may_end.wait(20)
            raise ApiError(503, "enough")

        monkeypatch.setattr(served.reader.index, "query", stuck)
        asking = [threading.Thread(target=served.ask, args=("stats",)) for _ in range(60)]
        try:
            for thread in asking:
                thread.start()
            for _ in range(40):  # As many as there are threads for.
                assert began.acquire(timeout=10)
            assert served.ask("/health", timeout=5).status_code == 200
            assert served.ask("project/configs", timeout=5).status_code == 200
        finally:
            may_end.set()
            for thread in asking:
                thread.join()


@pytest.mark.usefixtures("patient")
def test_a_bare_clone_is_served_as_its_head_moves(
    copied: Store, serving: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(readers, "RESCAN_SHARE", 1e9)
    bare = tmp_path / "bare.git"
    run_git(tmp_path, "clone", "-q", "--bare", str(copied.root), str(bare))
    with serving(Store.open(bare)) as served:
        before = served.get("session/many-1/messages")
        assert len(before["ids"]) == 2
        append(copied, "many-1", "From a checkout.")
        append(copied, "begun")
        run_git(copied.root, "add", "-A")
        run_git(copied.root, "commit", "-q", "-m", "Two more")
        assert served.get("session/many-1/messages") == before
        run_git(copied.root, "push", "-q", str(bare), "HEAD")
        after = served.get("session/many-1/messages")
        assert after["ids"][:2] == before["ids"]
        assert len(after["ids"]) == 3
        assert len(served.get("session/begun/messages")["ids"]) == 1
        assert len(served.get("session")["items"]) == 10
        assert served.get("session/many-1/messages", at="HEAD~1") == before


# -- changes, and the thread that takes them in -----------------------------------------------


def texts(index: Index) -> list[str]:
    """What was said in the sessions that `append` began."""
    found = index.query("select text from messages where created_at > '2026-05-01' order by 1")
    return [row[0] for row in found.rows]


def test_what_is_told_while_a_scan_runs_is_taken_in_by_the_next(copied: Store) -> None:
    told: list[tuple[set[str], bool]] = []
    store = Store(copied.root, FakeClock())
    with Index.open(store) as index:
        reader = Reader(store, index, changes=lambda: told.pop() if told else (set(), False))
        assert texts(reader.fresh()) == []
        slow: Any = Slow(index)
        reader.index = slow
        told.append(({append(store, "one", "1")}, False))
        reader.fresh()
        assert reader._scan is not None
        told.append(({append(store, "two", "2")}, False))
        assert texts(reader.fresh()) == []
        slow.may_end.set()
        reader._scan.result(20)
        assert texts(index) == ["1"]
        reader.fresh()
        reader._scan.result(20)
        assert texts(index) == ["1", "2"]
        reader.close()


@pytest.mark.usefixtures("patient")
def test_what_another_thread_kept_from_being_looked_at_is_looked_at_later(copied: Store) -> None:
    told: list[tuple[set[str], bool]] = []
    store = Store(copied.root, FakeClock())
    holds, may_end = threading.Event(), threading.Event()

    def hold(done: int, of: int) -> None:
        holds.set()
        assert may_end.wait(20)

    with Index.open(store) as index:
        reader = Reader(store, index, changes=lambda: told.pop() if told else (set(), False))
        reader.fresh()
        append(store, "one", "1")
        other = threading.Thread(target=index.refresh, args=(None, hold))
        other.start()
        assert holds.wait(20)
        told.append(({append(store, "two", "2")}, False))
        assert texts(reader.fresh()) == []
        may_end.set()
        other.join()
        assert texts(index) == ["1"]
        assert texts(reader.fresh()) == ["1", "2"]
        reader.close()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("missed", [False, True])
def test_changes_whose_scan_failed_are_not_forgotten(copied: Store, missed: bool) -> None:
    told: list[tuple[set[str], bool]] = []
    store = Store(copied.root, FakeClock())

    class Failing(Busy):
        def refresh(self, paths: Any = None) -> bool:
            if self.is_busy:
                raise StoreError("the disk is full")
            return super().refresh(paths)

    with Index.open(store) as index:
        failing: Any = Failing(index)
        reader = Reader(store, failing, changes=lambda: told.pop() if told else (set(), False))
        reader.fresh()
        failing.is_busy = True
        told.append((set() if missed else {append(store, "one", "1")}, missed))
        with pytest.raises(StoreError, match="the disk is full"):
            reader.fresh()
        failing.is_busy = False
        reader.fresh()
        assert failing.done[1:] == [None if missed else {append(store, "one", "2")}]
        reader.close()


# -- what was answered before -------------------------------------------------------------------


def test_a_change_while_an_answer_is_made_is_in_the_next(copied: Store) -> None:
    with Index.open(copied) as index:
        reader = Reader(copied, index)
        reader.fresh()

        def make(opened: Opened) -> list[str]:
            found = [message.text for message in opened.transcript.messages]
            if len(found) < 4:
                append(copied, "many-1", f"Number {len(found) + 1}.")
            return found

        answers = [asyncio.run(reader.answered("many-1", "key", make)).body for _ in range(4)]
        assert [b"Number 3." in body for body in answers] == [False, True, True, True]
        assert [b"Number 4." in body for body in answers] == [False, False, True, True]
        reader.close()


@pytest.mark.usefixtures("patient")
def test_a_session_is_called_otherwise_once_another_has_its_name(
    copied: Store, serving: Serve
) -> None:
    told: list[tuple[set[str], bool]] = []
    with serving(copied, changes=lambda: told.pop() if told else (set(), False)) as served:
        assert served.get("session/default.many-1/configs")["id"] == "many-1"
        session = copied.space("other").session("many-1")
        session.append(user("Hello.", created_at="2026-06-01T00:00:00Z"))
        told.append(({session.place.session_path}, False))
        served.get("session")
        assert served.get("session/default.many-1/configs")["id"] == "default.many-1"
