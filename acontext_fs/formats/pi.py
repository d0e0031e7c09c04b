"""Sessions of pi and of OpenClaw, which is built on it: a header line, then entries of a tree.

Format: `docs/session.md` of pi's coding agent. Since version 2 entries have `id` and `parentId`,
and the conversation goes on wherever the newest entry hangs: one that hangs further up abandons
what was said since. Version 1 is a plain list. Where a model fails, OpenClaw asks the next one and
the prompt stands there again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from acontext_fs.clock import parse_time
from acontext_fs.formats import pi_parts
from acontext_fs.formats.body import json_text, string
from acontext_fs.formats.dialect import Dialect, Owner, Place
from acontext_fs.formats.pi_parts import Prompt
from acontext_fs.formats.pi_tree import Tree
from acontext_fs.formats.titles import title_of
from acontext_fs.records import Message, Record, SessionEvent, SessionFact, Withdrawn

EVENT_TEXT_MAX = 2000

_HEADER_KEYS = frozenset({"id", "cwd", "timestamp"})
_ROLES = frozenset(
    {
        "user",
        "assistant",
        "toolResult",
        "bashExecution",
        "custom",
        "hookMessage",
        "system",
        "branchSummary",
        "compactionSummary",
    }
)
_ENTRY_KEYS = {
    "model_change": "modelId",
    "thinking_level_change": "thinkingLevel",
    "branch_summary": "fromId",
    "custom": "customType",
    "custom_message": "customType",
    "label": "targetId",
    "session_info": "name",
}
"""What tells the entries of other types from other people's lines of the same type."""
_COMPACTION_KEYS = frozenset({"firstKeptEntryId", "firstKeptEntryIndex", "tokensBefore"})
_FAILED = ("error", "aborted")
_COMMAND = re.compile(r"/[\w:-]+")
_LOCAL_MODELS = ("delivery-mirror", "gateway-injected")


def is_own(value: Mapping[str, Any]) -> bool:
    """Whether an object, seen alone, is a line of a pi or OpenClaw session."""
    kind = value.get("type")
    if not isinstance(kind, str) or "uuid" in value or "payload" in value:
        return False
    if kind == "session":
        return value.keys() >= _HEADER_KEYS
    if kind == "message":
        message = value.get("message")
        role = message.get("role") if isinstance(message, dict) else None
        return isinstance(role, str) and role in _ROLES and "blob" not in value
    if kind == "compaction":
        return "summary" in value and not _COMPACTION_KEYS.isdisjoint(value)
    return kind in _ENTRY_KEYS and _ENTRY_KEYS[kind] in value


def identity(value: Mapping[str, Any]) -> str:
    """The name of an entry; entries of version 1 have only their time and their kind."""
    if value.get("type") == "session":
        return "header" if value.keys() >= _HEADER_KEYS else ""
    if own_id := string(value.get("id")):
        return own_id
    message = value.get("message")
    inner = message if isinstance(message, dict) else {}
    time = value.get("timestamp") or inner.get("timestamp")
    if not isinstance(time, str | int | float):
        return ""
    names = [string(value.get("type")), string(inner.get("role")), string(inner.get("toolCallId"))]
    return f"{time} {inner.get('timestamp')} {' '.join(names)}".rstrip()


def owner(value: Mapping[str, Any]) -> Owner | None:
    """The session a header names; the other lines name none."""
    if value.get("type") == "session" and value.keys() >= _HEADER_KEYS:
        named = string(value["id"])
        return Owner(named) if named else None
    return None


class _Asked(NamedTuple):
    """A prompt that waits for its answer."""

    message_id: str
    words: str
    text: str
    is_wrapped: bool


