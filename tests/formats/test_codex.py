"""Codex rollouts: what was said, by whom, and once. Made-up lines in the shapes of real ones."""

import json

import pytest

from acontext_fs import jsonl
from acontext_fs.folding import patched
from acontext_fs.formats.codex import DIALECT
from acontext_fs.formats.dialect import Owner, Place
from acontext_fs.formats.human import human_text
from acontext_fs.records import (
    Line,
    Message,
    SessionEvent,
    SessionFact,
    Withdrawn,
)

OWN_ID = "019d0000-0000-7000-8000-000000000001"
PARENT_ID = "019c0000-0000-7000-8000-000000000001"


def read_raw(data, reading=None):
    reading = reading or DIALECT.start()
    found = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        for nth, value in enumerate(jsonl.decode(line).values if line.strip() else ()):
            place = Place(Line(number, 0, line), nth, "codex", "one", "")
            found.extend(reading.read(value, place))
    return found


def read(*lines):
    return patched(read_raw(b"\n".join(json.dumps(line).encode() for line in lines)))


def messages(records):
    """What counts: nothing that was taken back."""
    found = [record for record in records if isinstance(record, Message)]
    return [one for one in found if "withdrawn" not in one.meta]


def typed(records):
    return [text for text in map(human_text, messages(records)) if text]


def spoken(records):
    return [m.text for m in messages(records) if m.role == "assistant" and m.text]


def facts(records):
    merged = {}
    for record in records:
        if isinstance(record, SessionFact):
            merged.update(record.values)
    return merged


def events(records):
    return [(r.event, dict(r.data)) for r in records if isinstance(r, SessionEvent)]


def line(kind, payload, second=0):
    minute, second = divmod(second, 60)
    time = f"2026-03-01T10:{minute:02}:{second:02}.000Z"
    return {"timestamp": time, "type": kind, "payload": payload}


def item(second=0, **payload):
    return line("response_item", payload, second)


def event(kind, second=0, **payload):
    return line("event_msg", {"type": kind, **payload}, second)


def said(role, *texts, second=0, **more):
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text} for text in texts]
    return item(second, type="message", role=role, content=content, **more)


def asked(text, second=0):
    """A prompt, as Codex writes it."""
    return [said("user", text, second=second), event("user_message", second, message=text)]


def call(call_id, name="exec_command", arguments='{"cmd":"ls"}', **more):
    return item(type="function_call", call_id=call_id, name=name, arguments=arguments, **more)


def output(call_id, text, kind="function_call_output"):
    return item(type=kind, call_id=call_id, output=text)


def header(**more):
    return line("session_meta", {"id": OWN_ID, "cwd": "/home/x/app", "source": "cli", **more})


def tokens(total, given, cached, written):
    last = {"input_tokens": given, "cached_input_tokens": cached, "output_tokens": written}
    info = {"total_token_usage": {"input_tokens": total}, "last_token_usage": last}
    return event("token_count", info=info)


def test_a_prompt_that_comes_by_two_ways_counts_once():
    records = read(*asked("mend the door"), said("assistant", "Done."), *asked("and the window\n"))
    assert typed(records) == ["mend the door", "and the window"]


def test_the_event_may_come_first():
    records = read(*reversed(asked("mend the door")), *reversed(asked("mend the door")))
    assert typed(records) == ["mend the door", "mend the door"]


def test_prompts_of_a_rollout_without_events_count_each_time():
    records = read(said("user", "continue"), said("assistant", "One."), said("user", "continue"))
    assert typed(records) == ["continue", "continue"]


def test_prompts_of_a_rollout_without_items_are_read_from_the_events():
    records = read(
        event("user_message", message="mend the door"),
        event("agent_reasoning", text="The hinge is loose."),
        event("agent_message", message="Done."),
    )
    assert typed(records) == ["mend the door"]
    assert spoken(records) == ["Done."]
    assert messages(records)[1].parts_of("thinking")[0].text == "The hinge is loose."


def test_two_prompts_typed_in_a_row_are_two_whatever_the_order_of_their_lines():
    first, first_event = asked("paint it red")
    second, second_event = asked("no, green")
    assert typed(read(first, second, first_event, second_event)) == ["paint it red", "no, green"]


