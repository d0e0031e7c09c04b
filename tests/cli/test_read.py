"""The reading commands: what programs get with --json, and what people get without."""

import json
import sys

import pytest

from acontext_fs.cli import show
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.history import History
from tests.cli.conftest import is_clear

ASKED = {"role": "user", "content": "Please fix the test."}


@pytest.fixture
def session(store):
    """A session with a fact, three messages of which one is a tool's, and a broken line."""
    found = store.space("default").session("s")
    call = {"id": "c", "type": "function", "function": {"name": "bash", "arguments": '{"a":1}'}}
    found.append(
        [
            {"type": "session", "user": "u", "configs": {"k": "v"}},
            {"role": "system", "content": "be kind"},
            ASKED,
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "done"},
        ]
    )
    with open(found.path, "ab") as file:
        file.write(b"{broken\n")
    return found


@pytest.mark.parametrize("command", ["sessions", "tasks", "skills", "log"])
def test_a_list_of_nothing_is_an_empty_array(run, store, command):
    if command == "skills":
        (store.root / "spaces" / "empty").mkdir()
        assert run("skills", "--space", "empty", "--json").json == []
    elif command == "log":
        assert run("log", "--kind", "tasks", "--json").json == []
    else:
        assert run(command, "--json").json == []


def test_sessions_as_json(run, session):
    run("flush")
    (found,) = run("sessions", "--json").json
    assert found["tokens"] > 0
    assert {**found, "tokens": 0} == {
        "id": "s",
        "project_id": "acontext-fs",
        "space": "default",
        "path": session.place.session_path,
        "user_id": "u",
        "configs": {"k": "v"},
        "disable_task_tracking": False,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "updated_at": found["updated_at"],
        "lines": 6,
        "lines_read": 6,
        "messages": 4,
        "unreadable": 1,
        "tasks": 1,
        "tasks_by_status": {"running": 1},
        "tokens": 0,
        **dict.fromkeys(("agent", "title", "project", "branch", "model")),
        **dict.fromkeys(("parent_id", "continues_id")),
    }
    assert run("sessions", "--space", "default", "--json").json == [found]
    table = run("sessions").out.split("\n")
    headings = "session began last agent project model messages tasks user title"
    assert table[0] == headings.replace(" ", "\t")
    times = f"2026-01-01T00:00:00Z\t{found['updated_at'][:19]}Z"
    assert table[1] == f"default/s\t{times}\t\t\t\t4\t1 running\tu\tPlease fix the test."


@pytest.fixture
def captured(store, clock):
    """Sessions of two agents, an hour apart: one with a subagent's."""

    def add(space: str, session_id: str, **facts: str) -> None:
        clock.advance(3600)
        line = {"type": "session", **facts}
        store.space(space).session(session_id).append([line, ASKED])

    web = {"source": "claude-code", "project": "/home/ada/web", "title": "Fix the web"}
    add("claude-code", "main", **web)
    add("claude-code", "main.agent-1", parent="main", **{**web, "title": "Explore"})
    add("codex", "other", source="codex", project="/home/ada/parser", title="Parse \x1b[31mit")


def test_the_newest_sessions_come_first_and_subagents_when_asked(run, captured):
    done = run("sessions")
    assert [line.split("\t")[0] for line in done.out.split("\n")[1:-1]] == [
        *("codex/other", "claude-code/main")
    ]
    assert done.err == "sessions of subagents not shown: 1 (--all)\n"
    assert "Parse it\n" in done.out
    full = run("sessions", "--all")
    assert [line.split("\t")[0] for line in full.out.split("\n")[1:-1]] == [
        *("codex/other", "claude-code/main", "claude-code/main.agent-1")
    ]
    assert full.err == ""
    few = run("sessions", "--limit", "1")
    assert "older sessions not shown: 1 (--limit 2)\n" in few.err
    found = run("sessions", "--json").json
    assert [one["id"] for one in found] == ["other", "main.agent-1", "main"]
    assert [one["parent_id"] for one in found] == [None, "main", None]
    assert found[2]["agent"] == "claude-code"


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--agent", "codex"], ["other"]),
        (["--agent", "cod"], []),
        (["--project", "WEB"], ["main.agent-1", "main"]),
        (["--project", "/home/ada/web"], ["main.agent-1", "main"]),
        (["--project", "/home/ada"], ["other", "main.agent-1", "main"]),
        (["--project", "/home/ada/we"], []),
        (["--since", "2026-01-01T02:30"], ["other"]),
        (["--since", "90m"], ["other", "main.agent-1"]),
        (["--limit", "2"], ["other", "main.agent-1"]),
        (["--space", "codex", "--agent", "claude-code"], []),
    ],
)
def test_sessions_are_chosen_by_what_they_say(run, captured, monkeypatch, clock, options, ids):
    monkeypatch.setattr("acontext_fs.store.SystemClock", lambda: clock)
    assert [one["id"] for one in run("sessions", *options, "--json").json] == ids


