"""Sessions of Gemini CLI: a header line, then a log of records.

Format: ChatRecordingService of Gemini CLI. A record sent again under its id replaces the one before
(here: what is new of it continues the message); `{"$set": ...}` changes the header;
`{"$rewindTo": id}` takes back that message and all behind it. `$set.messages` is what the model is
shown from now on, which is less than what was said: it adds messages and removes none.
The older form, one JSON object, is turned into the same lines by `sources`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from acontext_fs.clock import parse_time
from acontext_fs.formats import gemini_cli_parts as said
from acontext_fs.formats.body import items, json_text, string
from acontext_fs.formats.dialect import Dialect, Owner, Place
from acontext_fs.formats.titles import title_of
from acontext_fs.records import (
    Author,
    Continued,
    Message,
    Part,
    Record,
    SessionEvent,
    SessionFact,
    Withdrawn,
)

_NOTES = ("info", "warning", "error")
_TYPES = ("user", "gemini", *_NOTES)
_FOREIGN = frozenset({"uuid", "parentUuid", "message", "role", "payload", "blob"})


def _is_message(value: Mapping[str, Any]) -> bool:
    kind = value.get("type")
    if kind not in _TYPES or not isinstance(value.get("id"), str) or not _FOREIGN.isdisjoint(value):
        return False
    if kind == "gemini":
        return not {"content", "toolCalls", "thoughts"}.isdisjoint(value)
    return "content" in value and "timestamp" in value


def _is_header(value: Mapping[str, Any]) -> bool:
    return (
        isinstance(value.get("sessionId"), str)
        and isinstance(value.get("projectHash"), str)
        and _FOREIGN.isdisjoint(value)
    )


def is_own(value: Mapping[str, Any]) -> bool:
    """Whether an object, seen alone, is a line of a Gemini CLI session."""
    if isinstance(value.get("$set"), dict) or isinstance(value.get("$rewindTo"), str):
        return True
    return _is_header(value) or _is_message(value)


def identity(value: Mapping[str, Any]) -> str:
    """The name of a record; an update of a message is another record than the message."""
    if isinstance(value.get("$rewindTo"), str):
        return f"rewind {value['$rewindTo']}"
    if isinstance(value.get("$set"), dict):
        return f"set {said.digest(json_text(value['$set']))}"
    own_id = value.get("id")
    if isinstance(own_id, str) and value.get("type") in _TYPES:
        states = [
            f"{call.get('id')}:{call.get('status')}:{bool(call.get('result'))}"
            for call in items(value.get("toolCalls"))
            if isinstance(call, dict)
        ]
        has = (f"{len(items(value.get('thoughts')))}", f"{bool(value.get('tokens'))}")
        state = said.digest(json_text(value.get("content")), *has, *states)
        return f"{own_id} {state}"
    return "header" if _is_header(value) else ""


def owner(value: Mapping[str, Any]) -> Owner | None:
    """The session that a line names; most lines name none."""
    named = value.get("sessionId")
    return Owner(named) if isinstance(named, str) and named else None


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of a message of the model so far."""

    thoughts: int = 0
    text_length: int = 0
    text_digest: str = ""
    has_usage: bool = False
    model: str = ""