class PiReading:
    """The reading of one session."""

    def __init__(self) -> None:
        self._tree = Tree()
        self._facts: dict[str, Any] = {}
        self._asked: _Asked | None = None
        self._is_other_model = False  # Since the last prompt.

    def copy(self) -> PiReading:
        """A reading that goes on from here by itself."""
        other = PiReading()
        other._tree = self._tree.copy()
        other._facts = dict(self._facts)
        other._asked = self._asked
        other._is_other_model = self._is_other_model
        return other

    def read(self, value: Mapping[str, Any], place: Place) -> Iterator[Record]:
        """The records of the next object of the session."""
        kind = value.get("type")
        if kind == "session":
            yield from self._header(value, place)
            return
        own_id = string(value.get("id"))
        if own_id and own_id in self._tree:
            return
        prompt = self._prompt_of(value)
        first = self._repeats(prompt)
        yield from self._grow(value, own_id, first is not None, place)
        if first is not None:
            self._tree.say(own_id, first, is_prompt=True)
        elif prompt is not None:
            yield from self._prompt(prompt, value, own_id, place)
        elif kind == "message":
            yield from self._message(value, own_id, place)
        else:
            yield from self._entry(value, own_id, place)

    def _fact(self, place: Place, **values: Any) -> Iterator[Record]:
        new = {key: item for key, item in values.items() if self._facts.get(key) != item}
        if new:
            self._facts |= new
            yield SessionFact(place.line.number, new)

    def _header(self, value: Mapping[str, Any], place: Place) -> Iterator[Record]:
        facts: dict[str, Any] = {}
        if project := string(value.get("cwd")):
            facts["project"] = project
        if model := string(value.get("modelId")):
            facts["model"] = model
        before = string(value.get("branchedFrom")) or string(value.get("parentSession"))
        if stem := before.replace("\\", "/").rpartition("/")[2].removesuffix(".jsonl"):
            facts["forked_from"] = stem.rpartition("_")[2]
        yield from self._fact(place, **facts)

    def _grow(
        self, value: Mapping[str, Any], own_id: str, is_repeat: bool, place: Place
    ) -> Iterator[Record]:
        """Hang an entry into the tree; what it abandons counts no longer if it holds prompts."""
        if not own_id or "parentId" not in value:
            return
        message = value.get("message")
        starts = value.get("type") == "branch_summary" or (
            isinstance(message, dict) and message.get("role") == "user"
        )
        branch = self._tree.grow(own_id, value["parentId"], starts_over=starts)
        if branch.has_prompt and not is_repeat:
            yield Withdrawn(place.line.number, branch.message_ids)
            data = {"messages": len(branch.message_ids)}
            yield SessionEvent(place.new_id, place.line.number, _time(value, place), "branch", data)

    def _prompt_of(self, value: Mapping[str, Any]) -> Prompt | None:
        message = value.get("message")
        if value.get("type") == "message" and isinstance(message, dict):
            return pi_parts.prompt(message) if message.get("role") == "user" else None
        return None

    def _repeats(self, prompt: Prompt | None) -> str | None:
        """The id of the message that a prompt says again, because it got no answer."""
        asked = self._asked
        if prompt is None or asked is None or prompt.author != "person":
            return None
        if not prompt.words or pi_parts.digest(prompt.words) != asked.words:
            return None
        is_copy = asked.is_wrapped and pi_parts.digest(prompt.text) == asked.text
        return asked.message_id if is_copy or self._is_other_model else None

    def _prompt(
        self, prompt: Prompt, value: Mapping[str, Any], own_id: str, place: Place
    ) -> Iterator[Record]:
        message_id = own_id or place.new_id
        is_person = prompt.author == "person"
        self._tree.say(own_id, message_id, is_prompt=is_person)
        yield Message(
            message_id,
            "user",
            prompt.parts,
            place.line.number,
            _time(value, place),
            "openai",
            name=prompt.sender,
            meta={"channel": "queue"} if prompt.is_queued else {},
            author=prompt.author,
        )
        if is_person:
            words, text = pi_parts.digest(prompt.words), pi_parts.digest(prompt.text)
            self._asked = _Asked(message_id, words, text, prompt.text.strip() != prompt.words)
            self._is_other_model = False
            title = "" if _COMMAND.fullmatch(prompt.words) else title_of(prompt.words)
            if title and "title" not in self._facts:
                yield from self._fact(place, title=title)
        elif prompt.is_subagent and "title" not in self._facts:
            yield from self._fact(place, disable_task_tracking=True)

    def _message(self, value: Mapping[str, Any], own_id: str, place: Place) -> Iterator[Record]:
        message = value.get("message")
        role = string(message.get("role")) if isinstance(message, dict) else ""
        if not isinstance(message, dict) or role not in _ROLES:
            return
        if role in ("branchSummary", "compactionSummary"):
            yield self._summary(message, value, own_id, place)
            return
        message_id = own_id or place.new_id
        self._tree.say(own_id, message_id, is_prompt=False)
        line, time = place.line.number, _time(value, place)
        if role == "assistant":
            meta = pi_parts.reply_meta(message)
            parts = pi_parts.reply(message)
            yield Message(message_id, "assistant", parts, line, time, "openai", meta=meta)
            yield from self._answered(message, message_id, line, time, place)
            return
        self._asked = None if role == "toolResult" else self._asked
        if role == "toolResult":
            parts, meta = pi_parts.result(message), {}
        elif role == "bashExecution":
            parts, meta = pi_parts.shell(message), {"channel": "shell"}
        else:
            parts, meta = pi_parts.injected(message), {}
        yield Message(
            message_id,
            "user",
            parts,
            line,
            time,
            "openai",
            meta=meta,
            author="harness",
            original_role="system" if role == "system" else "",
        )

    def _answered(
        self, message: Mapping[str, Any], message_id: str, line: int, time: str, place: Place
    ) -> Iterator[Record]:
        """What an assistant message says besides its content."""
        stop = message.get("stopReason")
        if stop not in _FAILED:
            self._asked = None
        elif stop == "error":
            text = string(message.get("errorMessage"))[:EVENT_TEXT_MAX]
            yield SessionEvent(f"{message_id}.error", line, time, "api-error", {"text": text})
        else:
            yield SessionEvent(f"{message_id}.interruption", line, time, "interruption", {})
        model = string(message.get("model"))
        if model and model not in _LOCAL_MODELS:
            yield from self._model(model, place)

    def _model(self, model: str, place: Place) -> Iterator[Record]:
        if self._facts.get("model") not in (None, model):
            self._is_other_model = True
        yield from self._fact(place, model=model)

    def _entry(self, value: Mapping[str, Any], own_id: str, place: Place) -> Iterator[Record]:
        kind = value.get("type")
        if kind in ("compaction", "branch_summary"):
            yield self._summary(value, value, own_id, place)
        elif kind == "custom_message":
            message_id = own_id or place.new_id
            self._tree.say(own_id, message_id, is_prompt=False)
            parts = pi_parts.injected(value)
            line, time = place.line.number, _time(value, place)
            yield Message(message_id, "user", parts, line, time, "openai", author="harness")
        elif kind == "session_info":
            if title := title_of(string(value.get("name"))):
                yield from self._fact(place, title=title)
        elif kind == "model_change":
            if model := string(value.get("modelId")):
                yield from self._model(model, place)
        elif kind == "custom" and value.get("customType") == "model-snapshot":
            data = value.get("data")
            if model := string(data.get("modelId")) if isinstance(data, dict) else "":
                yield from self._model(model, place)
        elif kind == "custom" and value.get("customType") == "openclaw:prompt-error":
            text = json_text(value.get("data"))[:EVENT_TEXT_MAX]
            event_id, line = own_id or place.new_id, place.line.number
            yield SessionEvent(event_id, line, _time(value, place), "api-error", {"text": text})

    def _summary(
        self, summary: Mapping[str, Any], value: Mapping[str, Any], own_id: str, place: Place
    ) -> SessionEvent:
        """The agent's own retelling of what was said: of all of it, or of an abandoned branch."""
        kind = summary.get("type") or summary.get("role")
        name = "branch" if kind in ("branch_summary", "branchSummary") else "compaction"
        data: dict[str, Any] = {"summary": string(summary.get("summary"))[:EVENT_TEXT_MAX]}
        if type(summary.get("tokensBefore")) is int:
            data["tokens_before"] = summary["tokensBefore"]
        return SessionEvent(
            own_id or place.new_id, place.line.number, _time(value, place), name, data
        )


def _time(value: Mapping[str, Any], place: Place) -> str:
    message = value.get("message")
    inner = message.get("timestamp") if isinstance(message, dict) else None
    return parse_time(value.get("timestamp")) or parse_time(inner) or place.time


DIALECT = Dialect("pi", is_own, PiReading, identity, owner)
OPENCLAW = DIALECT._replace(name="openclaw")
"""The same reading, under the name that a captured session of OpenClaw says it is of."""