def test_a_time_that_is_none_is_said_in_a_sentence(run, store):
    done = run("sessions", "--since", "yesterday", code=2)
    assert "--since 'yesterday' is no time" in done.err


def test_messages_as_json_and_as_text(run, session):
    found = run("messages", "s", "--json").json
    assert [m["role"] for m in found] == ["user", "user", "assistant", "user"]
    assert [m["meta"].get("original_role") for m in found] == ["system", None, None, None]
    assert [m["session_id"] for m in found] == ["s"] * 4
    assert [m["parent_id"] for m in found] == [None, *(m["id"] for m in found[:-1])]
    assert found[1]["parts"] == [{"type": "text", "text": "Please fix the test."}]
    assert found[1]["created_at"] == "2026-01-01T00:00:00.000000Z"
    plain = run("messages", "s", "--format", "openai").json
    assert [m["role"] for m in plain] == ["system", "user", "assistant", "tool"]
    assert [m["role"] for m in run("messages", "s", "--format", "gemini").json][-1] == "user"
    assert [m["author"] for m in found] == [None] * 4
    text = run("messages", "s").out
    assert "user  2026-01-01 00:00:00  line 3\nPlease fix the test.\n" in text
    assert "  bash  a: 1\n    done\n" in text
    assert "be kind" not in run("messages", "s", "--humans").out
    assert "bash" not in run("messages", "s", "--no-tools").out
    assert "Please" not in run("messages", "s", "--tail", "1").out
    assert "── line 6 cannot be read: " in text


def test_tasks_as_json_and_as_text(run, session):
    run("flush")
    (found,) = run("tasks", "s", "--json").json
    assert set(found) >= {
        *("id", "session_id", "order", "status", "is_planning", "data"),
        *("created_at", "updated_at", "message_ids"),
    }
    assert set(found["message_ids"]) <= {m["id"] for m in run("messages", "s", "--json").json}
    assert found["message_ids"]
    assert run("tasks", "--json").json == [found]
    assert run("tasks", "s").out.startswith(
        f"default/s  1. [{found['status']}] Please fix the test."
    )
    session.path.unlink()
    assert run("tasks", "--json").json == []


def test_skills_as_json_and_as_text(run):
    found = run("skills", "--json").json
    assert [skill["id"] for skill in found] == [
        "default.daily-logs",
        "default.user-general-facts",
    ]
    assert set(found[0]) == {"id", "name", "description", "space", "files", "left_alone"}
    for name in ("daily-logs", "default.daily-logs", "default/daily-logs"):
        (one,) = run("skills", name, "--json").json
        assert one["content"]["SKILL.md"].startswith('---\nname: "daily-logs"\n')
    assert run("skills", "daily-logs").out.startswith("== daily-logs/SKILL.md\n---\n")


def test_a_broken_skill_is_told_beside_the_others(run, store):
    bad = store.layout.skills("default") / "bad" / "SKILL.md"
    bad.parent.mkdir()
    bad.write_text("no front matter\n")
    done = run("skills", "--json")
    assert "bad" in done.err
    assert "default.daily-logs" in [skill["id"] for skill in done.json]


