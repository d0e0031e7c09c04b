"""The same real conversations in three formats."""

import json

import pytest

from acontext_fs import jsonl
from acontext_fs.formats import convert, is_message, read_line
from acontext_fs.formats.human import human_text
from acontext_fs.records import Line, Message
from tests.formats import apis
from tests.formats.conversations import content, read_again, same_json

FORMATS = ("openai", "anthropic", "gemini")
TIME = "2026-03-01T10:00:00.000000Z"


@pytest.fixture(scope="module")
def conversations(corpus):
    def read(path):
        lines = enumerate(path.read_bytes().split(b"\n"), start=1)
        records = []
        for number, data in lines:
            line = Line(number, 0, data)
            found = read_line(line, space="default", session_id=path.stem, time=TIME)
            counted = sum(map(is_message, jsonl.decode(data).values))
            assert counted == sum(isinstance(record, Message) for record in found)
            records.extend(found)
        return records

    formats = ("open", "open_anthropic", "open_gemini")
    names = sorted(path.name for path in (corpus / "tau" / "open").glob("*.jsonl"))
    assert len(names) == 40
    return {name: [read(corpus / "tau" / folder / name) for folder in formats] for name in names}


def test_every_line_is_a_message(conversations):
    for versions in conversations.values():
        for records in versions:
            assert all(isinstance(record, Message) for record in records)


def essence(record):
    parts = [
        (part.type, part.text, part.meta.get("id"), part.meta.get("tool_call_id"))
        for part in record.parts
        if part.text or part.type != "text"
    ]
    calls = [json.loads(part.meta["arguments"]) for part in record.parts_of("tool-call")]
    return record.role, record.original_role, parts, calls


def test_three_formats_say_the_same(conversations):
    for versions in conversations.values():
        first, *others = [[essence(record) for record in records] for records in versions]
        assert all(other == first for other in others)


def test_human_turns_are_the_reference_counts_but_for_bare_end_markers(conversations, corpus):
    index = json.loads((corpus / "INDEX.json").read_bytes())
    reference = {entry["file"]: entry["counts"] for entry in index["files"]}
    for name, (records, *_) in conversations.items():
        typed = sum(1 for record in records if human_text(record))
        markers = sum(1 for record in records if record.text.strip() == "###STOP###")
        assert typed + markers == reference[f"tau/open/{name}"]["user_turns"], name


def test_each_format_comes_back_as_it_was(conversations):
    # The system's message is OpenAI's in all three.
    for versions in conversations.values():
        for target, records in zip(FORMATS, versions, strict=True):
            spoken = [record for record in records if not record.original_role]
            converted = convert(spoken, target)
            again = read_again(converted.items, target)
            assert [content(m)[:-1] for m in again] == [content(m)[:-1] for m in spoken]
            assert converted.lost == ()
            own = convert(records, "acontext")
            again = read_again(own.items, "acontext")
            assert list(map(content, again)) == list(map(content, records))


def test_each_format_is_given_in_the_other_two_with_hardly_anything_lost(conversations):
    for versions in conversations.values():
        for source, records in zip(FORMATS, versions, strict=True):
            for target in FORMATS:
                converted = convert(records, target)
                assert {loss.key for loss in converted.lost} <= {"original_role", "is_error"}
                again = [said(record) for record in read_again(converted.items, target)]
                assert again == [said(record) for record in records], (source, target)
                if source != target:
                    apis.check(target, converted.items)


def said(record):
    """What a message says, but for JSON's spacing; some of these conversations use an id twice."""
    parts = [(part.type, same_json(part.text)) for part in record.parts]
    return record.role, parts, [part.meta["name"] for part in record.parts_of("tool-call")]
