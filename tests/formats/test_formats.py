"""Lines and what they mean, format by format."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import ids
from acontext_fs.formats import is_message, read_line, read_values
from acontext_fs.records import (
    Line,
    Message,
    MetaPatch,
    Part,
    SessionEvent,
    SessionFact,
    Unreadable,
)

TIME = "2026-03-01T10:00:00.000000Z"


def read(value, number=1):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read_line(Line(number, 0, data), space="default", session_id="s", time=TIME)


def message(value):
    (record,) = read(value)
    assert isinstance(record, Message), record
    return record


def reason(value):
    (record,) = read(value)
    assert isinstance(record, Unreadable), record
    return record.reason


# --- kinds of line


def test_a_bare_message_takes_the_given_time_and_an_id_from_its_place_and_bytes():
    data = b'{"role":"user","content":"hello"}'
    record = message(data)
    assert (record.role, record.text, record.format, record.line) == ("user", "hello", "openai", 1)
    assert record.created_at == TIME
    assert record.id == ids.message_id("default", "s", 1, 0, data)


def test_a_stamped_message_keeps_its_id_time_format_and_meta():
    record = message(
        {
            "type": "message",
            "id": "m-1",
            "created_at": "2026-02-03T04:05:06+01:00",
            "format": "anthropic",
            "blob": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
            "meta": {"trace": 7},
        }
    )
    assert record.id == "m-1"
    assert record.created_at == "2026-02-03T03:05:06.000000Z"
    assert record.format == "anthropic"
    assert record.role == "assistant"
    assert record.meta == {"trace": 7}


def test_a_stamped_message_without_a_format_is_recognised_by_the_shape_of_its_blob():
    blob = {"role": "model", "parts": [{"text": "hi"}]}
    assert message({"type": "message", "blob": blob}).format == "gemini"


@pytest.mark.parametrize("key", ["created_at", "timestamp", "ts"])
def test_a_record_may_carry_its_own_time_under_several_names(key):
    record = message({"role": "user", "content": "x", key: 1_700_000_000})
    assert record.created_at == "2023-11-14T22:13:20.000000Z"


def test_a_time_that_is_none_gives_way_to_the_given_one():
    assert message({"role": "user", "content": "x", "ts": "yesterday"}).created_at == TIME


def test_a_reply_of_the_anthropic_api_appended_as_it_came_is_a_message():
    value = {"type": "message", "id": "msg_1", "role": "assistant", "content": [], "model": "m"}
    assert message(value).role == "assistant"


def test_session_facts_keep_every_key_but_the_type():
    (record,) = read({"type": "session", "user": "ada", "configs": None})
    assert record == SessionFact(1, {"user": "ada", "configs": None})


def test_an_event_has_a_name_and_data():
    (record,) = read({"type": "event", "id": "e1", "event": "disk", "data": {"path": "/a"}})
    assert record == SessionEvent("e1", 1, TIME, "disk", {"path": "/a"})


def test_event_data_that_is_no_object_is_kept_as_a_value():
    (record,) = read({"type": "event", "event": "text", "data": "note"})
    assert isinstance(record, SessionEvent)
    assert record.data == {"value": "note"}


def test_an_event_without_a_name_is_unreadable():
    assert "without a name" in reason({"type": "event", "data": {}})


def test_a_meta_line_patches_one_message():
    (record,) = read({"type": "meta", "message_id": "m-1", "meta": {"star": True}})
    assert record == MetaPatch(1, "m-1", {"star": True})


def test_a_meta_line_without_its_target_is_unreadable():
    assert "message_id" in reason({"type": "meta", "meta": {}})


def test_an_unknown_type_is_named_together_with_the_known_ones():
    said = reason({"type": "user", "message": {"role": "user", "content": "hi"}})
    assert '"user"' in said
    assert "message, session, event, meta" in said


def test_an_unknown_role_is_named_together_with_the_known_ones():
    said = reason({"role": "narrator", "content": "Meanwhile"})
    assert '"narrator"' in said
    assert "assistant" in said
    assert "model" in said


def test_an_unknown_role_of_a_named_format_is_told_the_roles_of_that_format():
    blob = {"role": "tool", "content": "x"}
    said = reason({"type": "message", "format": "anthropic", "blob": blob})
    assert '"tool"' in said
    assert "assistant, system, user" in said


def test_an_unknown_format_is_named():
    value = {"type": "message", "format": "morse", "blob": {"role": "user", "content": "x"}}
    assert '"morse"' in reason(value)


def test_a_message_without_content_is_unreadable():
    assert "without the content" in reason({"role": "user"})


def test_an_empty_line_has_no_records():
    assert read(b"") == ()
    assert read(b"  \r") == ()


def test_a_line_that_is_no_json_is_reported_and_the_messages_in_it_are_recovered():
    one = b'{"role":"user","content":"a"}'
    first, second, problem = read(one + one)
    assert (first.text, second.text) == ("a", "a")
    assert first.id != second.id
    assert isinstance(problem, Unreadable)


def test_several_values_of_a_line_have_ids_of_their_own():
    line = Line(3, 0, b"[...]")
    values = [{"role": "user", "content": "a"}, {"role": "user", "content": "a"}]
    records = read_values(values, line, space="default", session_id="s", time=TIME)
    assert len({record.id for record in records}) == 2


# --- OpenAI


def test_openai_system_and_developer_messages_become_user_with_their_original_role():
    for role in ("system", "developer"):
        record = message({"role": role, "content": "be brief", "name": "ops"})
        assert (record.role, record.original_role, record.name) == ("user", role, "ops")


def test_openai_tool_calls_keep_id_name_and_arguments_as_written():
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    record = message({"role": "assistant", "content": None, "tool_calls": [call]})
    expected = {"id": "c1", "name": "f", "arguments": '{"a": 1}', "type": "function"}
    assert record.parts == (Part("tool-call", meta=expected),)


def test_openai_arguments_that_are_an_object_become_json_text():
    call = {"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}
    record = message({"role": "assistant", "tool_calls": [call]})
    assert record.parts[0].meta["arguments"] == '{"a":1}'


def test_openai_custom_tool_calls_and_function_calls_are_kept():
    custom = {"id": "c2", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    value = {
        "role": "assistant",
        "tool_calls": [custom],
        "function_call": {"name": "old", "arguments": "{}"},
    }
    patch, old = message(value).parts
    assert json.loads(patch.meta["arguments"]) == {"input": "*** Begin"}
    assert patch.meta["type"] == "custom"
    assert (old.meta["name"], old.meta["type"]) == ("old", "function_call")


def test_openai_tool_results_are_user_messages_with_the_texts_joined_and_images_behind():
    content = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "text", "text": "b"},
    ]
    record = message({"role": "tool", "tool_call_id": "c1", "name": "f", "content": content})
    result, image = record.parts
    assert record.role == "user"
    assert result == Part("tool-result", "ab", {"tool_call_id": "c1", "name": "f"})
    assert image.meta["url"] == "data:image/png;base64,AA=="


def test_openai_function_results_keep_the_name_of_the_function():
    (part,) = message({"role": "function", "name": "old", "content": "1"}).parts
    assert part == Part("tool-result", "1", {"name": "old", "type": "function"})


def test_openai_content_pieces_become_parts_of_their_types():
    content = [
        {"type": "text", "text": "see", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f1", "filename": "a.pdf"}},
        {"type": "hologram", "beam": 3},
    ]
    parts = message({"role": "user", "content": content}).parts
    assert [part.type for part in parts] == ["text", "image", "audio", "file", "data"]
    assert parts[0].meta == {"cache_control": {"type": "ephemeral"}}
    assert parts[1].meta == {"url": "https://x/y.png", "detail": "low"}
    assert parts[2].meta == {"data": "AA==", "format": "wav"}
    assert parts[3].meta == {"file_id": "f1", "filename": "a.pdf"}
    assert parts[4].meta == {"data_type": "hologram", "value": {"type": "hologram", "beam": 3}}


def test_openai_refusals_reasoning_and_audio_are_kept():
    value = {
        "role": "assistant",
        "content": [{"type": "refusal", "refusal": "no"}],
        "refusal": "never",
        "reasoning_content": "hmm",
        "audio": {"id": "a1", "transcript": "spoken", "data": "AA=="},
    }
    thinking, first, second, audio = message(value).parts
    assert thinking == Part("thinking", "hmm")
    assert (first.text, second.text) == ("no", "never")
    assert first.meta == second.meta == {"is_refusal": True}
    assert (audio.type, audio.text, audio.meta) == ("audio", "spoken", {"id": "a1", "data": "AA=="})


def test_an_empty_text_is_kept_for_users_and_dropped_for_assistants():
    assert message({"role": "user", "content": ""}).parts == (Part("text", ""),)
    assert message({"role": "assistant", "content": ""}).parts == ()


@pytest.mark.parametrize("content", [7, True, {"a": 1}, [None, 3]])
def test_content_of_a_wrong_type_is_kept_as_data(content):
    parts = message({"role": "user", "content": content}).parts
    assert {part.type for part in parts} == {"data"}


# --- Anthropic


def test_anthropic_blocks_become_parts_and_keep_their_cache_control():
    cached = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    content = [
        {"type": "thinking", "thinking": "hmm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "ok", **cached},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}, **cached},
    ]
    record = message({"role": "assistant", "content": content})
    thinking, redacted, text, call = record.parts
    assert record.format == "anthropic"
    assert thinking == Part("thinking", "hmm", {"signature": "sig"})
    assert redacted == Part("redacted_thinking", meta={"data": "xyz"})
    assert text == Part("text", "ok", cached)
    assert call.meta == {
        "id": "t1",
        "name": "f",
        "arguments": '{"a":1}',
        "type": "tool_use",
        **cached,
    }


def test_anthropic_tool_results_and_text_stay_apart_and_in_order():
    content = [
        {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
        {"type": "text", "text": "and use pagination"},
        {
            "type": "tool_result",
            "tool_use_id": "t2",
            "is_error": True,
            "content": [{"type": "text", "text": "t"}, {"type": "text", "text": "wo"}],
        },
    ]
    first, text, second = message({"role": "user", "content": content}).parts
    assert first == Part("tool-result", "one", {"tool_call_id": "t1", "is_error": False})
    assert text.text == "and use pagination"
    assert second == Part("tool-result", "two", {"tool_call_id": "t2", "is_error": True})


def test_anthropic_images_are_kept_as_base64_and_name_the_call_they_came_from():
    source = {"type": "base64", "media_type": "image/png", "data": "AA=="}
    image = {"type": "image", "source": source}
    content = [image, {"type": "tool_result", "tool_use_id": "t1", "content": [image]}]
    outer, result, inner = message({"role": "user", "content": content}).parts
    assert outer == Part("image", meta=source)
    assert result.text == ""
    assert inner == Part("image", meta={**source, "tool_call_id": "t1"})


def test_anthropic_documents_given_as_text_keep_their_text():
    source = {"type": "text", "media_type": "text/plain", "data": "chapter one"}
    block = {"type": "document", "source": source, "title": "Book"}
    (part,) = message({"role": "user", "content": [block]}).parts
    assert (part.type, part.text) == ("file", "chapter one")
    assert part.meta == {"type": "text", "media_type": "text/plain", "title": "Book"}


def test_an_unknown_anthropic_block_is_kept_as_data():
    content = [{"type": "tool_use", "id": "t", "name": "f"}, {"type": "novelty", "x": 1}]
    call, data = message({"role": "assistant", "content": content}).parts
    assert call.meta["arguments"] == "{}"
    assert data.meta == {"data_type": "novelty", "value": {"type": "novelty", "x": 1}}


# --- Gemini


def test_gemini_calls_and_results_pair_by_name_when_there_are_no_ids():
    call = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}
    (part,) = message({"role": "model", "parts": [call]}).parts
    assert part.meta == {
        "name": "f",
        "arguments": '{"a":1}',
        "type": "function",
        "thought_signature": "c2ln",
    }
    response = {"functionResponse": {"name": "f", "response": {"rows": [1]}}}
    record = message({"role": "user", "parts": [response]})
    assert record.parts == (Part("tool-result", '{"rows":[1]}', {"name": "f"}),)


def test_a_gemini_result_that_only_wraps_text_is_that_text():
    response = {"id": "c1", "name": "f", "response": {"output": "done"}}
    (part,) = message({"role": "user", "parts": [{"functionResponse": response}]}).parts
    assert part == Part(
        "tool-result", "done", {"tool_call_id": "c1", "name": "f", "wrapped": "output"}
    )


def test_a_gemini_error_result_is_an_error():
    response = {"name": "f", "response": {"error": "no such row"}}
    (part,) = message({"role": "user", "parts": [{"functionResponse": response}]}).parts
    assert part.text == "no such row"
    assert part.meta["is_error"] is True


@pytest.mark.parametrize(
    ("mime", "kind"),
    [
        ("image/png", "image"),
        ("audio/wav", "audio"),
        ("video/mp4", "video"),
        ("application/pdf", "file"),
    ],
)
def test_gemini_inline_data_has_the_type_of_its_mime(mime, kind):
    part = {"inlineData": {"mimeType": mime, "data": "AA=="}}
    (read_part,) = message({"role": "user", "parts": [part]}).parts
    assert read_part == Part(kind, meta={"media_type": mime, "type": "base64", "data": "AA=="})


def test_gemini_thoughts_system_role_snake_case_and_file_uris_are_read():
    thought = {"text": "hmm", "thought": True, "thoughtSignature": "c2ln"}
    assert message({"role": "model", "parts": [thought]}).parts == (
        Part("thinking", "hmm", {"signature": "c2ln"}),
    )
    assert message({"role": "system", "parts": [{"text": "policy"}]}).original_role == "system"
    snake = {"function_call": {"name": "f", "args": {}}}
    assert message({"role": "model", "parts": [snake]}).parts[0].type == "tool-call"
    uri = {"fileData": {"fileUri": "gs://b/o", "mimeType": "video/mp4"}}
    (part,) = message({"role": "user", "parts": [uri]}).parts
    assert (part.type, part.meta["url"]) == ("video", "gs://b/o")


# --- Acontext


def test_acontext_messages_are_read_part_by_part():
    value = {
        "role": "user",
        "parts": [
            {"type": "text", "text": "hi"},
            {"type": "tool-result", "text": "1", "meta": {"tool_call_id": "c1"}},
            {"type": "image", "filename": "a.png", "asset": {"sha256": "0"}},
            {"type": "perfume", "text": "rose"},
        ],
        "meta": {"original_role": "developer", "name": "ops"},
    }
    record = message(value)
    assert record.format == "acontext"
    assert (record.original_role, record.name) == ("developer", "ops")
    assert [part.type for part in record.parts] == ["text", "tool-result", "image", "data"]
    assert record.parts[2].meta == {"filename": "a.png", "asset": {"sha256": "0"}}


# --- arbitrary values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
WORDS = st.sampled_from(
    "text image image_url tool_use tool_result tool-call function custom thinking document base64 "
    "url file message session event meta data refusal input_audio output error user model".split()
)
KEYS = st.sampled_from(
    "type text image_url input_audio file source id name input arguments function custom content "
    "tool_use_id is_error thinking data media_type url functionCall functionResponse inlineData "
    "fileData response args mimeType thought meta refusal cache_control".split()
)
PIECE = st.dictionaries(KEYS, WORDS | JSON | st.dictionaries(KEYS, WORDS | JSON), max_size=6)
ROLES = st.sampled_from(
    ["user", "assistant", "system", "developer", "tool", "function", "model", "narrator"]
)
BODY = st.fixed_dictionaries(
    {},
    optional={
        "type": WORDS | JSON,
        "role": ROLES | JSON,
        "content": JSON | st.lists(PIECE | JSON, max_size=3),
        "parts": JSON | st.lists(PIECE | JSON, max_size=3),
        "tool_calls": JSON | st.lists(PIECE | JSON, max_size=2),
        "function_call": JSON | PIECE,
        "audio": JSON | PIECE,
        "created_at": JSON,
        "id": JSON,
        "name": JSON,
        "meta": JSON,
        "event": JSON,
        "message_id": JSON,
        "format": st.sampled_from(["openai", "anthropic", "gemini", "acontext", "x"]) | JSON,
    },
)
LINE_VALUE = BODY | st.builds(lambda body, blob: {**body, "blob": blob}, BODY, BODY | JSON)


@given(LINE_VALUE)
def test_any_object_is_read_without_raising_and_counted_as_it_is_read(value):
    line = Line(1, 0, b"x")
    (record,) = read_values([value], line, space="default", session_id="s", time=TIME)
    assert isinstance(record, Message) == is_message(value)
    if isinstance(record, Message):
        for part in record.parts:
            assert isinstance(part.text, str)
            assert isinstance(part.meta.get("arguments", ""), str)
            assert isinstance(part.meta.get("name", ""), str) or part.type not in (
                "tool-call",
                "tool-result",
            )


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_raising(data):
    for record in read_line(Line(1, 0, data), space="default", session_id="s", time=TIME):
        assert record.line == 1


def test_deep_and_huge_values_are_read():
    deep = "[" * 900 + "]" * 900
    call = f'{{"id":"c","function":{{"name":"f","arguments":{{"x":{deep}}}}}}}'
    line = f'{{"role":"assistant","tool_calls":[{call}]}}'.encode()
    whole = Line(1, 0, line)
    (record,) = read_values([orjson.loads(line)], whole, space="d", session_id="s", time=TIME)
    assert isinstance(record.parts[0].meta["arguments"], str)
    huge = orjson.dumps({"role": "user", "content": "x", "ts": 2**63 - 1})
    assert message(huge).created_at == TIME
    beyond = b'{"role":"user","content":"x","ts":1' + b"0" * 400 + b"}"
    record, problem = read(beyond)
    assert (record.text, record.created_at) == ("x", TIME)
    assert isinstance(problem, Unreadable)
