"""What holds of every conversation, whatever it is made of."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import orjson
from hypothesis import assume, given
from hypothesis import strategies as st

from acontext_fs.formats import convert
from acontext_fs.formats.media import media_of
from acontext_fs.records import Message, Part
from tests.formats import apis
from tests.formats.conversations import CONVERSATIONS, content, read, read_again, same_json
from tests.formats.test_formats import LINE_VALUE

PROVIDERS = ("openai", "anthropic", "gemini")
ANY = st.sampled_from(PROVIDERS).flatmap(lambda name: st.tuples(st.just(name), CONVERSATIONS[name]))


@given(ANY)
def test_a_conversation_comes_back_in_its_own_format_as_it_was(given_):
    name, items = given_
    messages = read(items, name)
    converted = convert(messages, name)
    assert [content(m) for m in read_again(converted.items, name)] == [content(m) for m in messages]
    assert converted.lost == ()


@given(st.lists(ANY, min_size=1, max_size=2))
def test_acontexts_own_format_holds_everything(conversations):
    messages = _read_all(conversations)
    converted = convert(messages, "acontext")
    assert [content(m) for m in read_again(converted.items, "acontext")] == [
        content(m) for m in messages
    ]
    assert converted.lost == ()


@given(ANY, st.sampled_from(PROVIDERS))
def test_what_is_given_is_what_the_api_accepts(conversation, target):
    source, items = conversation
    apis.check(target, convert(read(items, source), target).items)


@given(ANY, st.sampled_from(PROVIDERS))
def test_what_the_target_can_say_survives_the_way_there_and_back(conversation, target):
    source, items = conversation
    messages = read(items, source)
    there = convert(messages, target)
    back = convert(read_again(there.items, target), source)
    lost = {(loss.message_id, loss.part, loss.key) for loss in there.lost}
    missing = _essence(messages, lost) - _essence(read_again(back.items, source), set())
    assert not missing
    assert not [loss for loss in back.lost if not loss.key]


@given(ANY, st.data(), st.sampled_from(PROVIDERS))
def test_a_conversation_that_came_in_pieces_is_put_together(conversation, data, target):
    source, items = conversation
    pieces = _torn(read(items, source))
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(pieces)))
        # The user says something at any time, but not in the middle of a reply.
        if at == len(pieces) or pieces[at].role == "user":
            words = Message(f"word-{at}", "user", (Part("text", "wait"),), 1, "", source)
            pieces.insert(at, words)
    apis.check(target, convert(pieces, target).items)
    _check_counts(pieces, target)


def _torn(messages: list[Message]) -> list[Message]:
    """A message for each part."""
    return [
        dataclasses.replace(message, id=f"{message.id}-{index}", parts=(part,))
        for message in messages
        for index, part in enumerate(message.parts)
    ]


@given(st.lists(ANY, max_size=2), st.sampled_from(PROVIDERS))
def test_every_part_is_given_back_or_listed_as_lost(conversations, target):
    _check_counts(_read_all(conversations), target)


@given(st.lists(LINE_VALUE, max_size=4), st.sampled_from(PROVIDERS))
def test_whatever_was_read_can_be_converted_and_nothing_is_dropped_silently(values, target):
    try:
        values = orjson.loads(orjson.dumps(values))
    except TypeError:
        assume(False)
    messages = read(values)
    _check_counts(messages, target)
    own = convert(messages, "acontext")
    assert [content(m) for m in read_again(own.items, "acontext")] == [content(m) for m in messages]


def _read_all(conversations: list[tuple[str, list[Any]]]) -> list[Message]:
    return [
        message
        for number, (name, items) in enumerate(conversations)
        for message in read(items, name, f"session-{number}")
    ]


def _check_counts(messages: list[Message], target: Any) -> None:
    converted = convert(messages, target)
    again = read_again(converted.items, target)
    left_out = [loss for loss in converted.lost if loss.part >= 0 and not loss.key]
    assert len({(loss.message_id, loss.part) for loss in left_out}) == len(left_out)
    before = sum(len(message.parts) for message in messages)
    assert before == sum(len(message.parts) for message in again) + len(left_out)


def _essence(messages: list[Message], lost: set[tuple[str, int, str]]) -> Counter[Any]:
    """What the parts say that is not lost, each by itself."""
    found: Counter[Any] = Counter()
    for message in messages:
        for index, part in enumerate(message.parts):
            if (message.id, index, "") in lost:
                continue
            gone = {key for id_, at, key in lost if (id_, at) == (message.id, index)}
            for key, value in _facts(message, part).items():
                if key not in gone and value not in (None, "", False):
                    found[part.type, key, value] += 1
    return found


def _facts(message: Message, part: Part) -> dict[str, Any]:
    meta = part.meta
    facts: dict[str, Any] = {"role": message.role, "text": part.text}
    facts |= {k: meta.get(k) for k in ("id", "tool_call_id", "name", "is_error", "signature")}
    facts |= {k: meta.get(k) for k in ("thought_signature", "detail", "is_refusal")}
    facts |= {k: orjson.dumps(meta.get(k)) for k in ("cache_control", "citations") if k in meta}
    if part.type == "tool-call":
        facts["arguments"] = same_json(meta["arguments"])
    if part.type == "tool-result":
        facts["name"] = None  # Said by the call.
        facts["text"] = same_json(part.text)
    if part.type in ("image", "audio", "video", "file"):
        media = media_of(part)
        facts["text"] = None
        facts["media"] = (media.mime, media.data) if media.data else media.url
    return facts