def test_the_two_ways_may_word_a_prompt_differently():
    records = read(said("user", "look at <a>"), event("user_message", message="look at [a]"))
    assert typed(records) == ["look at <a>"]


def test_what_codex_says_as_the_user_is_kept_and_is_nobodys_words():
    injected = [
        "<environment_context>\n  <cwd>/home/x</cwd>\n</environment_context>",
        "# AGENTS.md instructions for /home/x\n\n<INSTRUCTIONS>\nUse tabs.\n</INSTRUCTIONS>",
        "<user_instructions>\n\nUse tabs.\n\n</user_instructions>",
        "<turn_aborted>\nThe user interrupted.\n</turn_aborted>",
        '<subagent_notification>\n{"agent_id":"a"}\n</subagent_notification>',
        "<user_shell_command>\n<command>\nls\n</command>\n</user_shell_command>",
        "<skill>\n<name>paint</name>\n</skill>",
        '<codex_internal_context source="goal">\nGo on.\n</codex_internal_context>',
        '<hook_prompt hook_run_id="h">Try again</hook_prompt>',
        "<some_new_context>\nwhatever comes next year\n</some_new_context>",
        "<user_action>\n<context>User initiated a review task.</context>\n</user_action>",
        "<heartbeat>\n<automation_id>a</automation_id>\n</heartbeat>",
        '<in-app-browser-context source="ui">\nhttp://x.test\n</in-app-browser-context>',
        "Another language model started to solve this problem and produced a summary of it.",
    ]
    records = read(*[said("user", text) for text in injected])
    assert typed(records) == []
    assert [message.author for message in messages(records)] == ["harness"] * len(injected)
    assert [message.text for message in messages(records)] == injected
    assert facts(records) == {"project": "/home/x"}


def test_standing_instructions_stay_readable_beside_the_environment():
    agents = "# AGENTS.md instructions for /home/x\n\n<INSTRUCTIONS>\nUse tabs.\n</INSTRUCTIONS>"
    context = "<environment_context>\n<cwd>/home/x</cwd>\n</environment_context>"
    (message,) = messages(read(said("user", agents, context)))
    assert message.author == "harness"
    assert "Use tabs." in message.text
    # Older ones put all of it and the prompt in one text.
    records = read(said("user", f"{agents}\n\n{context}\n\nmend the door"))
    assert typed(records) == ["mend the door"]


def test_what_a_person_pastes_is_theirs():
    pasted = [
        "<div>\n<b>why is this bold?</b>\n</div>",
        "<cwd>/x</cwd> is wrong",
        "# Plan\n\n1. go",
    ]
    records = read(*[line for text in pasted for line in asked(text)])
    assert typed(records) == pasted


def test_the_desktop_app_wraps_what_was_asked():
    text = (
        "# Files mentioned by the user:\n\n## door.py: /home/x/door.py\n\n"
        "## My request for Codex:\nmend the door\n"
    )
    records = read(*asked(text))
    assert typed(records) == ["mend the door"]
    assert facts(records)["title"] == "mend the door"
    (message,) = messages(records)
    assert message.parts[0].meta == {"author": "harness"}
    assert "door.py" in message.parts[0].text


def test_pictures_come_with_the_prompt_and_their_labels_are_no_words():
    content = [
        {"type": "input_text", "text": '<image name=[Image #1] path="/home/x/a.png">'},
        {"type": "input_image", "image_url": "data:image/png;base64,aGVsbG8="},
        {"type": "input_text", "text": "</image>"},
        {"type": "input_text", "text": "what is [Image #1]?"},
    ]
    prompt = item(type="message", role="user", content=content)
    shown = event("user_message", message="what is [Image #1]?", local_images=["/home/x/a.png"])
    for lines in ((prompt, shown), (shown, prompt)):
        records = read(*lines)
        (message,) = messages(records)
        assert human_text(message) == "what is [Image #1]?"
        (image,) = message.parts_of("image")
        assert image.meta == {"media_type": "image/png", "data": "aGVsbG8="}


