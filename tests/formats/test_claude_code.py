"""Claude Code: what was said in a session, and by whom."""

import dataclasses
import json

import pytest

from acontext_fs.formats.claude_code import DIALECT
from acontext_fs.formats.dialect import Owner, Place
from acontext_fs.formats.human import human_text
from acontext_fs.records import (
    Continued,
    Line,
    Message,
    SessionEvent,
    SessionFact,
    Withdrawn,
)

SESSION = "11111111-2222-4333-8444-555555555555"
REFUSED = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it "
    "was a file edit, the new_string was NOT written to the file). "
)
TOLD = "To tell you how to proceed, the user said:\n"


def read(values, session_id=SESSION, reading=None):
    """The records of `values`, a line each."""
    reading = reading or DIALECT.start()
    records = []
    for number, value in enumerate(values, start=1):
        line = Line(number, 0, json.dumps(value).encode())
        records += reading.read(value, Place(line, 0, "default", session_id, "2026-01-01"))
    return records


def folded(records):
    """The messages that count in the end, continued and without those taken back."""
    found = {}
    for record in records:
        if isinstance(record, Message):
            assert record.id not in found, record
            found[record.id] = record
        elif isinstance(record, Continued):
            begun = found[record.message_id]
            meta = {**begun.meta, **record.meta}
            parts = begun.parts + record.parts
            found[begun.id] = dataclasses.replace(begun, parts=parts, meta=meta)
        elif isinstance(record, Withdrawn):
            for message_id in record.message_ids:
                del found[message_id]
    return list(found.values())


def spoken(values, **more):
    """What people said in these lines, with the way it came in."""
    messages = folded(read(values, **more))
    words = [(human_text(message), message.meta.get("channel", "")) for message in messages]
    return [pair for pair in words if pair[0]]


def events(records, name):
    return [r.data for r in records if isinstance(r, SessionEvent) and r.event == name]


def facts(records):
    merged = {}
    for record in records:
        if isinstance(record, SessionFact):
            merged |= record.values
    return merged


class Lines:
    """Writes lines that follow each other, as Claude Code does."""

    def __init__(self):
        self.count = 0
        self.last = None

    def line(self, kind, **more):
        self.count += 1
        value = {
            "parentUuid": self.last,
            "isSidechain": False,
            "userType": "external",
            "cwd": "/home/dev/shop",
            "sessionId": SESSION,
            "version": "2.1.37",
            "gitBranch": "main",
            "type": kind,
            "uuid": f"line-{self.count}",
            "timestamp": f"2026-02-03T10:00:{self.count % 60:02}.000Z",
            **more,
        }
        self.last = value["uuid"]
        return value

    def user(self, content, **more):
        return self.line("user", message={"role": "user", "content": content}, **more)

    def said(self, message_id, *blocks, output=5, stop=None, **more):
        message = {
            "id": message_id,
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": list(blocks),
            "stop_reason": stop,
            "usage": {
                "input_tokens": 3,
                "output_tokens": output,
                "cache_read_input_tokens": 70,
                "cache_creation_input_tokens": 11,
            },
        }
        return self.line("assistant", message=message, requestId="req_1" + message_id, **more)

    def queue(self, operation, content=None, **more):
        value = {"type": "queue-operation", "operation": operation, "sessionId": SESSION, **more}
        self.count += 1
        value["timestamp"] = f"2026-02-03T10:01:{self.count % 60:02}.000Z"
        return value if content is None else {**value, "content": content}

    def queued_command(self, prompt, mode="prompt", **more):
        attachment = {"type": "queued_command", "prompt": prompt, "commandMode": mode, **more}
        return self.line("attachment", attachment=attachment)


@pytest.fixture
def lines():
    return Lines()


def text(words):
    return {"type": "text", "text": words}


def call(call_id, name="Bash", **arguments):
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def result(call_id, content="done", **more):
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


# --- the assistant's messages