class GeminiCliReading:
    """The reading of one session."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}  # By message id, in their order.
        self._likenesses: dict[str, str] = {}  # Of messages, to the id they were read under.
        self._calls: dict[str, dict[str, str]] = {}  # By message id: names of calls, and their ids.
        self._answered: dict[str, set[str]] = {}  # By message id: ids of calls.
        self._asked_by: dict[str, str] = {}  # By call id: the message it stands in.
        self._facts: dict[str, Any] = {}
        self._has_summary = False
        self._is_subagent = False

    def copy(self) -> GeminiCliReading:
        """A reading that goes on from here by itself."""
        other = GeminiCliReading()
        other._known = dict(self._known)
        other._likenesses = dict(self._likenesses)
        other._calls = {key: dict(known) for key, known in self._calls.items()}
        other._answered = {key: set(known) for key, known in self._answered.items()}
        other._asked_by = dict(self._asked_by)
        other._facts = dict(self._facts)
        other._has_summary = self._has_summary
        other._is_subagent = self._is_subagent
        return other

    def read(self, value: Mapping[str, Any], place: Place) -> Iterator[Record]:
        """The records of the next object of the session."""
        target = value.get("$rewindTo")
        if isinstance(target, str):
            yield from self._rewind(target, place)
        elif isinstance(value.get("$set"), dict):
            yield from self._header(value["$set"], place)
        elif _is_message(value):
            yield from self._message(value, place)
        elif _is_header(value):
            yield from self._header(value, place)

    def _fact(self, place: Place, **values: Any) -> Iterator[Record]:
        new = {key: item for key, item in values.items() if self._facts.get(key) != item}
        if new:
            self._facts |= new
            yield SessionFact(place.line.number, new)

    def _header(self, value: Mapping[str, Any], place: Place) -> Iterator[Record]:
        facts: dict[str, Any] = {}
        folders = [item for item in items(value.get("directories")) if isinstance(item, str)]
        if folders:
            facts["project"] = folders[0]
        elif "project" not in self._facts and isinstance(value.get("projectHash"), str):
            facts["project"] = value["projectHash"]
        if summary := title_of(string(value.get("summary"))):
            self._has_summary = True
            facts["title"] = summary
        if value.get("kind") == "subagent":
            self._is_subagent = True
            facts["disable_task_tracking"] = True
        yield from self._fact(place, **facts)
        messages = [item for item in items(value.get("messages")) if isinstance(item, dict)]
        if messages:
            yield from self._synced(messages, place)

    def _synced(self, messages: list[dict[str, Any]], place: Place) -> Iterator[Record]:
        """What the model is shown from now on, as far as it was not read before."""
        is_compressed = any(said.is_snapshot(item.get("content")) for item in messages)
        present = {string(item.get("id")) for item in messages}
        for item in messages:
            if not _is_message(item):
                continue
            own_id = item["id"]
            twin = self._likenesses.get(_likeness(item))
            if own_id not in self._known and twin is not None and twin not in present:
                # The same under a new id: a rewind may name either.
                self._likenesses[own_id] = twin
            elif own_id in self._known or not is_compressed:
                yield from self._message(item, place)
        if is_compressed:
            yield self._event("compaction", {}, place, "")

    def _message(self, value: Mapping[str, Any], place: Place) -> Iterator[Record]:
        created_at = parse_time(value.get("timestamp")) or place.time
        if value["type"] == "gemini":
            yield from self._reply(value, created_at, place)
        elif value["id"] in self._known:
            return
        elif value["type"] == "user":
            yield from self._prompt(value, created_at, place)
        else:
            self._known[value["id"]] = _Known()
            yield from self._note(value, created_at, place)

    def _prompt(self, value: Mapping[str, Any], created_at: str, place: Place) -> Iterator[Record]:
        own_id = value["id"]
        typed = said.user_parts(value)
        self._known[own_id] = _Known()
        self._likenesses[_likeness(value)] = own_id
        parts = tuple(part for part in typed.parts if not self._is_answered(part))
        author: Author = typed.author
        if self._is_subagent and author == "person":
            author = "agent"
        if not parts:
            return
        meta = {"channel": typed.channel} if typed.channel else {}
        yield Message(
            own_id, "user", parts, place.line.number, created_at, "gemini", meta=meta, author=author
        )
        if author == "person" and not self._has_summary and "title" not in self._facts:
            words = [p.text for p in parts if p.type == "text" and not p.meta.get("author")]
            if title := title_of(" ".join(words)):
                yield from self._fact(place, title=title)

    def _is_answered(self, part: Part) -> bool:
        """Whether it is a result that was read with its call; notes the others as read."""
        if part.type != "tool-result":
            return False
        call_id = string(part.meta.get("tool_call_id"))
        asked_by = self._asked_by.get(call_id)
        if asked_by is None:
            return False
        answered = self._answered.setdefault(asked_by, set())
        if call_id in answered:
            return True
        answered.add(call_id)
        return False

    def _reply(self, value: Mapping[str, Any], created_at: str, place: Place) -> Iterator[Record]:
        """A message of the model, or what is new of one."""
        own_id = value["id"]
        known = self._known.get(own_id)
        calls = said.calls(value, own_id)
        parts, now = self._new_parts(value, known)
        parts += self._new_calls(own_id, calls)
        meta: dict[str, Any] = {}
        model = string(value.get("model"))
        if model and model != now.model:
            meta["model"] = model
            now = replace(now, model=model)
        usage = said.usage(value.get("tokens"))
        if usage and not now.has_usage:
            meta["usage"] = usage
            now = replace(now, has_usage=True)
        line = place.line.number
        self._known[own_id] = now
        if known is None:
            self._likenesses[_likeness(value)] = own_id
            yield Message(own_id, "assistant", parts, line, created_at, "gemini", meta=meta)
        elif parts or meta:
            yield Continued(line, own_id, parts, created_at, meta)
        if model:
            yield from self._fact(place, model=model)
        yield from self._results(own_id, calls, created_at, place)

    def _new_parts(
        self, value: Mapping[str, Any], before: _Known | None
    ) -> tuple[tuple[Part, ...], _Known]:
        known = before or _Known()
        thoughts = said.thought_parts(value)
        content = said.content_parts(value.get("content"))
        if not thoughts:  # Else they are said twice.
            thoughts = [part for part in content if part.type == "thinking"]
        parts = thoughts[known.thoughts :]
        text = "".join(part.text for part in content if part.type == "text")
        length = known.text_length
        if len(text) > length and (not length or said.digest(text[:length]) == known.text_digest):
            parts.append(Part("text", text[length:], {}))
            known = replace(known, text_length=len(text), text_digest=said.digest(text))
        if before is None:
            parts += [part for part in content if part.type not in _READ_APART]
        return tuple(parts), replace(known, thoughts=max(known.thoughts, len(thoughts)))

    def _new_calls(self, own_id: str, calls: list[said.Call]) -> tuple[Part, ...]:
        """The calls that were not read before. One that had no id is known by what it says."""
        known = self._calls.setdefault(own_id, {})
        new = [call for call in calls if call.id not in known and call.likeness not in known]
        for call in new:
            known[call.id] = call.id
            if call.is_nameless:
                known[call.likeness] = call.id
        for call in calls:
            known.setdefault(call.id, known.get(call.likeness, call.id))
            self._asked_by.setdefault(call.id, own_id)
        return tuple(call.part for call in new)

    def _results(
        self, own_id: str, calls: list[said.Call], created_at: str, place: Place
    ) -> Iterator[Record]:
        answered = self._answered.setdefault(own_id, set())
        parts: list[Part] = []
        for call in calls:
            call_id = self._calls[own_id][call.id]
            if call.result and call_id not in answered:
                answered |= {call_id, call.id}
                parts.extend(said.with_meta(part, tool_call_id=call_id) for part in call.result)
        if not parts:
            return
        line, results_id = place.line.number, f"{own_id}.results"
        if results_id not in self._known:
            self._known[results_id] = _Known()
            yield Message(
                results_id,
                "user",
                tuple(parts),
                line,
                created_at,
                "gemini",
                author="harness",
            )
        else:
            yield Continued(line, results_id, tuple(parts), created_at)

    def _note(self, value: Mapping[str, Any], created_at: str, place: Place) -> Iterator[Record]:
        """What the program told the person."""
        text = said.plain_text(value.get("content"))
        name = ""
        if value["type"] == "error":
            name = "api-error"
        elif "history compressed" in text:
            name = "compaction"
        elif text.strip().startswith("Request cancelled"):
            name = "interruption"
        if name:
            yield self._event(name, {"text": text[:2000]}, place, created_at, value["id"])

    def _event(
        self, name: str, data: Mapping[str, Any], place: Place, created_at: str, own_id: str = ""
    ) -> SessionEvent:
        return SessionEvent(
            own_id or place.new_id, place.line.number, created_at or place.time, name, data
        )

    def _rewind(self, target: str, place: Place) -> Iterator[Record]:
        """Take back a message and all behind it. A target that was never read takes back nothing:
        Gemini CLI forgets everything then, but it was said all the same.
        """
        target = self._likenesses.get(target, target)
        if target not in self._known:
            return
        order = list(self._known)
        kept, gone = order[: order.index(target)], order[order.index(target) :]
        late = {f"{message_id}.results" for message_id in kept}
        gone = [message_id for message_id in gone if message_id not in late]
        for message_id in gone:
            del self._known[message_id]
            self._calls.pop(message_id, None)
            self._answered.pop(message_id, None)
        taken = frozenset(gone)
        self._likenesses = {k: v for k, v in self._likenesses.items() if v not in taken}
        self._asked_by = {k: v for k, v in self._asked_by.items() if v not in taken}
        yield Withdrawn(place.line.number, tuple(gone))
        yield self._event("branch", {"from": target}, place, "")


_READ_APART = ("text", "thinking", "tool-call", "tool-result")


def _likeness(value: Mapping[str, Any]) -> str:
    """What a message and its copy under another id have in common."""
    names = [
        string(item.get("name")) for item in items(value.get("toolCalls")) if isinstance(item, dict)
    ]
    return said.digest(value["type"], said.plain_text(value.get("content")).strip(), *names)


DIALECT = Dialect("gemini", is_own, GeminiCliReading, identity, owner)