def test_the_developer_is_not_the_user():
    (message,) = messages(read(said("developer", "<permissions instructions>No.</permissions>")))
    assert (message.original_role, message.author) == ("developer", "harness")


def test_an_answer_is_its_thoughts_its_words_and_its_calls():
    records = read(
        line("turn_context", {"model": "gpt-x", "cwd": "/home/x/app"}),
        item(type="reasoning", summary=[{"type": "summary_text", "text": "Look first."}]),
        event("agent_message", message="I look."),
        said("assistant", "I look.", phase="commentary"),
        call("c1"),
        call("c2"),
        tokens(100, 100, 40, 7),
        output("c1", "Chunk ID: 1\nProcess exited with code 0\nOutput:\na"),
        output(
            "c2", "Chunk ID: 2\nProcess exited with code 1\nOutput:\nProcess exited with code 0"
        ),
        call("c3"),
        tokens(250, 150, 90, 8),
        tokens(250, 150, 90, 8),
        output("c3", "ok"),
        said("assistant", "All well.", phase="final_answer"),
        tokens(400, 150, 140, 9),
    )
    answer, first, second, bare, third, last = messages(records)
    kinds = [part.type for part in answer.parts]
    assert kinds == ["thinking", "text", "tool-call", "tool-call"]
    assert answer.meta == {
        "model": "gpt-x",
        "phase": "commentary",
        "usage": {
            "input_tokens": 60,
            "output_tokens": 7,
            "cache_read_tokens": 40,
            "cache_write_tokens": 0,
        },
    }
    assert first.parts[0].meta == {"tool_call_id": "c1", "exit_code": 0}
    assert second.parts[0].meta == {"tool_call_id": "c2", "exit_code": 1, "is_error": True}
    assert [m.author for m in (first, second, third)] == ["harness"] * 3
    # Calls without words are a message without words.
    assert (bare.text, [p.meta["id"] for p in bare.parts]) == ("", ["c3"])
    assert [m.meta["usage"]["output_tokens"] for m in (answer, bare, last)] == [7, 8, 9]
    assert spoken(records) == ["I look.", "All well."]


def test_thoughts_that_say_nothing_make_nothing():
    records = read(
        item(type="reasoning", summary=[], content=None, encrypted_content="REDACTED"),
        item(type="reasoning", summary=[{"type": "summary_text", "text": " "}]),
    )
    assert records == []


def test_raw_thoughts_are_told_once():
    records = read(
        item(type="reasoning", summary=[], encrypted_content=None),
        event("agent_reasoning_raw_content", text="Plan it."),
        item(
            type="reasoning", summary=[], content=[{"type": "reasoning_text", "text": "Plan it."}]
        ),
        said("assistant", "Planned."),
    )
    (message,) = messages(records)
    assert [(p.type, p.text) for p in message.parts] == [
        ("thinking", "Plan it."),
        ("text", "Planned."),
    ]


def test_every_words_item_is_a_message_of_its_own():
    records = read(said("assistant", "One."), said("assistant", "Two."), call("c1"))
    assert spoken(records) == ["One.", "Two."]
    assert len(messages(records)[1].parts_of("tool-call")) == 1


def test_thoughts_between_words_do_not_join_them():
    thought = item(type="reasoning", summary=[{"type": "summary_text", "text": "Hm."}])
    records = read(said("assistant", "One."), thought, said("assistant", "Two."))
    assert spoken(records) == ["One.", "Two."]
    assert len(messages(records)) == 2