def test_the_log_as_json_and_as_text(run, session, git):
    run("flush")
    found = run("log", "--json").json
    assert [commit["id"] for commit in found] == git("log", "--format=%H").split()
    assert set(found[0]) == {
        *("id", "subject", "body", "author", "created_at", "trailers", "paths", "changes")
    }
    assert found[-1]["subject"] == "Set up the store"
    assert "acontext.toml" in found[-1]["paths"]
    tasks = run("log", "s", "--kind", "tasks", "--json").json
    assert tasks
    assert all(c["trailers"]["Acontext-Session"] == ["default/s"] for c in tasks)
    assert run("log").out.startswith("commit\twhen\tkind\tsession\tlines\twhat\tchanged\n")
    assert len(run("log", "--limit", "1", "--json").json) == 1


@pytest.mark.parametrize("command", ["sessions", "search x", "sql select(1)", "index"])
def test_no_answer_is_given_without_what_broken_settings_hide(run, session, store, command):
    store.layout.settings.write_text("llm_simple_model = [\n")
    done = run(*command.split(), code=1)
    assert is_clear(done)
    assert "acontext.toml is not valid TOML" in done.err


def test_a_damaged_file_is_described_in_words(run, session, store):
    run("flush")
    store.layout.path(session.place.progress_path).write_text("{}")
    assert "is not a progress file ('read' is missing)" in run("messages", "s").err
    store.layout.path(session.place.progress_path).write_text('{"x')
    said = run("doctor", code=1).out
    assert f"progress   {session.place.progress_path}: is not a progress file (un" in said


def test_skills_of_a_space_that_is_not_there(run):
    done = run("skills", "--space", "nowhere")
    assert done.err == "no skill is there; spaces: default\n"


def test_the_log_finds_what_lies_behind_many_other_commits(run, store):
    history = History(store.root)
    old = message_of("Old", "", {"Acontext-Kind": "skills", "Acontext-Session": "default/s"})
    store.space("default").session("s").append(ASKED)
    history.commit([FileEdit("x/0", b"")], old)
    for number in range(1, 121):
        history.commit([FileEdit(f"x/{number}", b"")], message_of(f"n{number}", "", {}))
    assert [c["subject"] for c in run("log", "--kind", "skills", "--json").json] == ["Old"]
    assert [c["subject"] for c in run("log", "s", "--json").json] == ["Old"]
    assert len(run("log", "--limit", "115", "--json").json) == 115


def test_status_as_json_and_as_text(run, session, store):
    found = run("status", "--json").json
    assert set(found) == {
        *("daemon", "waiting", "extractor", "tokens_today", "tokens_per_day"),
        *("not_captured", "misplaced", "sessions", "budgets", "skills"),
        *("notices", "rescued", "proposals"),
    }
    (one,) = found["sessions"]
    assert (one["space"], one["session_id"], one["path"]) == (
        *("default", "s"),
        session.place.session_path,
    )
    assert (one["state"], one["pending_lines"]) == ("pending", 6)
    text = run("status").out
    assert "daemon   not running; start it with `acontext-fs daemon`\n" in text
    assert "the rules engine reads the transcripts" in text
    assert "sessions 1 (1 pending)\n" in text
    run("flush")
    assert "default/s" not in run("status").out
    assert "default/s\tdone\t6\t0\t1\t" in run("status", "--all").out
    details = run("status", "s").out
    assert "line 6 was not read: not one JSON object" in details
    assert "only finished tasks are learned from" in details


