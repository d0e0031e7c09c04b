"""init, flush, learn, demo, and the whole story."""

import json
import os
import signal
import subprocess
import sys

import pytest

from acontext_fs.owning import own
from tests.cli.conftest import environment, is_clear, obey_permissions, spawn
from tests.conftest import run_git

TTL = "PROJECT_SESSION_MESSAGE_BUFFER_TTL_SECONDS"


def say(role: str, content: str, **more: object) -> bytes:
    return json.dumps({"role": role, "content": content, **more}).encode() + b"\n"


def bash(command: str) -> dict:
    function = {"name": "bash", "arguments": json.dumps({"command": command})}
    return {"tool_calls": [{"id": "c", "type": "function", "function": function}]}


STORY = b"".join(
    [
        say("user", "Please fix the failing test in tests/test_date.py."),
        say("assistant", "", **bash("pytest tests/test_date.py")),
        say("tool", "1 failed\nexit code: 1", tool_call_id="c"),
        say("assistant", "", **bash("sed -i s/UTC/utc/ src/date.py")),
        say("tool", "exit code: 0", tool_call_id="c"),
        say("assistant", "", **bash("pytest tests/test_date.py")),
        say("tool", "1 passed\nexit code: 0", tool_call_id="c"),
        say("assistant", "Fixed: the test passes now."),
        say("user", "Great, thanks. From now on always run the whole test suite."),
        say("assistant", "Understood, I will."),
    ]
)


def test_init_says_what_it_wrote_and_the_second_time_nothing(run, tmp_path):
    root = tmp_path / "m"
    done = run("init", str(root))
    assert "wrote acontext.toml\n" in done.out
    assert f"{root} is now a store" in done.err
    done = run("init", str(root))
    assert (done.out, done.err) == ("", f"{root} is a store already; nothing was missing\n")
    assert run_git(root, "status", "--porcelain") == ""


def test_init_says_what_it_did_to_a_clone(run, store, tmp_path, git):
    git("clone", "-q", str(store.root), str(tmp_path / "clone"))
    done = run("init", str(tmp_path / "clone"))
    assert done.out == ""
    *told, last = done.err.rstrip("\n").split("\n")
    assert [line.split(" that ")[0] for line in told] == [
        "set up the filter",
        "set up the merges of what two machines wrote",
        "set up the hooks",
    ]
    assert last == f"{tmp_path / 'clone'} is a store already; what was missing is there now"
    git("config", "core.hooksPath", "/nowhere/at/all", at=tmp_path / "clone")
    assert "/nowhere/at/all" in run("init", str(tmp_path / "clone")).err


def test_init_refuses_a_file_and_the_inside_of_another_repository(run, tmp_path, store):
    (tmp_path / "file").touch()
    assert is_clear(run("init", str(tmp_path / "file"), code=1))
    assert is_clear(run("init", str(store.root / "spaces" / "default"), code=1))