def test_calls_of_all_kinds_have_readable_names():
    records = read(
        call("c1", "_fetch_pr", '{"n":1}', namespace="mcp__codex_apps__github"),
        item(type="custom_tool_call", call_id="c2", name="apply_patch", input="*** Begin Patch"),
        item(type="local_shell_call", call_id="c3", action={"type": "exec", "command": ["ls"]}),
        item(type="web_search_call", action={"type": "search", "query": "door hinges"}),
        item(type="tool_search_call", call_id="c5", arguments={"query": "doors"}),
        item(type="image_generation_call", id="ig_6", revised_prompt="a door", result="aGk="),
        call("c7", "write_stdin", {"session_id": 1, "chars": ""}),
        call("c8", "no_arguments", None),
    )
    (message,) = messages(records)
    calls = message.parts_of("tool-call")
    assert [part.meta["name"] for part in calls] == [
        "mcp__codex_apps__github__fetch_pr",
        "apply_patch",
        "local_shell",
        "web_search",
        "tool_search",
        "image_generation",
        "write_stdin",
        "no_arguments",
    ]
    arguments = [json.loads(part.meta["arguments"]) for part in calls]
    assert arguments[1] == {"input": "*** Begin Patch"}
    assert arguments[2]["command"] == ["ls"]
    assert arguments[7] == {}
    assert message.parts_of("image")[0].meta["data"] == "aGk="


@pytest.mark.parametrize(
    ("given", "text", "meta"),
    [
        ('{"output":"ok\\n","metadata":{"exit_code":0}}', "ok\n", {"exit_code": 0}),
        ('{"output":"no","metadata":{"exit_code":2}}', "no", {"exit_code": 2, "is_error": True}),
        ('{"output" is no JSON', '{"output" is no JSON', {}),
        (
            "Exit code: 1\nWall time: 1 seconds\nOutput:\nx",
            None,
            {"exit_code": 1, "is_error": True},
        ),
        ("the log says: Process exited with code 1", None, {}),
        ({"content": "bad", "success": False}, "bad", {"is_error": True}),
        ("exec command rejected by user", None, {"rejected": True}),
        ("patch rejected by user", None, {"rejected": True}),
        (
            'exec_command failed for `rm`: Error { message: "Rejected(\\"rejected by user\\")" }',
            None,
            {"rejected": True},
        ),
        ("command rejected by user approval settings", None, {"is_error": True}),
        ("aborted by user after 3.2s", None, {"interrupted": True}),
        ("apply_patch verification failed: no such line", None, {"is_error": True}),
        ("unsupported call: dance", None, {"is_error": True}),
        (None, "", {}),
    ],
)
def test_how_a_call_ended_is_read_from_its_words(given, text, meta):
    (message,) = messages(read(output("c1", given)))
    (part,) = message.parts
    assert part.text == (given if text is None else text)
    assert part.meta == {"tool_call_id": "c1", **meta}


def test_a_result_may_hold_pictures():
    pieces = [
        {"type": "input_text", "text": "a door"},
        {"type": "input_image", "image_url": "data:image/jpeg;base64,aGk="},
    ]
    (message,) = messages(read(output("c1", pieces)))
    result, image = message.parts
    assert (result.type, result.text) == ("tool-result", "a door")
    assert image.meta["media_type"] == "image/jpeg"


def test_what_a_person_answers_when_asked_is_theirs():
    answers = {"answers": {"a": {"answers": ["Green", "user_note: a dark one"]}}}
    records = read(call("c1", "request_user_input"), output("c1", json.dumps(answers)))
    message = messages(records)[1]
    assert (message.author, message.meta["channel"]) == ("person", "answer")
    assert human_text(message) == "Green\na dark one"
    assert len(message.parts_of("tool-result")) == 1


def test_noise_says_nothing():
    records = read(
        event("exec_command_end", call_id="c1", aggregated_output="a"),
        event("patch_apply_end", call_id="c1"),
        event("task_started", turn_id="1"),
        event("task_complete", last_agent_message="Done."),
        event("token_count", info=None),
        event("collab_agent_spawn_end", prompt="look around"),
        item(type="ghost_snapshot"),
        item(type="compaction", encrypted_content="x"),
        line("world_state", {"full": True}),
        line("never_seen", {}),
        event("never_seen"),
    )
    assert records == []


def test_what_tells_the_model_of_an_interruption_says_so():
    notice = said("user", "<turn_aborted>\nThe user interrupted.\n</turn_aborted>")
    other = said("user", "<environment_context>\n</environment_context>")
    found = [one.meta.get("interrupted", False) for one in messages(read(notice, other))]
    assert found == [True, False]


def test_an_interruption_is_an_event():
    records = read(event("turn_aborted", reason="interrupted"))
    assert events(records) == [("interruption", {"reason": "interrupted"})]


