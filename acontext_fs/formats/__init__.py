"""What the lines of a session mean: one module a format, one way in, and `convert` the way out.

A line is one of our own kinds (a stamped message, session facts, an event, a patch of a message's
meta), or a message as a provider writes it, recognised by its shape. Anything else is
`Unreadable`, with a reason that names what was not known; it stays on disk as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from acontext_fs import clock, jsonl
from acontext_fs.formats import acontext, anthropic, gemini, openai
from acontext_fs.formats.body import Body, string
from acontext_fs.formats.convert import Converted, convert
from acontext_fs.formats.dialect import Place
from acontext_fs.formats.writing import Loss
from acontext_fs.records import (
    Author,
    Line,
    Message,
    MessageFormat,
    MetaPatch,
    Record,
    SessionEvent,
    SessionFact,
    Unreadable,
)

__all__ = [
    "TIME_KEYS",
    "Converted",
    "Loss",
    "convert",
    "is_message",
    "is_stamped",
    "read_line",
    "read_own",
    "read_values",
    "recognise",
]

TIME_KEYS = ("created_at", "timestamp", "ts")
"""Where a record may carry its own time."""

_OWN_KINDS = ("session", "event", "meta")
_HEADER_KEYS = frozenset({"id", "cwd", "timestamp"})
"""What tells the first line of a pi transcript from facts of ours: both have the type `session`."""


class _Format(NamedTuple):
    roles: frozenset[str]
    body_keys: frozenset[str]
    read: Callable[[Mapping[str, Any]], Body]


_FORMATS: dict[MessageFormat, _Format] = {
    "openai": _Format(openai.ROLES, openai.BODY_KEYS, openai.read),
    "anthropic": _Format(anthropic.ROLES, anthropic.BODY_KEYS, anthropic.read),
    "gemini": _Format(gemini.ROLES, gemini.BODY_KEYS, gemini.read),
    "acontext": _Format(acontext.ROLES, acontext.BODY_KEYS, acontext.read),
}
_AUTHORS: dict[str, Author] = {"person": "person", "agent": "agent", "harness": "harness"}
_CONTENT_ROLES = openai.ROLES | anthropic.ROLES
_CONTENT_KEYS = openai.BODY_KEYS
_PARTS_ROLES = gemini.ROLES | acontext.ROLES
_ROLES = _CONTENT_ROLES | _PARTS_ROLES


def is_message(value: Mapping[str, Any]) -> bool:
    """Does `read_values` make a `Message` of this decoded object? Cheap, for counting."""
    kind = value.get("type")
    if kind is not None:
        if kind == "message" and "blob" in value:
            return not isinstance(_stamped(value), str)
        if kind in _OWN_KINDS:
            return False
    return _fits_a_provider(value)


def read_line(line: Line, *, space: str, session_id: str, time: str) -> tuple[Record, ...]:
    """The records of one line; an empty line has none. See `read_values`."""
    if not line.data.strip():
        return ()
    decoded = jsonl.decode(line.data)
    records = read_values(decoded.values, line, space=space, session_id=session_id, time=time)
    if decoded.problem:
        return (*records, Unreadable(line.number, decoded.problem))
    return records


def read_values(
    values: Sequence[dict[str, Any]], line: Line, *, space: str, session_id: str, time: str
) -> tuple[Record, ...]:
    """The records of one decoded line, one for each of `values`, in order.

    `time` (RFC 3339) is for records that carry none of their own. Never raises: what makes no
    sense is `Unreadable`, and an odd piece of a message is a `data` part.
    """
    if len(values) == 1:  # As nearly always; this is the hot path.
        return (read_own(values[0], Place(line, 0, space, session_id, time)),)
    return tuple(
        read_own(value, Place(line, index, space, session_id, time))
        for index, value in enumerate(values)
    )


def is_stamped(value: Mapping[str, Any]) -> bool:
    """Whether it is one of our own kinds of line, whatever is wrong with it."""
    kind = value.get("type")
    if kind == "message":
        return "blob" in value
    if kind == "session":
        return not value.keys() >= _HEADER_KEYS
    return (kind == "event" and "event" in value) or (kind == "meta" and "message_id" in value)


def read_own(value: dict[str, Any], place: Place) -> Record:
    """The record of one object that is a line of ours or a provider's message. Never raises."""
    kind = value.get("type")
    if kind is not None:
        if kind == "message" and "blob" in value:
            return _read_stamped(value, place)
        if kind == "session":
            values = {key: item for key, item in value.items() if key != "type"}
            return SessionFact(place.line.number, values)
        if kind == "event":
            return _read_event(value, place)
        if kind == "meta":
            return _read_patch(value, place)
    if _fits_a_provider(value):
        name = recognise(value)
        return _message(name, _FORMATS[name].read(value), value, None, place.new_id, place)
    return Unreadable(place.line.number, _why_unknown(value))