def test_the_whole_story_from_an_empty_folder_to_tasks_skills_and_commits(tmp_path, monkeypatch):
    monkeypatch.setenv(TTL, "0.2")
    root = tmp_path / "m"

    def do(*arguments: str, **more) -> str:
        done = spawn(*arguments, cwd=root if root.exists() else tmp_path, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    do("init", "m")
    ids = do("append", "s", input=STORY.decode()).split()
    do("flush")
    found = json.loads(do("tasks", "s", "--json"))
    assert found[0]["data"]["task_description"].startswith("Please fix the failing test")
    assert found[0]["status"] == "success"
    assert found[0]["session_id"] == "s"
    assert set(found[0]["message_ids"]) <= set(ids)
    assert ids[0] in found[0]["message_ids"]
    kinds = [commit["trailers"].get("Acontext-Kind") for commit in json.loads(do("log", "--json"))]
    assert kinds[-1] is None
    assert {kind for (kind, *_) in kinds[:-1]} >= {"tasks", "skills"}
    facts = json.loads(do("skills", "user-general-facts", "--json"))
    assert "whole test suite" in json.dumps(facts)
    assert json.loads(do("status", "--json"))["sessions"][0]["state"] == "done"
    assert run_git(root, "status", "--porcelain") == ""
    assert run_git(root, "fsck", "--strict") == ""
    head = run_git(root, "rev-parse", "HEAD")
    do("flush")
    do("learn")
    assert run_git(root, "rev-parse", "HEAD") == head


def test_flush_and_learn_of_one_session_leave_the_others_pending(run, monkeypatch):
    monkeypatch.setenv(TTL, "60")
    run("append", "a", stdin=STORY)
    run("append", "b", stdin=STORY)
    run("flush", "a")
    states = {s["session_id"]: s["state"] for s in run("status", "--json").json["sessions"]}
    assert states == {"a": "done", "b": "pending"}
    monkeypatch.setenv(TTL, "0.2")
    run("learn", "b")
    run("flush")
    assert {s["state"] for s in run("status", "--json").json["sessions"]} == {"done"}


def test_flush_with_nothing_to_do_makes_no_commit(run, git):
    head = git("rev-parse", "HEAD")
    assert run("flush").err == "done\n"
    assert run("learn").err == "done\n"
    assert git("rev-parse", "HEAD") == head


def test_learn_says_what_it_has_not_read(run):
    run("append", "a", "-m", "Fix x.py. I like short answers.")
    said = run("learn").err.split("\n")[-3:]
    text = "1 line is not read yet, in default/a: `acontext-fs flush` reads what is new"
    assert said == ["done", text, ""]
    run("append", "b", "-m", "Fix y.py.")
    assert "2 lines are not read yet, in 2 sessions:" in run("learn").err
    assert "in default/b:" in run("learn", "b").err
    assert run("flush").err.endswith("done\n")
    assert run("learn").err == "done\n"


def test_flush_waits_for_a_person_who_merges_and_says_so(run, store, git):
    run("append", "s", stdin=STORY)
    (store.root / ".git" / "MERGE_HEAD").write_text(git("rev-parse", "HEAD"))
    done = run("flush", code=1)
    assert done.out == ""
    assert "a merge is under way" in done.err
    (store.root / ".git" / "MERGE_HEAD").unlink()
    run("flush")
    assert run("status", "--json").json["sessions"][0]["state"] == "done"


def test_a_second_daemon_is_refused_with_who_holds_the_store(run, store):
    with own(store.layout, "daemon", store.clock):
        for command in ("daemon", "up"):
            done = run(command, code=1)
            assert is_clear(done)
            assert f"process {os.getpid()}" in done.err
        assert f"process {os.getpid()}" in run("status").out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_takes_what_is_appended_and_ends_cleanly_on_a_signal(store, git, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "acontext_fs", "daemon"],
        env=environment(ACONTEXT_FS_STORE=str(store.root)),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "watching" in process.stderr.readline()
        store.space("default").session("s").append({"role": "user", "content": "Please fix it."})
        done = spawn("--store", str(store.root), "flush", "s")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        process.send_signal(number)
        assert process.wait(20) == 0
        assert "stopped" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    assert [task.description for task in store.sessions()[0].tasks()] == ["Please fix it."]
    assert git("status", "--porcelain") == ""


def test_the_demo_runs_to_its_end_and_leaves_a_clean_repository(tmp_path):
    root = tmp_path / "demo"
    done = spawn("demo", "--fast", "--into", str(root))
    assert done.returncode == 0, done.stderr
    for word in ("The tasks it found", "What it learned", "The commits", "Next", "[success]"):
        assert word in done.stdout
    assert f"cd {root}" in done.stdout
    assert run_git(root, "status", "--porcelain") == ""
    assert run_git(root, "fsck", "--strict") == ""
    assert int(run_git(root, "rev-list", "--count", "HEAD")) >= 4
    again = spawn("demo", "--fast", "--into", str(root))
    assert (again.returncode, again.stdout) == (1, "")
    assert "is not empty" in again.stderr


def test_the_demo_needs_no_model_whatever_is_configured(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:9/v1")
    done = spawn("demo", "--fast", "--into", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stderr


@pytest.fixture
def read_only(store):
    """The store, without any permission to write in it."""
    paths = [store.root, *store.root.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    yield store
    for path, mode in modes.items():
        path.chmod(mode)


@pytest.mark.skipif(
    sys.platform != "linux" and os.geteuid() == 0, reason="permissions do not hold for root"
)
@pytest.mark.parametrize("arguments", [["append", "s", "-m", "x"], ["flush"], ["daemon"]])
def test_a_store_that_cannot_be_written_is_said_in_a_sentence(read_only, arguments):
    done = spawn("--store", str(read_only.root), *arguments, preexec_fn=obey_permissions)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("acontext-fs: cannot "), done.stderr
    assert "check who owns it and its permissions" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_store_that_cannot_be_written_can_be_read(read_only):
    for command in ("status", "sessions", "tasks", "skills", "log"):
        done = spawn("--store", str(read_only.root), command, "--json", preexec_fn=obey_permissions)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) is not None
