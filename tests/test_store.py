import os
import signal
import subprocess
import sys
import threading

import pytest

import acontext_fs
from acontext_fs import Store, tasks
from acontext_fs.errors import DaemonRunning, InvalidName, SessionError, StoreError
from acontext_fs.owning import is_owned, own, owner
from acontext_fs.records import AddPreference, InsertTask

OWNER = """
import sys
from acontext_fs import Store
from acontext_fs.owning import own
store = Store.open(sys.argv[1])
with own(store.layout, "daemon", store.clock):
    print("mine", flush=True)
    sys.stdin.readline()
print("given back", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def other(store):
    """Another process that owns the store."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.communicate()


def test_the_store_around_a_folder_is_opened(store, monkeypatch):
    assert Store.open(store.root / "spaces").root == store.root.resolve()
    monkeypatch.chdir(store.root / "spaces" / "default")
    assert Store.open().root == store.root.resolve()
    assert Store.open(str(store.root)).root == store.root.resolve()


def test_where_there_is_no_store_it_is_said(tmp_path):
    with pytest.raises(StoreError, match="no store at"):
        Store.open(tmp_path)


def test_a_space_comes_into_being_with_its_first_session(store):
    assert [space.name for space in store.spaces()] == ["default"]
    store.space("new").session("s").append({"role": "user", "content": "x"})
    assert [space.name for space in store.spaces()] == ["default", "new"]
    assert [session.id for session in store.space("new").sessions()] == ["s"]


@pytest.mark.parametrize("name", ["", "A", "con", "a/b", "../x"])
def test_a_space_with_a_bad_name_is_refused(store, name):
    with pytest.raises(InvalidName):
        store.space(name)


def test_settings_of_a_space_are_read_from_its_file(store):
    assert store.space("default").settings().learn
    (store.layout.space("default") / "space.toml").write_text("learn = false")
    assert not store.space("default").settings().learn


def test_tasks_of_a_session_come_without_the_planning_section(store):
    session = store.space("default").session("s")
    assert session.tasks() == []
    found: tasks.Tasks = ()
    for change in (AddPreference("tabs", "t"), InsertTask(0, "a", "t")):
        found = tasks.apply(found, change, space="default", session_id="s")
    path = store.layout.path(session.place.tasks_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(tasks.encode(found))
    assert [task.description for task in session.tasks()] == ["a"]
    assert len(session.all_tasks()) == 2
    path.write_bytes(b"{}\n")
    with pytest.raises(SessionError, match="line 1, is not a task"):
        session.tasks()


def test_the_package_gives_what_it_promises_and_nothing_else():
    for name in acontext_fs.__all__:
        assert getattr(acontext_fs, name)
    with pytest.raises(AttributeError, match="has no attribute 'Stroe'"):
        _ = acontext_fs.Stroe


# -- owning ---------------------------------------------------------------------------------------


def test_nobody_owns_a_fresh_store(store):
    assert owner(store.layout) == ""
    assert not is_owned(store.layout)


def test_the_owner_is_known_while_it_owns_and_forgotten_after(store):
    with own(store.layout, "daemon", store.clock):
        said = f"`acontext-fs daemon` (process {os.getpid()}, since 2026-01-01T00:00:00.000000Z)"
        assert owner(store.layout) == said
        assert is_owned(store.layout)
    assert owner(store.layout) == ""
    assert not (store.layout.local / "owner.json").exists()


def test_an_error_of_the_owner_gives_the_store_back(store):
    with pytest.raises(ZeroDivisionError), own(store.layout, "flush", store.clock):
        _ = 1 // 0
    assert not is_owned(store.layout)


def test_a_second_owner_is_refused_with_who_holds_it(store, other):
    with (
        pytest.raises(DaemonRunning, match=rf"`acontext-fs daemon` \(process {other.pid}, since"),
        own(store.layout, "flush", store.clock),
    ):
        pass
    assert str(other.pid) in owner(store.layout)
    other.stdin.write("\n")
    other.stdin.flush()
    assert other.stdout.readline() == "given back\n"
    with own(store.layout, "flush", store.clock):
        assert str(os.getpid()) in owner(store.layout)


def test_a_killed_owner_owns_no_more(store, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (store.layout.local / "owner.json").exists()
    assert owner(store.layout) == ""
    with own(store.layout, "flush", store.clock):
        assert str(os.getpid()) in owner(store.layout)


def test_asking_who_owns_a_store_takes_it_from_nobody(store):
    """Those who ask try the lock for a moment; that must not look like an owner to others."""
    over = threading.Event()
    seen = []

    def ask() -> None:
        while not over.is_set():
            seen.append(is_owned(store.layout))

    with own(store.layout, "init", store.clock):
        pass
    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(60):
            with own(store.layout, "flush", store.clock):
                pass
    finally:
        over.set()
        for asker in askers:
            asker.join()
    assert seen


def test_those_who_ask_do_not_take_each_other_for_an_owner(store):
    with own(store.layout, "init", store.clock):
        pass
    seen: list[bool] = []

    def ask() -> None:
        seen.extend(is_owned(store.layout) for _ in range(100))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert seen == [False] * 400


def test_a_store_whose_own_folder_is_a_file_is_not_owned(store):
    store.layout.local.rename(store.root.parent / "away")
    store.layout.local.touch()
    with pytest.raises(StoreError, match="cannot write to"), own(store.layout, "x", store.clock):
        pass
    assert not is_owned(store.layout)