def test_lines_of_one_message_are_one_message_across_the_results_between(lines):
    records = read(
        [
            lines.user("add a test"),
            lines.said("msg_1", {"type": "thinking", "thinking": "", "signature": "abc"}),
            lines.said("msg_1", text("I look first.")),
            lines.said("msg_1", call("t1", command="ls"), call("t2", command="pwd")),
            lines.user([result("t1", "a.py")]),
            lines.said("msg_1", call("t3", command="id"), output=41, stop="tool_use"),
            lines.user([result("t2", "/home")]),
            lines.said("msg_2", text("Done."), stop="end_turn"),
        ]
    )
    first, second = (m for m in folded(records) if m.role == "assistant")
    assert [part.type for part in first.parts] == ["thinking", "text", *["tool-call"] * 3]
    assert first.id == "msg_1"
    assert first.format == "anthropic"
    assert first.meta == {
        "model": "claude-sonnet-4-5",
        "usage": {
            "input_tokens": 3,
            "output_tokens": 41,
            "cache_read_tokens": 70,
            "cache_write_tokens": 11,
        },
        "stop_reason": "tool_use",
    }
    assert json.loads(first.parts[2].meta["arguments"]) == {"command": "ls"}
    assert second.text == "Done."
    continued = [record for record in records if isinstance(record, Continued)]
    assert [sorted(record.meta) for record in continued] == [[], [], ["stop_reason", "usage"]]


@pytest.mark.parametrize("message_id", ["REDACTED", "", None, 7])
def test_without_a_usable_id_the_request_names_a_message(lines, message_id):
    values = [lines.said("m", text("one")), lines.said("m", text("two"))]
    for value in values:
        value["message"]["id"] = message_id
    (message,) = folded(read(values))
    assert (message.id, message.text) == ("req_1m", "one\ntwo")


def test_without_any_id_a_line_goes_on_with_the_line_it_follows(lines):
    values = [
        lines.said("x", text("one"), output=9),
        lines.said("x", call("t1"), output=9),
        lines.user([result("t1")]),
        lines.said("x", text("two"), output=9),
    ]
    for value in values:
        value |= {"requestId": "REDACTED"}
        if value["type"] == "assistant":
            value["message"]["id"] = "REDACTED"
    ids = [m.id for m in folded(read(values)) if m.role == "assistant"]
    assert ids == ["line-1", "line-4"]


def test_what_the_program_says_in_the_model_s_name_is_no_message(lines):
    error = lines.said("e", text("API Error: 529 overloaded"), isApiErrorMessage=True)
    error["message"]["model"] = "<synthetic>"
    nothing = lines.said("n", text("No response requested."))
    nothing["message"]["model"] = "<synthetic>"
    records = read([lines.user("go"), error, nothing])
    assert [message.role for message in folded(records)] == ["user"]
    assert events(records, "api-error") == [{"message": "API Error: 529 overloaded"}]


# --- the person's words


def test_a_line_that_is_there_twice_counts_once(lines):
    prompt = lines.user("rename the flag")
    assert spoken([prompt, prompt, lines.user("rename the flag")]) == [("rename the flag", "")] * 2


@pytest.mark.parametrize(
    "content",
    [
        [result("t1")],
        "<command-name>/exit</command-name>\n  <command-message>exit</command-message>\n"
        "  <command-args></command-args>",
        "<local-command-stdout>\x1b[1mSet model\x1b[22m</local-command-stdout>",
        "<local-command-stdout></local-command-stdout>",
        "<bash-input>git status</bash-input>",
        "<bash-stdout>clean</bash-stdout><bash-stderr></bash-stderr>",
        "<task-notification>\n<task-id>a1</task-id>\n</task-notification>",
        "<task-notification>\n<task-id>a1</task-id>\n</task-notification>\n"
        "Read the output file to retrieve the result: /tmp/a1.output",
        "<agent-notification>\n<agent-id>a1</agent-id>\n</agent-notification>\n"
        "Full transcript available at: /tmp/a1.output",
        "<bash-notification>\n<shell-id>b1</shell-id>\n</bash-notification>",
        '<mcp-resource-update server="s" uri="u">changed</mcp-resource-update>',
        "Unknown slash command: deploy",
        "Unknown skill: deploy",
        "Tool loaded.",
        '<teammate-message teammate_id="tests">all pass</teammate-message>',
        "Caveat: The messages below were generated by the user while running local commands.",
        "This session is being continued from a previous conversation that ran out of context.",
        "Base directory for this skill: /skills/review\n\n# Review",
        "Continue from where you left off.",
        "[Request interrupted by user]",
        "[Request interrupted by user for tool use]",
        '<command-message>The "pdf" skill is loading</command-message>\n'
        "<command-name>pdf</command-name>\n<skill-format>true</skill-format>",
        [text("<system-reminder>\nToday is Tuesday.\n</system-reminder>")],
        "",
    ],
)
def test_what_the_program_wrote_is_nobody_s_words(lines, content):
    assert spoken([lines.user(content)]) == []


