"""The same real conversations in three formats."""

import json

import pytest

from acontext_fs import jsonl
from acontext_fs.formats import is_message, read_line
from acontext_fs.formats.human import human_text
from acontext_fs.records import Line, Message

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


def test_three_formats_say_the_same(conversations):
    def essence(record):
        parts = [
            (part.type, part.text, part.meta.get("id"), part.meta.get("tool_call_id"))
            for part in record.parts
            if part.text or part.type != "text"
        ]
        calls = [json.loads(part.meta["arguments"]) for part in record.parts_of("tool-call")]
        return record.role, record.original_role, parts, calls

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