@pytest.mark.parametrize(
    ("data", "messages", "is_reported"),
    [
        (b"", 0, False),
        (b"\n", 0, False),
        (b'{"role":"user","content":"cut', 0, False),
        (b"{\n", 0, True),
        (b"\xff\xfe\n", 0, True),
        (b"\0" * 100 + b"\n", 0, True),
        (b'{"role":"user","content":"a"}{"role":"user","content":"b"}\n', 2, True),
        (b'[{"role":"user","content":"a"}]\n', 1, True),
        (b'{"role":"wizard","content":"a"}\n', 0, True),
        (b'{"role":"tool","tool_call_id":"nobody","content":"a"}\n', 1, False),
        (b'{"role":"user","content":' + b"[" * 5000 + b"]" * 5000 + b"}\n", 0, True),
        (b'{"type":"session","x":' + b"[" * 300 + b"]" * 300 + b"}\n", 0, True),
        (b'{"type":"session","x":' + b"9" * 50 + b'}{"type":"session"}\n', 0, True),
        (b'{"role":"user","content":"' + b"x" * 20_000_000 + b'"}\n', 1, False),
    ],
    ids=lambda value: repr(value[:24]) + str(len(value)) if isinstance(value, bytes) else None,
)
def test_bad_input_is_kept_and_counted_and_the_rest_goes_on(
    run, store, git, data, messages, is_reported
):
    folder = store.layout.space("default") / "sessions"
    (folder / "bad.jsonl").write_bytes(data)
    (folder / "good.jsonl").write_bytes(b'{"role":"user","content":"Please fix the test."}\n')
    run("status", "--json")
    run("flush")
    found = {s["session_id"]: s for s in run("status", "--json").json["sessions"]}
    assert {s["state"] for s in found.values()} == {"done"}
    assert sum(found["good"]["tasks"].values()) == 1
    assert found["bad"]["lines"] == data.count(b"\n")
    assert (found["bad"]["unreadable"] > 0) == is_reported
    assert bool(found["bad"]["problems"]) == is_reported
    assert len(run("messages", "bad", "--json").json) == messages
    assert (folder / "bad.jsonl").read_bytes() == data
    for command in ("status", "tasks", "sessions"):
        run(command)
    # What is nothing but half a line so far is not in git either.
    waiting = "?? spaces/default/sessions/bad.jsonl\n" if data and b"\n" not in data else ""
    assert git("status", "--porcelain") == waiting


def test_text_is_folded_cut_and_stripped_of_controls():
    assert show.one_line("a\n b\tc", 10) == "a b c"
    assert show.one_line("abcdef", 4) == "abc…"
    assert show.plain("a\x1b[0mb\x08\nc") == "ab\N{REPLACEMENT CHARACTER}\nc"


def test_json_on_a_terminal_commands_nothing(capfdbinary, monkeypatch):
    value = ["\x1b[31m\x7f\x9b2J\u0100部"]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show.print_json(value)
    printed = capfdbinary.readouterr().out
    assert not {b"\x1b", b"\x7f", b"\xc2\x9b"} & {
        printed[i : i + n] for i in range(len(printed)) for n in (1, 2)
    }
    assert json.loads(printed) == value


def test_a_table_is_tabs_for_a_program_and_drawn_for_a_person(capsys, monkeypatch):
    show.table(("a", "b"), [("x\ty", "1\n2")])
    assert capsys.readouterr().out == "a\tb\nx y\t1 2\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show.table(("a", "b"), [("[bold]x[/bold]", json.dumps("\x1b"))])
    drawn = capsys.readouterr().out
    assert "[bold]x[/bold]" in drawn


def test_status_says_who_reads_and_what_it_cost_without_a_daemon_too(run, store, monkeypatch):
    found = run("status", "--json").json
    assert (found["extractor"], found["tokens_today"]) == ("rules", 0)
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("LLM_SIMPLE_MODEL", "small")
    monkeypatch.setenv("ACONTEXT_FS_MAX_TOKENS_PER_DAY", "7")
    found = run("status", "--json").json
    assert (found["extractor"], found["tokens_per_day"]) == ("small", 7)


def test_status_shows_a_last_line_that_was_never_ended(run, store):
    session = store.space("default").session("s")
    session.append({"role": "user", "content": "Please fix the test."})
    with open(session.path, "ab") as file:
        file.write(b'{"role":"user","content":"and the docs"}')
    run("flush")
    assert "bytes of an unfinished line" in run("status").out


def test_a_bare_clone_is_read_like_the_store_it_came_from(run, session, store, git, tmp_path):
    run("flush")
    bare = str(tmp_path / "bare.git")
    git("clone", "-q", "--bare", str(store.root), bare, at=tmp_path)
    for command in ("sessions", "messages s", "tasks", "skills", "log", "search test"):
        ours, theirs = (run(*at, *command.split(), "--json").json for at in ((), ("--store", bare)))
        assert ours == theirs, command
    status = run("--store", bare, "status").out
    assert "only read" in status
    assert "(1 done)" in status
    for command in ("flush", "daemon", "append s --content x"):
        done = run("--store", bare, *command.split(), code=1)
        assert "a clone" in done.err or "a checkout" in done.err, command