@pytest.mark.parametrize(
    "flags",
    [
        {"isMeta": True},
        {"isCompactSummary": True, "isVisibleInTranscriptOnly": True},
        {"isSidechain": True},
        {"origin": {"kind": "task-notification"}},
        {"origin": {"kind": "peer"}},
        {"promptSource": "system"},
        {"sourceToolUseID": "toolu_1"},
        {"forkedFrom": {"sessionId": "other", "messageUuid": "u"}},
    ],
)
def test_a_line_that_says_it_is_not_typed_is_not(lines, flags):
    (message,) = folded(read([lines.user("fix the parser", **flags)]))
    assert message.author in ("agent", "harness")
    assert human_text(message) == ""


def test_the_user_s_own_shell_is_shown_and_is_no_prompt(lines):
    first, second = folded(
        read(
            [
                lines.user("<bash-input>git status -s</bash-input>"),
                lines.user("<bash-stdout> M a.py</bash-stdout><bash-stderr></bash-stderr>"),
            ]
        )
    )
    assert (first.text, first.meta) == ("! git status -s", {"channel": "shell"})
    assert second.meta == {"channel": "shell"}


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (
            "<command-message>review</command-message>\n<command-name>/review</command-name>\n"
            "<command-args>the parser, and\nits tests</command-args>",
            "/review the parser, and\nits tests",
        ),
        (
            "<command-name>/compact</command-name>\n   <command-message>compact</command-message>\n"
            "   <command-args>keep the plan</command-args>",
            "/compact keep the plan",
        ),
        (
            "<command-message>commit</command-message>\n<command-name>/commit</command-name>",
            "/commit",
        ),
        ("<user-memory-input>always use tabs</user-memory-input>", "always use tabs"),
    ],
)
def test_a_command_that_the_agent_is_given_is_what_the_person_typed(lines, written, words):
    assert spoken([lines.user(written)]) == [(words, "command")]
    assert spoken([lines.user([text(written)])]) == [(words, "command")]


def test_what_an_editor_or_a_hook_adds_is_kept_beside_the_words(lines):
    block = "<ide_selection>The user selected lines 1 to 2 of a.py</ide_selection>"
    hook = "<system-reminder>hook: be brief</system-reminder>"
    for content in (f"{block}\nwhat is this?\n{hook}", [text(block), text("what is this?")]):
        (message,) = folded(read([lines.user(content)]))
        assert human_text(message) == "what is this?"
        assert message.author == "person"
        assert block in message.text


def test_words_behind_the_notice_of_a_task_are_the_person_s(lines):
    notice = "<task-notification>\n<task-id>a1</task-id>\n</task-notification>\n"
    written = notice + "Read the output file to retrieve the result: /tmp/a\nand then ship it"
    assert spoken([lines.user(written)]) == [("and then ship it", "")]
    assert spoken([lines.user("Unknown skill: deploy. Why?")]) != []


def test_what_retells_a_conversation_is_the_program_s(lines):
    (summary,) = folded(read([lines.user("You asked for a parser.", isCompactSummary=True)]))
    assert summary.author == "harness"


def test_a_tag_that_a_person_writes_about_is_theirs(lines):
    words = "why is the <system-reminder>x</system-reminder> tag in my <b>bold</b> output?"
    unclosed = "<system-reminder> is never closed"
    assert spoken([lines.user(words), lines.user(unclosed)]) == [(words, ""), (unclosed, "")]


def test_words_beside_a_tool_s_result_are_the_person_s(lines):
    records = read(
        [
            lines.said("m", call("t1")),
            lines.user([result("t1", "ok"), text("and remember to paginate")]),
            lines.user([result("t2"), text("[Request interrupted by user for tool use]")]),
            lines.user([result("t3"), text("<system-reminder>x</system-reminder>")]),
        ]
    )
    authors = [message.author for message in folded(records)[1:]]
    assert authors == ["person", "harness", "harness"]
    assert [human_text(m) for m in folded(records)[1:]] == ["and remember to paginate", "", ""]
    assert len(events(records, "interruption")) == 1


def test_pictures_are_part_of_a_prompt(lines):
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}
    (message,) = folded(read([lines.user([picture, text("what is wrong here?")])]))
    assert [part.type for part in message.parts] == ["image", "text"]
    assert human_text(message) == "what is wrong here?"