def test_a_compaction_is_one_event_and_no_message():
    replay = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}]
    compacted = line("compacted", {"message": "So far so good.", "replacement_history": replay})
    one = read(compacted, event("context_compacted"), compacted, event("context_compacted"))
    assert events(one) == [("compaction", {"summary": "So far so good."})] * 2
    assert messages(one) == []
    assert len(events(read(compacted, compacted))) == 2


def test_errors_of_the_service_are_events():
    records = read(event("error", message="overloaded"))
    assert events(records) == [("api-error", {"message": "overloaded"})]


def test_what_is_rolled_back_counts_no_longer():
    lines = [
        *asked("paint it red"),
        said("assistant", "Red."),
        *asked("paint it blue"),
        said("assistant", "Blue."),
        call("c1"),
        output("c1", "ok"),
        *asked("and the frame"),
        event("thread_rolled_back", num_turns=2),
        *asked("paint it green"),
        said("assistant", "Green."),
    ]
    records = read(*lines)
    assert typed(records) == ["paint it red", "paint it green"]
    assert spoken(records) == ["Red.", "Green."]
    assert events(records) == [("branch", {"turns": 2})]
    raw = read_raw(b"\n".join(json.dumps(one).encode() for one in lines))
    (withdrawn,) = [record for record in raw if isinstance(record, Withdrawn)]
    assert len(withdrawn.message_ids) == 4
    assert typed(read(*lines, event("thread_rolled_back", num_turns=99))) == []


def test_facts_of_the_session():
    records = read(
        header(
            cli_version="0.130.0",
            git={"branch": "main", "repository_url": "https://me:secret@example.org/x/app.git"},
        ),
        line("turn_context", {"cwd": "/home/x/app", "model": "gpt-x"}),
        *asked("  mend the\ndoor " + "of the house " * 20),
        header(cli_version="0.130.0"),
    )
    found = facts(records)
    title = found.pop("title")
    assert title.startswith("mend the door of the house")
    assert len(title) <= 80
    assert found == {
        "project": "/home/x/app",
        "branch": "main",
        "remote": "https://example.org/x/app.git",
        "agent_version": "0.130.0",
        "model": "gpt-x",
    }
    # A session that is taken up again is no news.
    assert sum(isinstance(record, SessionFact) for record in records) == 3


@pytest.mark.parametrize(
    "told", ["Current working directory: /home/x/shop\nShell: zsh", "<cwd>/home/x/shop</cwd>"]
)
def test_without_a_folder_in_the_header_the_environment_names_it(told):
    first = {"id": "s", "timestamp": "2025-06-01T00:00:00Z", "instructions": None}
    environment = f"<environment_context>\n{told}\n</environment_context>"
    piece = {"type": "input_text", "text": environment}
    second = {"type": "message", "role": "user", "content": [piece]}
    assert facts(read(first, second))["project"] == "/home/x/shop"
    assert facts(read(header(cwd="/work"), second))["project"] == "/work"


def test_a_name_given_later_is_the_title():
    records = read(
        *asked("mend the door"),
        event("thread_name_updated", thread_name="The door"),
        event("thread_name_updated", thread_name=None),
        *asked("go on"),
    )
    assert facts(records)["title"] == "The door"


def test_a_remote_over_ssh_stays_as_it_is():
    git = {"repository_url": "git@example.org:x/app.git"}
    assert facts(read(header(git=git)))["remote"] == "git@example.org:x/app.git"


@pytest.mark.parametrize(
    ("source", "parent"),
    [
        ({"subagent": {"thread_spawn": {"parent_thread_id": PARENT_ID, "depth": 1}}}, PARENT_ID),
        ({"subagent": "review"}, ""),
        ({"subagent": {"other": "guardian"}}, ""),
    ],
)
def test_the_prompt_of_a_subagent_is_an_agents(source, parent):
    lines = [header(source=source), *asked("look around"), said("assistant", "I see.")]
    records = read(*lines)
    assert typed(records) == []
    assert messages(records)[0].author == "agent"
    assert len(messages(records)) == 2
    assert facts(records)["disable_task_tracking"] is True
    assert facts(records).get("parent", "") == parent
    assert DIALECT.owner(lines[0]) == Owner(OWN_ID, parent)
    assert DIALECT.owner(lines[1]) is None


