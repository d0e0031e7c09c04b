"""Conversations as the providers' APIs take and give them, for properties; reading them back."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import strategies as st

from acontext_fs.formats import read_values
from acontext_fs.records import Line, Message

TIME = "2026-03-01T10:00:00.000000Z"

# Drawn from lists, because text drawn letter by letter takes most of a test's time.
AWKWARD = ["go on", " a  b\n", "{}", '{"output": "x"}', '{"a": 1.0}', "[1]", "null", '"', "\\"]
SAID = st.sampled_from(AWKWARD + [f"word {number}" for number in range(20)])
WORDS = SAID | st.just(" ")
BYTES = st.sampled_from(
    [base64.b64encode(bytes([0xFB, 0xFF, n, n])[: n + 1]).decode() for n in range(4)]
)
OBJECTS = st.sampled_from(
    [
        {},
        {"output": "x"},
        {"error": "no"},
        {"input": [1]},
        {"a": 1, "b": None, "c": [True, -0.5]},
        {"nested": {"é": "\u2028"}},
        {"cmd": "ls -la"},
    ]
)
TOOLS = st.sampled_from(["run", "read_file", "search-web"])
CACHE = st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
URLS = st.sampled_from(["https://x.example/a.png", "http://x.example/b?c=1"])
IMAGE_TYPES = st.sampled_from(["image/png", "image/jpeg", "image/gif", "image/webp"])


def keys(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {k: v if isinstance(v, st.SearchStrategy) else st.just(v) for k, v in required.items()},
        optional=optional,
    )


def pick(*options: Any) -> st.SearchStrategy[Any]:
    return st.one_of(*options)


# --- what stands in messages

OPENAI_TEXT = keys({"type": "text", "text": SAID}, cache_control=CACHE)
OPENAI_PIECE = pick(
    OPENAI_TEXT,
    keys(
        {
            "type": "image_url",
            "image_url": keys(
                {"url": URLS | st.builds("data:{};base64,{}".format, IMAGE_TYPES, BYTES)},
                detail=st.sampled_from(["low", "high"]),
            ),
        },
        cache_control=CACHE,
    ),
    keys(
        {
            "type": "input_audio",
            "input_audio": keys({"data": BYTES, "format": st.sampled_from(["wav", "mp3"])}),
        }
    ),
    keys(
        {
            "type": "file",
            "file": keys(
                {
                    "filename": st.sampled_from(["a.pdf", "b.pdf"]),
                    "file_data": st.builds("data:application/pdf;base64,{}".format, BYTES),
                }
            ),
        }
    ),
)
CITATION = {
    "type": "char_location",
    "cited_text": "x",
    "document_index": 0,
    "document_title": "A title",
    "start_char_index": 0,
    "end_char_index": 1,
}
ANTHROPIC_TEXT = keys(
    {"type": "text", "text": SAID}, cache_control=CACHE, citations=st.just([CITATION])
)
ANTHROPIC_IMAGE = keys(
    {
        "type": "image",
        "source": keys({"type": "base64", "media_type": IMAGE_TYPES, "data": BYTES})
        | keys({"type": "url", "url": URLS}),
    },
    cache_control=CACHE,
)
ANTHROPIC_DOCUMENT = keys(
    {
        "type": "document",
        "source": keys({"type": "base64", "media_type": "application/pdf", "data": BYTES})
        | keys({"type": "text", "media_type": "text/plain", "data": SAID})
        | keys({"type": "url", "url": st.just("https://x.example/a.pdf")})
        | keys({"type": "file", "file_id": st.just("file_1")}),
    },
    title=st.just("A title"),
    context=st.just("From the archive"),
    cache_control=CACHE,
)
SEARCH_RESULT = keys(
    {
        "type": "search_result",
        "source": URLS,
        "title": SAID,
        "content": st.just([{"type": "text", "text": "found"}]),
    }
)
ANTHROPIC_PIECE = pick(ANTHROPIC_TEXT, ANTHROPIC_IMAGE, ANTHROPIC_DOCUMENT, SEARCH_RESULT)
INLINE = keys(
    {
        "inlineData": keys(
            {
                "mimeType": pick(
                    IMAGE_TYPES,
                    st.sampled_from(["audio/wav", "audio/ogg", "video/mp4", "application/pdf"]),
                ),
                "data": BYTES,
            }
        )
    },
    mediaResolution=st.just({"level": "LOW"}),
)
FILE_DATA = keys(
    {
        "fileData": keys(
            {
                "mimeType": st.sampled_from(["image/png", "video/mp4", "application/pdf"]),
                "fileUri": URLS | st.just("gs://b/o"),
            }
        )
    },
    videoMetadata=st.just({"startOffset": "1s"}),
)
SIGNATURE = BYTES
GEMINI_PIECE = pick(
    keys({"text": SAID}),
    INLINE,
    FILE_DATA,
    keys({"executableCode": st.just({"language": "PYTHON", "code": "1"})}),
)


# --- conversations: what a user says, what the assistant calls, what comes of it


def _reply(draw: Any, index: int, pieces: st.SearchStrategy[Any]) -> tuple[list[Any], list[str]]:
    said = draw(st.lists(pieces, max_size=2))
    count = draw(st.integers(0 if said else 1, 3))
    return said, [f"call_{index}_{n}" for n in range(count)]


@st.composite
def openai(draw: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if draw(st.booleans()):
        role = draw(st.sampled_from(["system", "developer"]))
        items.append({"role": role, "content": draw(SAID)})
    for index in range(draw(st.integers(1, 3))):
        user = {"role": "user", "content": draw(SAID | st.lists(OPENAI_PIECE, min_size=1))}
        items.append(user | draw(keys({}, name=st.just("ada"))))
        reply: dict[str, Any] = {"role": "assistant"}
        refusal = keys({"type": "refusal", "refusal": SAID})
        said, calls = _reply(draw, index, OPENAI_TEXT | refusal)
        reply["content"] = said or None
        if calls:
            reply["tool_calls"] = [draw(_openai_call(own)) for own in calls]
        reply |= draw(keys({}, reasoning_content=SAID))
        items.append(reply)
        for own in calls:
            content = draw(WORDS | st.lists(OPENAI_TEXT, min_size=1, max_size=2))
            items.append({"role": "tool", "tool_call_id": own, "content": content})
    return items


def _openai_call(own: str) -> st.SearchStrategy[dict[str, Any]]:
    arguments = OBJECTS.map(lambda value: orjson.dumps(value).decode())
    return pick(
        keys(
            {
                "id": own,
                "type": "function",
                "function": keys({"name": TOOLS, "arguments": arguments}),
            },
            extra_content=st.just({"google": {"thought_signature": "c2ln"}}),
            index=st.integers(0, 3),
        ),
        keys({"id": own, "type": "custom", "custom": keys({"name": TOOLS, "input": WORDS})}),
    )


@st.composite
def anthropic(draw: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if draw(st.booleans()):
        items.append({"role": "system", "content": [{"type": "text", "text": draw(SAID)}]})
    thinking = pick(
        keys({"type": "thinking", "thinking": SAID, "signature": SIGNATURE}),
        keys({"type": "redacted_thinking", "data": BYTES}),
        ANTHROPIC_TEXT,
    )
    results: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, 3))):
        rest = draw(st.lists(ANTHROPIC_PIECE, min_size=0 if results else 1, max_size=3))
        items.append({"role": "user", "content": results + rest})
        said, calls = _reply(draw, index, thinking)
        uses = [draw(_anthropic_call(own)) for own in calls]
        items.append({"role": "assistant", "content": said + uses})
        results = [draw(_anthropic_result(own)) for own in calls]
    if results:
        items.append({"role": "user", "content": results})
    return items


def _anthropic_call(own: str) -> st.SearchStrategy[dict[str, Any]]:
    return keys(
        {"type": "tool_use", "id": own, "name": TOOLS, "input": OBJECTS},
        cache_control=CACHE,
        caller=st.just({"type": "direct"}),
    )


def _anthropic_result(own: str) -> st.SearchStrategy[dict[str, Any]]:
    piece = pick(ANTHROPIC_TEXT, ANTHROPIC_IMAGE, ANTHROPIC_DOCUMENT, SEARCH_RESULT)
    return keys(
        {"type": "tool_result", "tool_use_id": own},
        content=SAID | st.lists(piece, min_size=1, max_size=3),
        is_error=st.booleans(),
        cache_control=CACHE,
    )


@st.composite
def gemini(draw: Any, with_ids: bool | None = None) -> list[dict[str, Any]]:
    with_ids = draw(st.booleans()) if with_ids is None else with_ids
    items: list[dict[str, Any]] = []
    thought = pick(
        keys({"text": SAID, "thought": True}, thoughtSignature=SIGNATURE),
        keys({"text": SAID}, thoughtSignature=SIGNATURE),
    )
    results: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, 3))):
        rest = draw(st.lists(GEMINI_PIECE, min_size=0 if results else 1, max_size=3))
        items.append({"role": "user", "parts": results + rest})
        said, calls = _reply(draw, index, thought)
        names = [draw(TOOLS) for _ in calls]
        own = [{"id": call} if with_ids else {} for call in calls]
        uses = [
            draw(
                keys(
                    {"functionCall": keys({**id_, "name": name, "args": OBJECTS})},
                    thoughtSignature=SIGNATURE,
                )
            )
            for id_, name in zip(own, names, strict=True)
        ]
        items.append({"role": "model", "parts": said + uses})
        results = [
            {"functionResponse": {**id_, "name": name, "response": draw(_response())}}
            for id_, name in zip(own, names, strict=True)
        ]
    if results:
        items.append({"role": "user", "parts": results})
    return items


def _response() -> st.SearchStrategy[dict[str, Any]]:
    return pick(
        OBJECTS,
        st.builds(lambda text: {"output": text}, WORDS),
        st.builds(lambda text: {"error": text}, WORDS),
    )


CONVERSATIONS = {"openai": openai(), "anthropic": anthropic(), "gemini": gemini()}


# --- reading


def read(
    items: Sequence[Any], format_name: str | None = None, session_id: str = "s"
) -> list[Message]:
    """The messages of a provider's items, one for one; with a format, as stamped lines."""
    records: list[Message] = []
    for number, item in enumerate(items, start=1):
        value = item
        if format_name is not None:
            value = {"type": "message", "format": format_name, "blob": item}
        line = Line(number, 0, str(number).encode())
        found = read_values([value], line, space="default", session_id=session_id, time=TIME)
        records += [record for record in found if isinstance(record, Message)]
    return records


def read_again(items: Sequence[Any], format_name: str) -> list[Message]:
    """The messages of what a conversion gave, by way of their JSON; none may be unreadable."""
    found = read(orjson.loads(orjson.dumps(items)), format_name)
    assert len(found) == len(items)
    return found


def content(message: Message) -> tuple[Any, ...]:
    """All of a message but its place, id and time."""
    return (
        message.role,
        message.parts,
        message.original_role,
        message.name,
        message.meta,
        message.format,
    )


def same_json(text: str) -> str:
    """JSON without its spacing, any other text as it is."""
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONDecodeError:
        return text
