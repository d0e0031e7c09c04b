"""What holds for every command: help, exit codes, errors, pipes."""

import json
import subprocess
import sys

import pytest

from acontext_fs import __version__
from acontext_fs.cli import cli
from tests.cli.conftest import environment, is_clear, spawn
from tests.conftest import run_git

COMMANDS = sorted(cli.commands)
HEAVY = ("pygit2", "duckdb", "openai", "fastapi", "rich", "watchdog", "pydantic", "filelock")


def test_the_commands_are_those_that_are_promised():
    promised = (
        "demo init up daemon append flush learn status sessions messages tasks skills log undo"
    )
    promised += " review serve search sql index attach detach sources import prune doctor"
    assert sorted(promised.split()) == COMMANDS


@pytest.mark.parametrize("command", [*COMMANDS, ""])
def test_every_command_has_help(run, command):
    done = run(*([command] if command else []), "--help")
    assert done.out.startswith(f"Usage: acontext-fs {command}".rstrip())
    assert len(done.out) > 150
    assert done.err == ""
    assert run(*([command] if command else []), "-h").out == done.out


READING = "status sessions messages tasks skills log sources doctor"


@pytest.mark.parametrize("command", READING.split())
def test_every_reading_command_has_json(run, command):
    assert "--json" in run(command, "--help").out


def test_help_loads_nothing_heavy():
    script = """
import sys
from acontext_fs.cli import main
sys.argv = ["acontext-fs", "--help"]
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "click" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_module_runs_like_the_command():
    done = spawn("--version")
    assert (done.returncode, done.stdout) == (0, f"acontext-fs, version {__version__}\n")


def test_without_a_command_help_is_shown_as_wrong_usage(run):
    assert "Usage: acontext-fs" in "".join((run(code=2).out, run(code=2).err))


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["append"],
        ["append", "s", "--format", "cohere", "-m", "x"],
        ["log", "--kind", "nonsense"],
        ["log", "--limit", "0"],
        ["tasks", "--nonsense"],
        ["flush", "--timeout", "soon"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_says_so_on_stderr(run, arguments):
    done = run(*arguments, code=2)
    assert done.out == ""
    assert "Error: " in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["append", "con", "-m", "x"],
        ["append", "a b", "-m", "x"],
        ["append", "s", "--space", "Bad", "-m", "x"],
        ["append", "s", "--role", "wizard", "-m", "x"],
        ["append", "s", "--config", "x", "-m", "x"],
        ["append", "s", "--meta", "[]", "-m", "x"],
        ["append", "s", "--meta", "{", "-m", "x"],
        ["append", "s"],
        ["sessions", "--space", "../x"],
    ],
    ids=" ".join,
)
def test_an_argument_that_makes_no_sense_ends_with_2_and_one_sentence(run, store, arguments):
    assert is_clear(run(*arguments, code=2))
    assert store.sessions() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["messages", "nobody"],
        ["tasks", "nobody"],
        ["status", "nobody"],
        ["log", "nobody"],
        ["flush", "nobody"],
        ["learn", "nobody"],
        ["skills", "nobody"],
        ["--store", "/nowhere/at/all", "status"],
        ["--store", "/nowhere/at/all", "flush"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_ends_with_1_and_one_sentence(run, arguments):
    assert is_clear(run(*arguments, code=1))


@pytest.mark.parametrize("command", [["status"], ["flush"], ["daemon"], ["up"], ["learn"]])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_concurency = 1\n", "did you mean max_concurrency?"),
        ("llm_api_key = 'secret'\n", "LLM_API_KEY"),
        ("max_concurrency = 'x'\n", "is 'x'"),
        ("= x\n", "not valid TOML"),
    ],
)
def test_a_wrong_setting_stops_a_command_with_its_place(run, store, command, text, said):
    (store.root / "acontext.toml").write_text(text)
    done = run(*command, code=1)
    assert is_clear(done)
    assert said in done.err
    assert str(store.root / "acontext.toml") in done.err


def test_the_store_is_the_option_else_the_variable_else_around_the_folder(run, store, tmp_path):
    other = tmp_path / "other"
    run("init", str(other))
    store.space("default").session("here").append({"role": "user", "content": "x"})
    assert [s["id"] for s in run("sessions", "--json").json] == ["here"]
    assert run("--store", str(other), "sessions", "--json").json == []
    done = spawn("sessions", "--json", cwd=store.root / "spaces")
    assert [s["id"] for s in json.loads(done.stdout)] == ["here"]
    done = spawn("sessions", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("place", ["missing folder", "no git", "bare", "no commit"])
def test_a_store_that_is_not_a_usable_repository_is_said_in_a_sentence(run, tmp_path, place):
    root = tmp_path / "x"
    if place != "missing folder":
        root.mkdir()
    if place in ("bare", "no commit"):
        run_git(root, "init", "-q", *(["--bare"] if place == "bare" else []))
    if place == "no git":
        (root / "acontext.toml").touch()
    for command in ("flush", "log"):
        assert is_clear(run("--store", str(root), command, code=1)), command


def test_the_reader_of_a_pipe_may_go_away(store):
    session = store.space("default").session("s")
    session.append([{"role": "user", "content": "x" * 1000}] * 500)
    for more in ([], ["--json"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "acontext_fs", "messages", "s", *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(ACONTEXT_FS_STORE=str(store.root)),
        )
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(30) == 0


def test_transcripts_cannot_command_the_terminal(run, store):
    evil = "\x1b]0;title\x07\x1b[31m\u202e\r\x08\x9b2J"
    store.space("default").session("s").append(
        [
            {"role": "user", "content": f"Please fix {evil} the test."},
            {"role": "assistant", "content": evil, "tool_calls": [call(evil)]},
            {"role": "tool", "tool_call_id": "c", "content": f"{evil} exit code: 0"},
            {"role": "assistant", "content": f"Done, it passes. {evil}"},
            {"type": "session", "user": evil},
        ]
    )
    bad = store.layout.space("default") / "sessions" / "\x1b[31m.jsonl"
    bad.touch()
    everything = [run("flush").err]
    for arguments in (
        ["messages", "s"],
        ["tasks", "s"],
        ["tasks", "--planning"],
        ["status", "s"],
        ["status", "--all"],
        ["sessions"],
        ["log"],
        ["skills"],
        *(["skills", skill["id"]] for skill in run("skills", "--json").json),
    ):
        done = run(*arguments)
        everything += [done.out, done.err]
    text = "".join(everything)
    assert "Please fix" in text
    assert not set(text) & set("\x1b\x07\u202e\r\x08\x9b")


def call(name: str) -> dict:
    return {
        "id": "c",
        "type": "function",
        "function": {"name": "bash", "arguments": json.dumps({"command": name})},
    }