def test_a_review_writes_its_own_prompt_but_not_what_was_to_be_reviewed():
    records = read(
        event("entered_review_mode", target={"type": "custom", "instructions": "check the hinge"}),
        *asked("Review the code and look for bugs: check the hinge"),
        event("exited_review_mode", review_output=None),
        *asked("thanks"),
    )
    assert typed(records) == ["/review check the hinge", "thanks"]
    assert messages(records)[0].meta["channel"] == "command"
    assert messages(records)[1].author == "agent"
    changes = {"type": "uncommittedChanges"}
    assert typed(read(event("entered_review_mode", target=changes), *asked("Review it."))) == []


def test_what_agents_write_to_each_other_is_theirs():
    sent = {"author": "/root", "recipient": "/root/a", "content": "look", "trigger_turn": True}
    records = read(
        line("inter_agent_communication", sent),
        item(
            type="agent_message", author="/root", content=[{"type": "input_text", "text": "look"}]
        ),
        said("assistant", json.dumps({**sent, "content": "and there"})),
        *asked("thanks"),
    )
    found = [(m.author, m.text) for m in messages(records)]
    assert found == [("agent", "look"), ("agent", "and there"), ("person", "thanks")]


LEGACY = [
    {"id": "5973b6c0", "timestamp": "2025-05-07T17:24:21.000Z", "instructions": None, "git": {}},
    {"record_type": "state"},
    {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "mend the door"}],
    },
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Look."}]},
    {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c1"},
    {"type": "function_call_output", "call_id": "c1", "output": '{"output":"a","metadata":{}}'},
    {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Done."}],
    },
]


def test_the_first_releases_wrote_no_envelopes():
    records = read(*LEGACY)
    assert all(map(DIALECT.is_own, LEGACY))
    assert typed(records) == ["mend the door"]
    assert spoken(records) == ["Done."]
    answer = messages(records)[1]
    assert (answer.id, [p.type for p in answer.parts]) == ("rs_1", ["thinking", "tool-call"])
    assert DIALECT.owner(LEGACY[0]) == Owner("5973b6c0")
    assert len({DIALECT.identity(one) for one in LEGACY}) == len(LEGACY)


@pytest.mark.parametrize(
    "value",
    [
        {"role": "user", "content": "hello"},
        {"type": "message", "id": "a", "format": "openai", "blob": {"role": "user"}},
        {"type": "message", "id": "a", "message": {"role": "user", "content": []}},
        {"type": "session", "id": "a", "cwd": "/x", "timestamp": "2026-03-01T10:00:00Z"},
        {"type": "user", "sessionId": "a", "uuid": "b", "message": {"role": "user"}},
        {"type": "response_item"},
        {"sessionId": "a", "projectHash": "b", "startTime": "c"},
        {"type": ["odd"], "payload": {}},
    ],
)
def test_lines_of_others_are_not_codexs(value):
    assert not DIALECT.is_own(value)


def test_a_record_has_the_same_name_in_every_copy():
    first = item(1, type="reasoning", id="rs_1", summary=[], encrypted_content="REDACTED")
    second = item(1, type="reasoning", summary=[], content=None)
    assert DIALECT.identity(first) == DIALECT.identity(second) != ""
    others = [
        first,
        item(2, type="reasoning", summary=[]),
        call("c1"),
        call("c2"),
        output("c1", "a"),
        said("user", "a"),
        said("assistant", "a"),
        header(),
        event("user_message", message="a"),
    ]
    assert len({DIALECT.identity(one) for one in others}) == len(others)
    assert DIALECT.identity({"role": "user"}) == ""


def test_objects_that_share_a_line_are_all_read():
    data = "".join(map(json.dumps, [*asked("mend the door"), said("assistant", "Done.")]))
    records = read_raw(data.encode())
    assert typed(records) == ["mend the door"]
    assert spoken(records) == ["Done."]