def test_a_plan_that_is_replayed_is_the_agent_s_and_what_was_said_to_it_the_person_s(lines):
    plan = "Implement the following plan:\n\n# Paging\n\n1. add a cursor"
    said = "\n\nUser feedback on this plan: keep the old route"
    (only,) = folded(read([lines.user(plan, planContent="# Paging\n\n1. add a cursor")]))
    assert (only.author, human_text(only)) == ("agent", "")
    records = read([lines.user(plan + said)])
    assert human_text(folded(records)[0]) == "keep the old route"
    assert facts(records)["title"] == "Paging"


# --- refusals and answers


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (REFUSED + TOLD + "use the old name", "use the old name"),
        (
            REFUSED + TOLD + "keep it\n\nNote: one file\n\n"
            "Note: The user's next message may contain a correction or preference.",
            "keep it\n\nNote: one file",
        ),
        (REFUSED + "STOP what you are doing and wait for the user.", ""),
        (
            REFUSED + TOLD + "The user wants to clarify these questions.\n"
            "    This means they may have additional information",
            "",
        ),
        (
            "Permission for this tool use was denied. The tool use was rejected (eg. if). "
            "The user said:\nnot here",
            "not here",
        ),
    ],
)
def test_a_refusal_is_no_failure_and_its_words_are_the_person_s(lines, content, words):
    (message,) = folded(read([lines.user([result("t1", content, is_error=True)])]))
    refused = message.parts[0]
    assert refused.meta == {"tool_call_id": "t1", "rejected": True}
    assert refused.text == content
    assert human_text(message) == words
    assert message.author == ("person" if words else "harness")
    assert message.meta == ({"channel": "rejection"} if words else {})


def test_a_plan_that_was_refused_does_not_speak_for_the_person(lines):
    text = "The agent proposed a plan that was rejected by the user.\n\nRejected plan:\n"
    assert spoken([lines.user([result("t1", text + "# Why\nthe user said: no")])]) == []


def test_newer_versions_say_what_became_of_a_call_and_what_was_said_to_it(lines):
    value = lines.user(
        [result("t1", "Denied.", is_error=True)],
        toolDenialKind="user-rejected",
        userFeedback="on a branch, please",
    )
    failed = lines.user([result("t2", "Exit code 1", is_error=True)])
    assert spoken([value, failed]) == [("on a branch, please", "rejection")]
    assert folded(read([failed]))[0].parts[0].meta["is_error"] is True


def test_answers_to_questions_are_the_person_s_words(lines):
    said = (
        'User has answered your questions: "Which "store"?"="SQLite", "Tests?"="Yes, all". '
        "You can now continue with the user's answers in mind."
    )
    bare = lines.user([result("t1", said)])
    answers = {"Which store?": "SQLite", "Tests?": ["Yes", "all"]}
    notes = {"Tests?": {"notes": "but not the slow ones"}}
    mirrored = lines.user([result("t2", said)], toolUseResult={"answers": answers})
    noted = lines.user(
        [result("t3", said)], toolUseResult={"answers": answers, "annotations": notes}
    )
    assert spoken([bare, mirrored, noted]) == [
        ("SQLite\nYes, all", "answer"),
        ("SQLite\nYes, all", "answer"),
        ("SQLite\nYes, all\nbut not the slow ones", "answer"),
    ]


def test_the_texts_of_a_result_stand_on_lines_of_their_own(lines):
    (message,) = folded(read([lines.user([result("t1", [text("found"), text("agentId: a1")])])]))
    assert message.parts[0].text == "found\nagentId: a1"


def test_reminders_behind_a_result_are_left_out(lines):
    reminder = "\n\n<system-reminder>\nMind malware.\n</system-reminder>\n"
    quoted = "a <system-reminder>x</system-reminder> in a page"
    first, second = folded(
        read(
            [lines.user([result("t1", "text" + reminder * 2)]), lines.user([result("t2", quoted)])]
        )
    )
    assert [first.parts[0].text, second.parts[0].text] == ["text", quoted]


# --- whose session a line is


def test_a_subagent_s_lines_belong_to_a_session_of_its_own(lines):
    main = lines.user("x")
    side = lines.user("x", isSidechain=True, agentId="a1f")
    progress = lines.line("progress", data={"type": "agent_progress", "agentId": "b/2"})
    assert DIALECT.owner(main) == Owner(SESSION)
    assert DIALECT.owner(side) == Owner(f"{SESSION}.agent-a1f", SESSION)
    assert DIALECT.owner(progress) == Owner(f"{SESSION}.agent-b-2", SESSION)
    assert DIALECT.owner({"type": "summary", "summary": "x", "leafUuid": "y"}) is None


