"""A session as a person reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.cli import show
from acontext_fs.cli.calls import summary
from acontext_fs.cli.conversation import View, conversation
from acontext_fs.records import (
    Author,
    Message,
    Part,
    Record,
    Role,
    SessionEvent,
    SessionFact,
    Unreadable,
)
from tests.strategies import json_values

TIME = "2026-05-01T10:28:03.000000Z"


def said(
    role: Role, *parts: Part | str, line: int = 1, author: Author = "", **meta: Any
) -> Message:
    found = tuple(Part("text", part) if isinstance(part, str) else part for part in parts)
    own = f"m{line}"
    return Message(own, role, found, line, TIME, "anthropic", meta=meta, author=author)


def call(name: str, call_id: str = "c", **arguments: Any) -> Part:
    return Part("tool-call", "", {"id": call_id, "name": name, "arguments": json.dumps(arguments)})


def result(text: str, call_id: str = "c", **meta: Any) -> Part:
    return Part("tool-result", text, {"tool_call_id": call_id, **meta})


def told(*records: Record, **view: Any) -> list[str]:
    return [line.text for line in conversation(records, View(**view))]


ASKED = said("user", "Fix the *test*.\n\nPlease.", line=2, author="person")


def test_people_agents_and_what_they_did():
    shown = told(
        SessionFact(1, {"source": "claude-code"}),
        ASKED,
        said("assistant", "I look.", call("Bash", command="git status"), line=3, model="m-1"),
        said("user", result("On branch main\n\nclean"), line=4, author="harness"),
        said("assistant", "Done.", line=5, model="m-1"),
        said("user", "Thanks!", line=6, author="person"),
    )
    assert shown == [
        "person  2026-05-01 10:28:03  line 2",
        "Fix the *test*.",
        "",
        "Please.",
        "",
        "m-1  2026-05-01 10:28:03  line 3",
        "I look.",
        "  Bash  git status",
        "    On branch main",
        "    clean",
        "",
        "Done.",
        "",
        "person  2026-05-01 10:28:03  line 6",
        "Thanks!",
    ]


def test_results_stand_below_their_own_calls_whatever_their_order():
    calls = said("assistant", call("Read", "a", file_path="x.py"), call("Bash", "b", command="ls"))
    results = said("user", result("of b", "b"), result("of a", "a"), line=2, author="harness")
    assert told(calls, results)[1:] == ["  Read  x.py", "    of a", "  Bash  ls", "    of b"]


def test_results_whose_ids_repeat_are_not_put_below_a_wrong_call():
    first = said("assistant", call("Bash", "REDACTED", command="one"))
    second = said("assistant", call("Bash", "REDACTED", command="two"), line=2)
    results = [said("user", result(text, "REDACTED"), author="harness") for text in ("1", "2")]
    assert told(first, results[0], second, results[1])[1:] == [
        *("  Bash  one", "  result of Bash", "    1"),
        *("  Bash  two", "  result of Bash", "    2"),
    ]


def test_long_results_are_clipped_and_say_how_much_is_left():
    text = "\n".join(str(number) for number in range(123))
    records = [said("assistant", call("Bash", command="seq")), said("user", result(text))]
    assert told(*records)[2:] == ["    0", "    1", "    2", "    ... 120 more lines (--full)"]
    assert told(*records, is_full=True)[2:] == [f"    {number}" for number in range(123)]
    wide = told(said("user", result("部" * 500)))[1]
    assert show.cells(wide) <= 160
    assert wide.endswith("…")


def test_one_line_too_many_is_shown_rather_than_announced():
    records = [said("assistant", call("Bash")), said("user", result("1\n2\n3\n4"))]
    assert told(*records)[2:] == ["    1", "    2", "    3", "    4"]


def test_failures_and_refusals_show():
    calls = said("assistant", *(call("Bash", name, command=name) for name in "abc"))
    failed, empty = result("boom", "a", is_error=True), result(" ", "b", is_error=True)
    refused = result("The user doesn't want to proceed", "c", rejected=True)
    spoke = said(
        *("user", failed, empty, refused, "Use make."),
        line=2,
        author="person",
        channel="rejection",
    )
    assert told(calls, spoke)[1:] == [
        *("  Bash  a", "    ! boom", "  Bash  b", "    ! failed"),
        *("  Bash  c", "    refused by the person", ""),
        "person  2026-05-01 10:28:03  line 2  (refusing a call)",
        "Use make.",
    ]


def test_what_programs_said_in_a_persons_name_is_folded():
    beside = Part("text", "<ide_selection>x\ny</ide_selection>", {"author": "harness"})
    shown = told(
        said("user", "Caveat:\nthe messages", author="harness"),
        said("user", beside, "Explain this.", line=2, author="person"),
        said("user", "<system-reminder>be\nbrief</system-reminder>Go on.", line=3),
    )
    assert shown == [
        "  harness: Caveat: the messages",
        "",
        "person  2026-05-01 10:28:03  line 2",
        "Explain this.",
        "  beside it: <ide_selection>x y</ide_selection>",
        "",
        "user  2026-05-01 10:28:03  line 3",
        "Go on.",
        "  with what was put beside it: <system-reminder>be brief</system-reminder>Go on.",
    ]


def test_the_prompt_of_a_subagent_is_no_persons():
    prompt = said("user", "\n".join(f"step {n}" for n in range(9)), author="agent")
    shown = list(conversation([prompt], View()))
    assert shown[0].text.startswith("the agent that asks  ")
    assert {line.look for line in shown[1:]} == {"dim"}
    assert shown[-1].text == "    ... 3 more lines (--full)"
    assert told(prompt, only_human=True) == []


def test_thinking_and_tools_are_shown_as_asked_for():
    thought = Part("thinking", "Hm.\nWell.")
    message = said("assistant", thought, "I look.", call("Bash", command="ls"))
    assert told(message)[1:] == ["I look.", "  Bash  ls"]
    assert told(message, has_tools=False)[1:] == ["I look."]
    assert told(message, has_thinking=True)[1:3] == ["  | Hm.", "  | Well."]
    assert told(said("assistant", thought)) == []


def test_only_what_people_typed():
    picture = Part("image", "", {"media_type": "image/png", "data": "blob:ab.png"})
    queued = said("user", "And the docs.", line=4, author="person", channel="queue")
    shown = told(
        *(ASKED, said("assistant", "Yes.", line=3), queued),
        said("user", picture, line=5, author="person"),
        said("user", "reminder", line=6, author="harness"),
        said("user", result("out"), line=7, author="harness"),
        SessionEvent("e", 8, TIME, "interruption", {}),
        only_human=True,
    )
    assert [line for line in shown if "line" in line] == [
        "person  2026-05-01 10:28:03  line 2",
        "person  2026-05-01 10:28:03  line 4  (while the agent worked)",
        "person  2026-05-01 10:28:03  line 5",
    ]
    assert "[image/png, blob ab.png]" in shown
    assert not {"Yes.", "reminder", "out"} & set(shown)


def test_the_last_few_begin_with_who_speaks():
    records = [said("assistant", f"number {n}", line=n, model="m") for n in range(1, 9)]
    shown = told(*records, tail=2)
    assert shown == ["m  2026-05-01 10:28:03  line 7", "number 7", "", "number 8"]
    assert told(*records, tail=99) == told(*records)


def test_pictures_say_what_and_how_large():
    parts = [
        Part("image", "", {"media_type": "image/png", "data": "A" * 40_000}),
        Part("image", "", {"media_type": "image/png", "data": "blob:3f2a.png"}),
        Part("image", "", {"url": "blob:3f2b.jpg"}),
        Part("image", "", {"url": "data:image/gif;base64," + "A" * 400}),
        Part("image", "", {"data": "[left out: image/png, 12 bytes, sha256 ab]"}),
        Part("file", "", {"filename": "a.pdf", "url": "https://example.org/a.pdf"}),
    ]
    shown = told(said("user", "See.", *parts), blob_bytes={"3f2a.png": 34_000}.get)
    assert [line.strip() for line in shown[2:]] == [
        "[image/png, 30 KB]",
        "[image/png, 34 KB, blob 3f2a.png]",
        "[image, blob 3f2b.jpg]",
        "[image, 316 bytes]",
        "[image, left out: image/png, 12 bytes, sha256 ab]",
        "[file, a.pdf, https://example.org/a.pdf]",
    ]


def test_what_happened_is_marked():
    pull = {"url": "https://example.org/pull/7", "number": 7, "repository": "x/y"}
    shown = told(
        SessionEvent("a", 1, TIME, "compaction", {"trigger": "auto"}),
        SessionEvent("b", 2, TIME, "interruption", {}),
        SessionEvent("c", 3, TIME, "pull-request", pull),
        SessionEvent("d", 4, TIME, "disk", {"path": "a.txt", "more": {"x": 1}}),
        Unreadable(5, "not JSON"),
    )
    assert shown == [
        "── the context was compacted: trigger auto ──",
        "── interrupted ──",
        "── pull request #7 https://example.org/pull/7 ──",
        "── disk: path a.txt ──",
        "── line 5 cannot be read: not JSON ──",
    ]


def test_a_person_s_own_shell_and_commands_are_named():
    records = [
        ASKED,
        said("user", "! ls", author="harness", channel="shell"),
        said("user", "<bash-stdout>a.py</bash-stdout><bash-stderr></bash-stderr>", channel="shell"),
        said("user", "/clear", author="harness", channel="command"),
    ]
    assert told(*records)[-3:] == ["  shell: ! ls", "  shell: a.py", "  command: /clear"]


def test_what_says_nothing_takes_no_room():
    failed = result("<tool_use_error>No such file.</tool_use_error>", is_error=True)
    records = [
        said("assistant", "\n\n", call("Read", file_path="a.py"), interrupted=True),
        said("user", failed, author="harness"),
        said("user", "stopped", author="harness", interrupted=True),
        SessionEvent("e", 3, TIME, "interruption", {"reason": "interrupted"}),
    ]
    assert told(*records)[1:] == [
        "  Read  a.py",
        "    ! No such file.",
        "(interrupted)",
        "  harness: stopped",
        "── interrupted ──",
    ]


def test_the_preface_of_codex_makes_room_for_the_output():
    text = "Chunk ID: 1\nWall time: 0.1 seconds\nProcess exited with code 2\nOutput:\nboom\n"
    records = [said("assistant", call("exec_command", cmd="make")), said("user", result(text))]
    assert told(*records)[1:] == ["  exec_command  make", "    exit code 2", "    boom"]
    assert "    Chunk ID: 1" in told(*records, is_full=True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"command": "git status", "description": "look"}, "git status"),
        ({"command": ["bash", "-lc", "ls -l"]}, "ls -l"),
        ({"command": ["git", "log"]}, "git log"),
        ({"path": "/x", "pattern": "def f"}, "def f  /x"),
        ({"file_path": "a.py", "old_string": "x", "new_string": "y"}, "a.py"),
        ({"input": "*** Begin Patch\n*** Update File: a.py\n@@\n-x\n+y\n"}, "update a.py"),
        ({"todos": [], "count": 3}, "count: 3"),
        (
            {"todos": [{"content": "a", "status": "completed"}, {"content": "b"}]},
            "[x] a; b",
        ),
        ({"explanation": "e", "plan": [{"step": "x", "status": "in_progress"}]}, "[>] x"),
        ({"questions": [{"question": "Which?"}, {"header": 1}]}, "Which?"),
        ({"plan": "# All of it"}, "plan: # All of it"),
        (
            {"command": ["bash", "-lc", "apply_patch <<'X'\n*** Add File: a.py\n+1\nX"]},
            "add a.py",
        ),
        ({}, ""),
    ],
)
def test_a_call_is_told_by_what_it_is_about(arguments: dict[str, Any], text: str):
    assert summary("tool", json.dumps(arguments)) == text


def test_a_call_without_json_is_told_as_it_stands():
    assert summary("sh", "ls -l") == "ls -l"
    assert summary("sh", None) == ""
    assert summary("sh", '{"half') == '{"half'


@given(json_values)
def test_any_arguments_give_a_line(value: Any):
    assert isinstance(summary("tool", json.dumps(value)), str)
    assert isinstance(summary("tool", value), str)


def test_wide_characters_are_counted_as_terminals_draw_them():
    assert show.cells("部署") == 4
    assert show.cells("e\N{COMBINING ACUTE ACCENT}") == 1
    assert show.clip("部署失败", 5) == "部署…"
    assert show.clip("abc", 3) == "abc"


COMMANDS = [
    *(
        "\x1b[31m",
        "\x1b]0;title\x07",
        "\x1b]8;;http://x\x1b\\",
        "\x9b2J",
        "\x1bc",
        "\x1b(0",
        "\x1b",
    ),
    *("\r", "\x08", "\x07", "\x85", "\u202e", "\u2066", "\x7f", "\x00"),
]


@given(st.text() | st.lists(st.sampled_from([*COMMANDS, "a", "\n", "部"])).map("".join))
def test_nothing_of_a_transcript_commands_the_terminal(evil: str):
    message = said(
        *("assistant", evil, call(evil, command=evil), Part("thinking", evil)),
        model=evil,
    )
    asked = said("user", evil, result(evil), author="person", channel=evil)
    named = Message("n", "user", (Part("image", "", {"filename": evil}),), 1, TIME, "openai")
    event = SessionEvent("e", 1, TIME, evil, {evil: evil})
    records = [message, asked, named, event, Unreadable(1, evil)]
    for view in (View(), View(is_full=True, has_thinking=True), View(only_human=True)):
        for line in conversation(records, view):
            assert not set(line.text) & set("\x1b\x07\r\x08\x9b\x85\u202e\u2066\x7f\x00\n")


def test_colours_leave_no_trace_and_harmless_spaces_stay():
    assert (
        show.plain("\x1b[1;31mERROR\x1b[0m: \x1b]8;;http://x\x07link\x1b]8;;\x07") == "ERROR: link"
    )
    assert show.plain("a\xa0b\u3000c\u200dd") == "a\xa0b\u3000c\u200dd"
    assert show.plain("x\x1by") == "x\N{REPLACEMENT CHARACTER}y"


def test_what_was_written_over_again_and_again_shows_its_end():
    text = "10%\r50%\r100%\r\ndone\r\n"
    assert told(said("user", result(text)))[1:] == ["    100%", "    done"]