def _fits_a_provider(value: Mapping[str, Any]) -> bool:
    role = value.get("role")
    if role.__class__ is not str:
        return False
    if role in _CONTENT_ROLES:
        # Most messages have content; the other keys stand alone only where an agent calls tools.
        if "content" in value:
            return True
        if role == "assistant" and not _CONTENT_KEYS.isdisjoint(value):
            return True
    return "parts" in value and role in _PARTS_ROLES


def recognise(value: Mapping[str, Any]) -> MessageFormat:
    """The format of a bare message; text alone is the same in two of them and counts as openai."""
    role = value["role"]
    content = value.get("content")
    if "parts" in value and role in _PARTS_ROLES and content is None:
        parts = value["parts"]
        return "acontext" if role in acontext.ROLES and acontext.is_own(parts) else "gemini"
    return "anthropic" if role in anthropic.ROLES and anthropic.is_own(content) else "openai"


def _stamped(value: Mapping[str, Any]) -> tuple[MessageFormat, Mapping[str, Any]] | str:
    """Format and blob of a stamped line, or why it cannot be read."""
    blob = value["blob"]
    if not isinstance(blob, dict):
        return "a message whose blob is not an object"
    name = value.get("format")
    if name is None:
        return (recognise(blob), blob) if _fits_a_provider(blob) else _why_unknown(blob)
    if name not in tuple(_FORMATS):
        return f"unknown message format {_quote(name)} (known: {', '.join(_FORMATS)})"
    known = _FORMATS[name]
    if string(blob.get("role")) not in known.roles:
        return _unknown_role(blob.get("role"), known.roles)
    if known.body_keys.isdisjoint(blob):
        return f"a message of format {name} without {' or '.join(sorted(known.body_keys))}"
    return name, blob


def _read_stamped(value: dict[str, Any], place: Place) -> Record:
    stamped = _stamped(value)
    if isinstance(stamped, str):
        return Unreadable(place.line.number, stamped)
    name, blob = stamped
    own_id = string(value.get("id")) or place.new_id
    return _message(name, _FORMATS[name].read(blob), value, value.get("meta"), own_id, place)


def _message(
    name: MessageFormat,
    body: Body,
    value: Mapping[str, Any],
    meta: Any,
    own_id: str,
    place: Place,
) -> Message:
    all_meta = {**(body.meta or {}), **(meta if isinstance(meta, dict) else {})}
    return Message(
        own_id,
        body.role,
        body.parts,
        place.line.number,
        _time(value, place),
        body.source_format or name,
        body.original_role,
        body.name,
        all_meta,
        _take_author(all_meta) if "author" in all_meta else "",
    )


def _take_author(meta: dict[str, Any]) -> Author:
    """Who wrote a stamped message, if its meta says so in a word we know; the word is taken out."""
    author = _AUTHORS.get(str(meta["author"]), "")
    if author:
        del meta["author"]
    return author


def _time(value: Mapping[str, Any], place: Place) -> str:
    for key in TIME_KEYS:
        if key in value and (own := clock.parse_time(value[key])) is not None:
            return own
    return place.time


def _read_event(value: dict[str, Any], place: Place) -> Record:
    event = value.get("event")
    if not isinstance(event, str) or not event:
        return Unreadable(place.line.number, 'an event line without a name in "event"')
    data = value.get("data")
    return SessionEvent(
        id=string(value.get("id")) or place.new_id,
        line=place.line.number,
        created_at=_time(value, place),
        event=event,
        data=data if isinstance(data, dict) else {} if data is None else {"value": data},
    )


def _read_patch(value: dict[str, Any], place: Place) -> Record:
    target, meta = value.get("message_id"), value.get("meta")
    if not isinstance(target, str) or not target or not isinstance(meta, dict):
        return Unreadable(place.line.number, 'a meta line needs "message_id" and an object "meta"')
    return MetaPatch(place.line.number, target, meta)


def _why_unknown(value: Mapping[str, Any]) -> str:
    kind, role = value.get("type"), value.get("role")
    if isinstance(kind, str) and kind != "message":
        return f"unknown line type {_quote(kind)} (known: message, {', '.join(_OWN_KINDS)})"
    if role is None:
        return "an object without a role or a known type"
    if string(role) not in _ROLES:
        return _unknown_role(role, _ROLES)
    return f"a message of role {_quote(role)} without the content or parts that this role has"


def _unknown_role(role: Any, known: frozenset[str]) -> str:
    return f"unknown role {_quote(role)} (known: {', '.join(sorted(known))})"


def _quote(value: Any) -> str:
    if not isinstance(value, str):
        return f"of type {type(value).__name__}"
    return f'"{value[:40]}…"' if len(value) > 40 else f'"{value}"'