def test_a_subagent_that_is_told_of_inline_reads_as_its_own_file_does(lines):
    own = Lines()
    turns = [
        own.user("look for callers", isSidechain=True, agentId="a1"),
        own.said("m1", call("t1", "Grep"), isSidechain=True, agentId="a1"),
        own.user([result("t1", "none")], isSidechain=True, agentId="a1"),
        own.said("m2", text("no callers"), isSidechain=True, agentId="a1"),
    ]
    shared = ("message", "uuid", "timestamp", "type")
    inline = [
        lines.line(
            "progress",
            data={
                "type": "agent_progress",
                "agentId": "a1",
                "prompt": "look for callers",
                "message": {key: turn[key] for key in shared},
            },
        )
        for turn in turns
    ]
    session_id = f"{SESSION}.agent-a1"
    read_own, read_inline = read(turns, session_id), read(inline, session_id)
    assert folded(read_own) == folded(read_inline)
    assert folded(read_own)[0].author == "agent"
    assert facts(read_own) == facts(read_inline)
    assert facts(read_own)["parent"] == SESSION
    assert facts(read_own)["disable_task_tracking"] is True
    assert [DIALECT.identity(v) for v in turns] == [DIALECT.identity(v) for v in inline]
    # In its parent's session none of it is said.
    assert folded(read([lines.user("go"), *inline, *turns]))[1:] == []


# --- facts and events


def test_facts_are_told_when_they_change(lines):
    records = read(
        [
            lines.user("fix the build\nit is red"),
            lines.said("m", text("ok")),
            lines.user("on", gitBranch="fix", cwd="/home/dev/shop"),
            lines.user("on", gitBranch="HEAD"),
        ]
    )
    assert [r.values for r in records if isinstance(r, SessionFact)] == [
        {"project": "/home/dev/shop", "branch": "main", "agent_version": "2.1.37"},
        {"title": "fix the build"},
        {"model": "claude-sonnet-4-5"},
        {"branch": "fix"},
    ]


def test_a_session_that_was_copied_from_another_names_it(lines):
    origin = {"sessionId": "before", "messageUuid": "line-1"}
    records = read([lines.user("one", forkedFrom=origin), lines.user("two")])
    assert facts(records)["parent"] == "before"
    assert "disable_task_tracking" not in facts(records)
    assert [human_text(message) for message in folded(records)] == ["", "two"]


def test_the_best_title_wins_whenever_it_comes(lines):
    foreign = {"type": "summary", "summary": "Another session", "leafUuid": "elsewhere"}
    custom = {"type": "custom-title", "customTitle": "Parser", "sessionId": SESSION}
    ours = {"type": "ai-title", "aiTitle": "Fix parser", "sessionId": SESSION}
    named = {"type": "agent-name", "agentName": "parser-fix", "sessionId": SESSION}
    prompt = lines.user("w" * 200)
    own = {"type": "summary", "summary": "Parser fixed", "leafUuid": prompt["uuid"]}
    reading = DIALECT.start()
    assert facts(read([foreign], reading=reading)) == {}
    assert facts(read([prompt], reading=reading))["title"] == "w" * 79 + "…"
    assert facts(read([own], reading=reading)) == {"title": "Parser fixed"}
    assert facts(read([ours, named], reading=reading)) == {"title": "parser-fix"}
    assert facts(read([custom, ours, own, custom], reading=reading)) == {"title": "Parser"}


def test_events_of_a_session(lines):
    link = {
        "type": "pr-link",
        "sessionId": SESSION,
        "prNumber": 12,
        "prUrl": "https://example.org/shop/pull/12",
        "prRepository": "example/shop",
        "timestamp": "2026-02-03T10:00:00Z",
    }
    compact = lines.line(
        "system", subtype="compact_boundary", compactMetadata={"trigger": "auto", "preTokens": 9}
    )
    failed = lines.line("system", subtype="api_error", error={"status": 529, "message": "busy"})
    records = read([link, link, compact, failed])
    assert events(records, "pull-request") == [
        {"url": "https://example.org/shop/pull/12", "number": 12, "repository": "example/shop"}
    ]
    assert events(records, "compaction") == [{"trigger": "auto", "tokens_before": 9}]
    assert events(records, "api-error") == [{"message": "busy", "status": 529}]
    ids = [record.id for record in records if isinstance(record, SessionEvent)]
    assert len(set(ids)) == 3
