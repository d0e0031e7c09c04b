"""Damage, races and several processes: the index says what the files say."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from acontext_fs import progress
from acontext_fs.errors import StoreError
from acontext_fs.index import changes, contents, deriving, finding, generations, layering, units
from acontext_fs.index import index as index_module
from acontext_fs.index.checking import differences
from acontext_fs.index.index import Index, folder_of
from acontext_fs.progress import Progress
from acontext_fs.records import Task
from acontext_fs.store import Store
from tests.index.test_index import assert_as_rebuilt, texts
from tests.index.test_layers import TIME, layers_of, lines, put_tasks, say


@pytest.fixture
def index(store):
    with Index.open(store) as opened:
        opened.refresh()
        yield opened


@pytest.fixture
def session(store):
    made = store.space("default").session("s")
    made.append([say("one"), say("two")])
    return made


def names(store: Store) -> list[str]:
    return sorted(path.name for path in folder_of(store).iterdir())


def fold_everything(monkeypatch) -> None:
    monkeypatch.setattr(changes, "FOLD_UNITS", 1)


def first_call(genuine: Callable, before: Callable[[], object]) -> Callable:
    """`genuine`, but the first call of it does something else first."""
    calls = []

    def called(*arguments, **named):
        calls.append(1)
        if len(calls) == 1:
            before()
        return genuine(*arguments, **named)

    return called


# -- files that change in ways that are easily missed ---------------------------------------------


@pytest.mark.parametrize("age", ["young", "old"])
def test_results_that_come_and_go_are_seen(store, index, session, clock, age):
    clock.advance(1e9)  # The session is old.
    session.path.write_text('{"role":"user","content":"one"}\n' * 2)  # Lines without a time.
    index.refresh()
    put_tasks(store, "s", Task("t1", "s", 1, "running", "Do it", TIME, TIME))
    state = store.layout.path(session.place.progress_path)
    state.parent.mkdir(parents=True)
    state.write_bytes(progress.encode(Progress(seen=((1, "2026-03-01T10:00:00.000000Z"),))))
    if age == "young":
        for path in (state, store.layout.path(session.place.tasks_path)):
            os.utime(path, (clock.now(), clock.now()))
    index.refresh()
    assert index.query("select id from tasks").rows == [("t1",)]
    seen = "select count(*) from messages where created_at::varchar = '2026-03-01 10:00:00'"
    assert index.query(seen).rows == [(2,)]
    state.unlink()
    index.refresh()
    assert index.query(seen).rows == [(0,)]
    store.layout.path(session.place.tasks_path).unlink()
    index.refresh()
    assert index.query("select id from tasks").rows == []
    assert_as_rebuilt(index)


def test_a_change_within_one_tick_of_a_coarse_clock_is_seen(store, index, clock, monkeypatch):
    from acontext_fs import source

    tick = int(clock.now() * 1e9)
    monkeypatch.setattr(source, "_stamp", lambda status: (status.st_size, tick, tick))
    path = store.root / "spaces/default/sessions/s.jsonl"
    for text in ("aaaa", "bbbb"):
        path.write_text(f'{{"role":"user","content":"{text}"}}\n')
        index.refresh()
        assert texts(index) == [text]


def test_a_line_edited_in_place_before_an_append_is_seen(index, session):
    index.refresh()
    session.path.write_bytes(session.path.read_bytes().replace(b"one", b"ONE"))
    session.append(say("three"))
    index.refresh([session.place.session_path])
    assert texts(index) == ["ONE", "two", "three"]
    assert_as_rebuilt(index)


def test_an_edit_whose_time_was_set_back_is_seen(index, session, clock):
    clock.advance(1e9)
    index.refresh()
    status = session.path.stat()
    while session.path.stat().st_ctime_ns == status.st_ctime_ns:  # Until its clock ticks.
        session.path.write_bytes(session.path.read_bytes().replace(b"one", b"ONE"))
        os.utime(session.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    index.refresh()
    assert texts(index) == ["ONE", "two"]


@pytest.mark.parametrize("into", ["memory", "layer"])
@pytest.mark.parametrize("what", ["pipe", "folder", "link", "forbidden"])
def test_what_cannot_be_read_any_more_is_gone(store, index, session, monkeypatch, what, into):
    if what == "forbidden" and os.geteuid() == 0:
        pytest.skip("the superuser may read everything")
    store.space("default").session("other").append(say("other"))
    if into == "layer":
        fold_everything(monkeypatch)
    index.refresh()
    kept = session.path.with_name("kept")
    if what == "forbidden":
        session.path.chmod(0)
    else:
        session.path.rename(kept)
    if what == "pipe":
        os.mkfifo(session.path)
    elif what == "folder":
        session.path.mkdir()
    elif what == "link":
        session.path.symlink_to(kept)
    index.refresh()
    assert texts(index) == ["other"]
    assert (index.places("s"), index.search("two", kinds=["message"])) == ([], [])
    assert_as_rebuilt(index)


def test_results_that_are_folders_do_not_hide_the_messages(store, index, session):
    for path in (session.place.tasks_path, session.place.progress_path):
        store.layout.path(path).mkdir(parents=True)
    index.refresh()
    assert texts(index) == ["one", "two"]
    assert_as_rebuilt(index)


def test_what_is_kept_parsed_has_a_bound(store, monkeypatch):
    parsed = []
    genuine = deriving.transcripts.sessions.parse

    def parse(source, found, reader):
        found = list(found)
        parsed.append((reader.session_id, [line.number for line in found]))
        return genuine(source, found, reader)

    for name in "ab":
        store.space("default").session(name).append(say("x" * 100))
    place = store.space("default").session("a").place
    monkeypatch.setattr(deriving.transcripts.sessions, "parse", parse)
    for fitting, expected in ((10_000, [2]), (1, [1, 2, 3])):
        monkeypatch.setattr(deriving, "WARM_BYTES", fitting)
        with Index.open(store, anew=True, private=True) as index:
            index.refresh()
            store.space("default").session("a").append(say("more"))
            parsed.clear()
            index.refresh([place.session_path])
            assert parsed == [("a", expected)]


# -- the history ----------------------------------------------------------------------------------


def test_odd_commits_and_names_do_not_stop_it(store, index, git):
    tree = git("rev-parse", "HEAD^{tree}").strip()
    for head in (
        "author A <a@x> 1 +0000\ncommitter A <a@x> 99999999999999 +0000\n\nfar\n",
        "author A <a@x> 1 +0000\ncommitter A <a@x> -99999999999 +0000\n\nearly\n",
        "author A <a@x> 1 +0000\ncommitter A <a@x> 5 +0000\nencoding nonsense\n\nodd\n",
    ):
        parent = git("rev-parse", "HEAD").strip()
        body = f"tree {tree}\nparent {parent}\n{head}"
        made = git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=body)
        git("update-ref", "HEAD", made.strip())
    name = os.fsencode(store.root / "spaces/default/skills/daily-logs") + b"/\xff.md"
    with open(name, "wb") as file:
        file.write(b"# x\n")
    git("add", "-A")
    git("commit", "-qm", "no name")
    index.refresh()
    subjects = {row[0] for row in index.query("select subject from commits").rows}
    assert subjects == {"Set up the store", "far", "early", "odd", "no name"}
    assert_as_rebuilt(index)


def test_a_long_history_becomes_a_layer_of_its_own(store, index, git, monkeypatch):
    monkeypatch.setattr(changes, "FOLD_COMMITS", 3)
    for number in range(2):
        git("commit", "-q", "--allow-empty", "-m", str(number))
    index.refresh()
    assert layers_of(store) == []
    for number in range(2, 6):
        git("commit", "-q", "--allow-empty", "-m", str(number))
    index.refresh()
    assert len(layers_of(store)) == 1
    with Index.open(store) as other:
        derived = []
        genuine = deriving.Deriver.commits
        monkeypatch.setattr(
            deriving.Deriver,
            "commits",
            lambda *rest: [derived.append(one.name) or one for one in genuine(*rest)],
        )
        other.refresh()
        assert derived == []
        assert other.query("select count(*) from commits").rows == [(7,)]


def test_what_a_shallow_clone_lacked_comes_with_a_deeper_fetch(store, git, tmp_path):
    for number in range(4):
        git("commit", "-q", "--allow-empty", "-m", str(number))
    place = tmp_path / "clone"
    git("clone", "-q", "--depth=1", f"file://{store.root}", str(place), at=tmp_path)
    clone = Store.open(place, store.clock)
    query = "select subject from commits order by 1"
    with Index.open(clone) as index:
        index.refresh()
        assert index.query(query).rows == [("3",)]
        git("fetch", "-q", "--deepen=2", at=place)
        index.refresh()
        assert index.query(query).rows == [("1",), ("2",), ("3",)]
        assert_as_rebuilt(index)


def test_a_commit_is_asked_without_reading_what_the_index_has(store, session, git, monkeypatch):
    put_tasks(store, "s", Task("t1", "s", 1, "running", "Do it", TIME, TIME))
    git("add", "-A")
    git("commit", "-qm", "one")
    with Index.open(store) as index:
        index.refresh()
        index.publish(thorough=True)
    past = store.at("HEAD")
    read = []
    genuine = past.source.read
    monkeypatch.setattr(past.source, "read", lambda path: read.append(path) or genuine(path))
    with Index.open(past) as index:
        index.refresh()
        assert texts(index) == ["one", "two"]
        assert index.query("select id from tasks").rows == [("t1",)]
    assert [path for path in read if "/skills/" not in path] == []


def test_a_bare_repository_that_lost_its_head_is_answered_as_it_was(store, session, git, tmp_path):
    git("add", "-A")
    git("commit", "-qm", "one")
    place = tmp_path / "bare.git"
    git("clone", "-q", "--bare", str(store.root), str(place), at=tmp_path)
    with Index.open(Store.open(place, store.clock)) as index:
        index.refresh()
        git("symbolic-ref", "HEAD", "refs/heads/none", at=place)
        index.refresh()
        assert texts(index) == ["one", "two"]
        git("symbolic-ref", "HEAD", "refs/heads/main", at=place)
        index.refresh()
        assert_as_rebuilt(index)


# -- files of the index ---------------------------------------------------------------------------


def test_below_a_damaged_generation_the_whole_one_is_taken(store, index, session):
    index.refresh()
    index.publish(thorough=True)
    (whole,) = folder_of(store).glob("*.json")
    damaged = whole.with_name("generation-00000007.json")
    damaged.write_bytes(whole.read_bytes()[:-10])
    whole.with_name("generation-00000009.json").mkdir()
    with Index.open(store) as other:
        other.refresh()
        assert other.summary().layers == 1
        session.append(say("three"))
        other.refresh()
        other.publish(thorough=True)
        assert generations.newest_number(folder_of(store)) > 9
    with Index.open(store) as other:
        other.refresh()
        assert (other.summary().live_rows, texts(other)) == (0, ["one", "two", "three"])
        assert_as_rebuilt(other)


def test_above_nothing_but_damage_a_new_generation_counts(store, index, session):
    index.refresh()
    index.publish(thorough=True)
    (only,) = folder_of(store).glob("*.json")
    only.write_bytes(b"{")
    with Index.open(store) as other:
        other.refresh()
        other.publish(thorough=True)
    assert [layer.rows for layer in layers_of(store)] == [2]


def test_merged_layers_stay_for_who_is_about_to_open_them(store, index, session, clock):
    def published(text: str) -> None:
        session.append(say(text))
        index.refresh()
        index.publish(thorough=True)

    index.refresh()
    index.publish(thorough=True)
    folder = folder_of(store)
    (old,) = layers_of(store)
    for name in (".acontext-abc.tmp", "notes.md"):
        (folder / name).write_text("left over")
        os.utime(folder / name, (clock.now(), clock.now()))
    clock.advance(50)
    published("three")
    (layer,) = layers_of(store)
    assert layer.rows == 3  # The dead are not among them.
    clock.advance(generations.GRACE_SECONDS - 1)
    published("four")
    assert {old.database.name, old.texts.name} <= set(names(store))
    assert ".acontext-abc.tmp" not in names(store)
    clock.advance(2)
    published("five")
    assert not {old.database.name, old.texts.name} & set(names(store))
    assert {layer.database.name, "notes.md"} <= set(names(store))
    assert_as_rebuilt(index)


def test_the_folder_of_the_index_may_be_removed_at_any_time(store, index, session, tmp_path):
    index.refresh()
    index.publish(thorough=True)
    shutil.rmtree(store.layout.local / "index")
    export = index.export(tmp_path)
    assert all(path.exists() for path in export.files.values())
    assert texts(index) == ["one", "two"]
    shutil.rmtree(store.layout.local / "index")
    session.append(say("three"))
    index.refresh()
    assert texts(index) == ["one", "two", "three"]
    index.publish(thorough=True)
    assert [layer.rows for layer in layers_of(store)] == [3]
    assert_as_rebuilt(index)


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("failing", ["link", "publish", "finish", "add", "create"])
def test_what_could_not_be_written_leaves_nothing_behind(
    store, index, session, monkeypatch, failing
):
    index.refresh()
    index.publish(thorough=True)
    session.append(say("three"))
    before = names(store)
    with monkeypatch.context() as patched:
        fold_everything(patched)
        if failing == "link":
            patched.setattr(generations.os, "link", _no_space)
        elif failing == "publish":

            def refused(*_: object) -> bool:
                raise StoreError("the disk is full")

            patched.setattr(generations, "publish", refused)
        elif failing == "create":
            patched.setattr(layering.TextFile, "create", _no_space)
        else:
            patched.setattr(layering.LayerWriter, failing, _no_space)
        with pytest.raises(StoreError):
            index.refresh()
        assert names(store) == before
        assert texts(index) == ["one", "two"]
    index.refresh()
    assert texts(index) == ["one", "two", "three"]
    assert_as_rebuilt(index)


def test_a_large_session_that_is_written_to_makes_no_layer_with_every_line(
    store, index, session, monkeypatch
):
    monkeypatch.setattr(changes, "FOLD_BYTES", 10_000)
    monkeypatch.setattr(changes, "LARGE_BYTES", 40_000)
    session.append(say("x" * 12_000))
    for number in range(3):
        session.append(say(str(number)))
        index.refresh([session.place.session_path])
    assert generations.newest_number(folder_of(store)) == 0
    assert len(texts(index)) == 6
    session.append(say("y" * 40_000))
    index.refresh([session.place.session_path])
    assert generations.newest_number(folder_of(store)) == 1


def test_several_large_sessions_become_a_layer(store, index, monkeypatch):
    monkeypatch.setattr(changes, "FOLD_BYTES", 10_000)
    for number in range(changes.LARGE_UNITS_MAX + 1):
        store.space("default").session(f"s{number}").append(say("x" * 4000))
    index.refresh()
    assert generations.newest_number(folder_of(store)) == 1
    assert_as_rebuilt(index)


# -- readers in the middle of a change ------------------------------------------------------------


def test_nobody_sees_half_of_a_fold_or_of_going_over(store, index, session, monkeypatch):
    session.append(say("three"))
    seen = []

    def look() -> None:
        seen.append((texts(index), [place.session_id for place in index.places("s")]))

    index.refresh()
    before = (["one", "two", "three"], ["s"])
    session.append(say("four"))
    with monkeypatch.context() as patched:
        fold_everything(patched)
        patched.setattr(layering, "write", first_call(layering.write, look))
        genuine = contents._note_id  # While it goes over to the new layer.
        patched.setattr(contents, "_note_id", lambda *rest: look() or genuine(*rest))
        index.refresh()
    assert len(seen) >= 2
    assert all(one == before for one in seen)
    after = (["one", "two", "three", "four"], ["s"])
    with Index.open(store) as other:
        other.refresh()
        store.space("default").session("t").append(say("five"))
        other.refresh()
        other.publish(thorough=True)
    seen.clear()
    monkeypatch.setattr(units, "scan", first_call(units.scan, look))
    index.refresh()
    assert seen == [after]
    assert texts(index) == ["one", "two", "three", "four", "five"]


def test_a_search_finds_what_was_there_before_a_change_and_after_it(index, session, monkeypatch):
    index.refresh()
    index.publish(thorough=True)

    def changed() -> None:
        session.append(say("three"))
        index.refresh([session.place.session_path])

    genuine = finding._matching

    def matching(*arguments):
        found = genuine(*arguments)  # These numbers are of rows that the change makes dead.
        monkeypatch.setattr(finding, "_matching", genuine)
        changed()
        return found

    monkeypatch.setattr(finding, "_matching", matching)
    assert lines(index, "one OR two") == [1, 2]


def test_a_search_between_rows_and_their_texts_is_done_again(index, session, monkeypatch):
    index.refresh()
    index.publish(thorough=True)
    session.append(say("three"))
    tried, moved, found = threading.Event(), threading.Event(), []
    genuine_find, file = index_module.find, index._shown.live_texts
    genuine_add = file.add

    def find(*arguments):
        answer = list(genuine_find(*arguments))
        tried.set()
        assert moved.wait(10)
        return iter(answer)

    reader = threading.Thread(target=lambda: found.append(lines(index, "one OR two")))

    def add(rows):
        reader.start()
        assert tried.wait(10)
        genuine_add(rows)

    monkeypatch.setattr(index_module, "find", find)
    monkeypatch.setattr(file, "add", add)
    index.refresh([session.place.session_path])
    moved.set()
    reader.join(10)
    assert found == [[1, 2]]


def test_places_are_told_while_sessions_come_and_go(store, index, session, monkeypatch):
    index.refresh()
    stop, told, failures = threading.Event(), set(), []

    def ask() -> None:
        try:
            while not stop.wait(0.0005):  # Not all of the time: the others want to get on.
                (place,) = index.places("s")
                told.add((place, index.public_id(place), len(index.places("default.s"))))
        except (KeyError, RuntimeError, ValueError) as error:
            failures.append(error)

    reader = threading.Thread(target=ask)
    reader.start()
    for number in range(6):
        if number == 3:
            fold_everything(monkeypatch)
        other = store.space("default").session(f"n{number % 2}")
        if other.path.exists():
            other.path.unlink()
        else:
            other.append(say("other"))
        index.refresh()
    stop.set()
    reader.join(10)
    assert failures == []
    assert told == {(session.place, "s", 1)}


@pytest.mark.parametrize("failure", [KeyboardInterrupt, StoreError])
def test_a_change_that_broke_off_leaves_no_row_twice(index, session, monkeypatch, failure):
    index.refresh()
    index.publish(thorough=True)
    session.append(say("three"))

    def broken(_: object) -> None:
        raise failure("in the middle")

    with monkeypatch.context() as patched:
        patched.setattr(index._shown.live_texts, "add", broken)
        with pytest.raises(failure):
            index.refresh()
    with suppress(StoreError):  # It may be asked as long as nobody refreshed it.
        assert texts(index) in (["one", "two"], ["one", "two", "three"])
    index.refresh()
    assert texts(index) == ["one", "two", "three"]
    assert lines(index, "one OR three") == [1, 3]
    index.publish(thorough=True)
    assert_as_rebuilt(index)


def test_two_at_once_end_with_the_same(store, session, monkeypatch):
    fold_everything(monkeypatch)
    monkeypatch.setattr(index_module, "ATTEMPTS_MAX", 99)  # Each makes layers all the time.
    failures = []

    def work(number: int) -> None:
        try:
            with Index.open(store) as index:
                for turn in range(3):
                    own = store.space("default").session(f"w{number}")
                    own.append(say(f"{number} {turn}"))
                    index.refresh()
                    index.publish(thorough=True)
        except StoreError as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert failures == []
    with Index.open(store) as one, Index.open(store) as other:
        one.refresh()
        other.refresh()
        assert len(texts(one)) == 8
        assert differences(one, other) == []
        assert_as_rebuilt(one)
