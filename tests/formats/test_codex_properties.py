"""Whatever stands in a rollout is read without an error, and the same in pieces as in one go."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from acontext_fs import jsonl
from acontext_fs.folding import patched
from acontext_fs.formats.codex import DIALECT
from acontext_fs.formats.dialect import Place
from acontext_fs.formats.human import human_text
from acontext_fs.records import Line, Message
from tests.formats.test_codex import read_raw

WORDS = st.sampled_from(
    [
        "",
        "go",
        "<image name=x>",
        "<environment_context>\na\n</environment_context>",
        "# AGENTS.md instructions",
        "## My request for Codex:",
        '{"author":1,"recipient":2,"content":3}',
        '{"output":{}}',
        '{"output":"x","metadata":{"exit_code":"1"}}',
        "2026-03-01T10:00:00Z",
        "019d0000-0000-7000-8000-000000000001",
        "request_user_input",
        "data:image/png;base64,aGk=",
        "https://[half",
        "\ud800",
    ]
)
KINDS = st.sampled_from(
    (
        "session_meta response_item event_msg turn_context compacted inter_agent_communication "
        "world_state"
    ).split()
)
TYPES = st.sampled_from(
    (
        "message reasoning function_call custom_tool_call local_shell_call web_search_call "
        "tool_search_call image_generation_call function_call_output custom_tool_call_output "
        "tool_search_output agent_message user_message token_count thread_rolled_back "
        "thread_name_updated turn_aborted task_started context_compacted entered_review_mode "
        "exited_review_mode error agent_reasoning_raw_content input_text input_image custom"
    ).split()
)
KEYS = st.sampled_from(
    (
        "type role content text id call_id name arguments input action output summary info message "
        "images kind timestamp cwd git source subagent thread_spawn parent_thread_id target "
        "instructions num_turns turn_id started_at forked_from_id last_token_usage answers "
        "total_token_usage input_tokens success content_items result thread_name namespace model "
        "image_url metadata author recipient phase subagent_history_start_ordinal"
    ).split()
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.just(1e300), WORDS, TYPES, st.just(10**18)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
PAYLOADS = st.fixed_dictionaries(
    {}, optional={"type": TYPES, "role": st.sampled_from(["user", "assistant", "developer"])}
)


@st.composite
def lines(draw):
    payload = {**draw(st.dictionaries(KEYS, VALUES, max_size=5)), **draw(PAYLOADS)}
    if draw(st.integers(0, 9)) == 0:
        return payload
    wrapped = {"type": draw(KINDS), "payload": payload}
    if draw(st.booleans()):
        wrapped["timestamp"] = draw(st.one_of(WORDS, st.just("2026-03-01T10:00:01Z"), SCALARS))
    if draw(st.booleans()):
        wrapped["ordinal"] = draw(SCALARS)
    return wrapped


@settings(max_examples=300)
@given(st.lists(lines(), max_size=12))
def test_nothing_raises_and_every_name_is_text(values):
    reading = DIALECT.start()
    found = []
    for number, value in enumerate(values, start=1):
        place = Place(Line(number, 0, b"{}"), 0, "codex", "one", "")
        found.extend(reading.read(value, place))
        assert isinstance(DIALECT.identity(value), str)
        assert isinstance(DIALECT.is_own(value), bool)
        owner = DIALECT.owner(value)
        assert owner is None or owner.session_id
    said = [record for record in patched(found) if isinstance(record, Message)]
    assert len({message.id for message in said}) == len(said)
    for message in said:
        assert message.role == "assistant" or message.author in ("person", "agent", "harness")
        assert isinstance(human_text(message), str)
        for part in message.parts_of("tool-call"):
            assert isinstance(json.loads(part.meta["arguments"] or "{}"), object)


@settings(max_examples=100)
@given(st.lists(lines(), max_size=10), st.integers(0, 10))
def test_a_copy_goes_on_by_itself(values, cut):
    def places(start, part):
        for number, value in enumerate(part, start=start):
            yield value, Place(Line(number, 0, b"%d" % number), 0, "codex", "one", "")

    def told(reading, start, part):
        return [r for value, place in places(start, part) for r in reading.read(value, place)]

    whole = told(DIALECT.start(), 1, values)
    reading = DIALECT.start()
    first = told(reading, 1, values[:cut])
    other = reading.copy()
    rest = told(reading, cut + 1, values[cut:])
    assert first + rest == whole
    assert told(other, cut + 1, values[cut:]) == rest


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_any_bytes_behind_a_header_are_read(data):
    head = json.dumps({"type": "session_meta", "payload": {"id": "one"}}).encode()
    read_raw(head + b"\n" + data)
    assert jsonl.decode(head).values
