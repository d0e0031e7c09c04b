"""Transcripts of Qwen Code: the envelope of Claude Code around the contents of the Gemini API.

Format: https://github.com/QwenLM/qwen-code, `ChatRecord` in
packages/core/src/services/chatRecordingService.ts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from acontext_fs import clock
from acontext_fs.formats import claude_words, gemini, gemini_cli_parts
from acontext_fs.formats.body import string
from acontext_fs.formats.claude_tree import Tree
from acontext_fs.formats.dialect import Dialect, Owner, Place
from acontext_fs.formats.titles import title_of
from acontext_fs.records import (
    Author,
    Message,
    Part,
    Record,
    SessionEvent,
    SessionFact,
    Withdrawn,
)

_FACTS = (
    ("project", "cwd"),
    ("branch", "gitBranch"),
    ("agent_version", "version"),
    ("model", "model"),
)
_KEYS = ("provenance", "systemPayload", "toolCallResult", "usageMetadata")
_NOT_TYPED: Mapping[str, Author] = {
    "notification": "harness",
    "cron": "harness",
    "goal_runtime": "harness",
    "agent_launch_prompt": "agent",
}
_USAGE = (
    ("input_tokens", "promptTokenCount"),
    ("output_tokens", "candidatesTokenCount"),
    ("cache_read_tokens", "cachedContentTokenCount"),
)
_REFERENCED = "--- Content from referenced files ---"
_CONTINUE = "System: Please continue."
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_TITLE_MANUAL, _TITLE_AUTO, _TITLE_TYPED = 3, 2, 1
_ERROR_CHARACTERS_MAX = 500


def is_own(value: Mapping[str, Any]) -> bool:
    """Whether an object, seen alone, is a line of Qwen Code's and of no other agent's."""
    if value.get("type") not in ("user", "assistant", "tool_result", "system"):
        return False
    if "sessionId" not in value or "uuid" not in value:
        return False
    message = value.get("message")
    is_content = isinstance(message, dict) and "parts" in message
    return is_content or (message is None and any(key in value for key in _KEYS))


def identity(value: Mapping[str, Any]) -> str:
    """The record's own id."""
    return string(value.get("uuid"))


def owner(value: Mapping[str, Any]) -> Owner | None:
    """The session of the record: the file's own, or one made up for a subagent."""
    session_id = _UNSAFE.sub("-", string(value.get("sessionId")))
    if not session_id:
        return None
    agent_id = _UNSAFE.sub("-", string(value.get("agentId")))
    if not agent_id and value.get("isSidechain") is not True:
        return Owner(session_id)
    return Owner(f"{session_id}.agent-{agent_id or 'side'}", session_id)


@dataclass(slots=True)
class QwenReading:
    """The reading of one session. Keeps ids, and a command until its prompt was read."""

    _tree: Tree = field(default_factory=Tree)
    _facts: dict[str, str] = field(default_factory=dict)
    _command: str = ""
    _title_rank: int = 0
    _has_main: bool = False

    def copy(self) -> QwenReading:
        """A reading that goes on from here by itself."""
        return replace(self, _tree=self._tree.copy(), _facts=self._facts.copy())

    def read(self, value: Mapping[str, Any], place: Place) -> list[Record]:
        """The records of the next line. Never raises."""
        found: list[Record] = []
        record_id = string(value.get("uuid"))
        if self._tree.has(record_id) or not self._is_mine(value, place):
            return found
        self._note_facts(value, place, found)
        kind, message = value.get("type"), value.get("message")
        if kind == "system":
            self._system(value, place, found)
        elif isinstance(message, dict) and "parts" in message:
            role = "model" if kind == "assistant" else "user"
            parts = gemini.read({"role": role, "parts": message["parts"]}).parts
            if kind == "assistant":
                self._assistant(parts, value, place, found)
            elif kind == "tool_result":
                self._results(parts, value, place, found)
            elif kind == "user":
                self._user(parts, value, place, found)
        self._tree.add_line(record_id)
        return found

    def _is_mine(self, value: Mapping[str, Any], place: Place) -> bool:
        """Whether the line is of the agent whose session this is."""
        whose = owner(value)
        if whose is None or not whose.parent:
            self._has_main = True
            return True
        is_named = ".agent-" in place.session_id
        return place.session_id == whose.session_id if is_named else not self._has_main

    def _note_facts(self, value: Mapping[str, Any], place: Place, found: list[Record]) -> None:
        changed: dict[str, Any] = {}
        for name, key in _FACTS:
            now = value.get(key)
            if isinstance(now, str) and now and now != self._facts.get(name) and now != "HEAD":
                changed[name] = self._facts[name] = now
        if changed:
            found.append(SessionFact(place.line.number, changed))
        whose = owner(value)
        if whose is not None and whose.parent:
            self._note_parent(whose.parent, place, found)

    def _note_parent(self, parent: str, place: Place, found: list[Record]) -> None:
        if parent and self._facts.get("parent") != parent and parent != place.session_id:
            self._facts["parent"] = parent
            facts = {"parent": parent, "disable_task_tracking": True}
            found.append(SessionFact(place.line.number, facts))

    def _note_title(self, text: str, rank: int, place: Place, found: list[Record]) -> None:
        title = title_of(text)
        is_better = rank > self._title_rank or rank == self._title_rank != _TITLE_TYPED
        if not title or not is_better:
            return
        self._title_rank = rank
        if self._facts.get("title") != title:
            self._facts["title"] = title
            found.append(SessionFact(place.line.number, {"title": title}))

    def _assistant(
        self,
        parts: tuple[Part, ...],
        value: Mapping[str, Any],
        place: Place,
        found: list[Record],
    ) -> None:
        meta: dict[str, Any] = {}
        if isinstance(value.get("model"), str):
            meta["model"] = value["model"]
        given = value.get("usageMetadata")
        if isinstance(given, dict):
            usage = {name: given[key] for name, key in _USAGE if given.get(key).__class__ is int}
            meta |= {"usage": usage} if usage else {}
        self._add(Message("", "assistant", parts, 0, "", "gemini", meta=meta), value, place, found)

    def _results(
        self,
        parts: tuple[Part, ...],
        value: Mapping[str, Any],
        place: Place,
        found: list[Record],
    ) -> None:
        given = value.get("toolCallResult")
        status = given.get("status") if isinstance(given, dict) else None
        read = tuple(_with_status(part, status) for part in parts)
        message = Message("", "user", read, 0, "", "gemini", author="harness")
        self._add(message, value, place, found)

    def _user(
        self,
        parts: tuple[Part, ...],
        value: Mapping[str, Any],
        place: Place,
        found: list[Record],
    ) -> None:
        payload = value.get("systemPayload")
        shown = string(payload.get("displayText")) if isinstance(payload, dict) else ""
        command, self._command = self._command, ""
        author = self._author(parts, value)
        meta: dict[str, Any] = {}
        if author == "person":
            parts = _typed(parts, shown.strip() or command)
            author = "person" if any(map(_is_said, parts)) else "harness"
        if author == "person":
            if value.get("subtype") == "mid_turn_user_message":
                meta["channel"] = "queue"
            elif command:
                meta["channel"] = "command"
        text = next((one.text for one in parts if one.type == "text" and not one.meta), "")
        if author != "harness":
            self._note_title(text, _TITLE_TYPED, place, found)
        message = Message("", "user", parts, 0, "", "gemini", meta=meta, author=author)
        self._add(message, value, place, found)

    def _author(self, parts: tuple[Part, ...], value: Mapping[str, Any]) -> Author:
        if value.get("isSidechain") is True or value.get("agentId") or "parent" in self._facts:
            return "agent"
        if isinstance(value.get("forkedFrom"), dict):
            return "harness"  # Copied from another session, where it was counted.
        subtype = string(value.get("subtype"))
        if subtype in _NOT_TYPED:
            return _NOT_TYPED[subtype]
        if value.get("provenance") in ("system", "goal_runtime", "goal_control"):
            return "harness"
        is_machine = len(parts) == 1 and parts[0].text.strip() == _CONTINUE
        return "harness" if is_machine else "person"

    def _system(self, value: Mapping[str, Any], place: Place, found: list[Record]) -> None:
        payload = value.get("systemPayload")
        payload = payload if isinstance(payload, dict) else {}
        subtype = value.get("subtype")
        if subtype == "custom_title":
            rank = _TITLE_AUTO if payload.get("titleSource") == "auto" else _TITLE_MANUAL
            self._note_title(string(payload.get("customTitle")), rank, place, found)
        elif subtype == "parent_session":
            parent = _UNSAFE.sub("-", string(payload.get("parentSessionId")))
            self._note_parent(parent, place, found)
        elif subtype == "slash_command" and payload.get("phase") == "invocation":
            self._slash_command(string(payload.get("rawCommand")), payload, value, place, found)
        elif subtype == "rewind":
            self._rewind(value, place, found)
        elif subtype == "chat_compression":
            info = payload.get("info")
            before = info.get("originalTokenCount") if isinstance(info, dict) else None
            data: dict[str, Any] = {"tokens_before": before} if isinstance(before, int) else {}
            self._event("compaction", data, value, place, found)
        elif subtype == "ui_telemetry":
            event = payload.get("uiEvent")
            if isinstance(event, dict) and event.get("event.name") == "qwen-code.api_error":
                text = string(event.get("error_message")) or string(event.get("error"))
                failed = {"message": text[:_ERROR_CHARACTERS_MAX]}
                self._event("api-error", failed, value, place, found)

    def _slash_command(
        self,
        command: str,
        payload: Mapping[str, Any],
        value: Mapping[str, Any],
        place: Place,
        found: list[Record],
    ) -> None:
        """What a command becomes for the model follows as a prompt, if it is sent to it."""
        if payload.get("sentToModel") is True:
            self._command = command.strip()
        elif command:
            parts = (Part("text", command, {}),)
            meta = {"channel": "command"}
            message = Message("", "user", parts, 0, "", "gemini", meta=meta, author="harness")
            self._add(message, value, place, found)

    def _rewind(self, value: Mapping[str, Any], place: Place, found: list[Record]) -> None:
        parent = value.get("parentUuid")
        taken_back = self._tree.rewind(None if parent is None else string(parent))
        if taken_back:
            found.append(Withdrawn(place.line.number, taken_back))
            data = {"from": string(parent), "message_ids": list(taken_back)}
            self._event("branch", data, value, place, found)

    def _add(
        self, message: Message, value: Mapping[str, Any], place: Place, found: list[Record]
    ) -> None:
        if not message.parts:
            return
        own_id = string(value.get("uuid")) or place.new_id
        time = clock.parse_time(value.get("timestamp")) or place.time
        is_prompt = message.role == "user" and value.get("type") == "user"
        self._tree.add_message(own_id, is_prompt=is_prompt)
        found.append(replace(message, id=own_id, line=place.line.number, created_at=time))

    def _event(
        self,
        name: str,
        data: dict[str, Any],
        value: Mapping[str, Any],
        place: Place,
        found: list[Record],
    ) -> None:
        record_id = string(value.get("uuid")) or place.new_id
        time = clock.parse_time(value.get("timestamp")) or place.time
        found.append(SessionEvent(f"{record_id}/{name}", place.line.number, time, name, data))


def _with_status(part: Part, status: Any) -> Part:
    """A result with what Qwen Code says of the call: it failed, or the user did not allow it."""
    if part.type != "tool-result" or status not in ("error", "cancelled"):
        return part
    meta = {key: item for key, item in part.meta.items() if key != "is_error"}
    return Part(
        part.type, part.text, {**meta, "is_error" if status == "error" else "rejected": True}
    )


def _typed(parts: tuple[Part, ...], shown: str) -> tuple[Part, ...]:
    """A prompt with what the person saw of it as their words, and what was put in as the
    program's: files they named, the text of a command, the context of hooks.
    """
    read: list[Part] = []
    is_added = False
    is_shown = not shown
    for part in _cut(parts):
        if part.type != "text" or "author" in part.meta:
            read.append(part)
            continue
        is_added = is_added or part.text.strip().startswith(_REFERENCED)
        said = claude_words.said(part.text)
        if is_added or said.author != "person":
            read.append(Part("text", part.text, {"author": "harness"}))
        elif not is_shown and part.text.strip() == shown:
            is_shown = True
            read.append(part)
        else:
            read += [one if not shown else _added(one) for one in said.parts]
    return tuple(read) if is_shown else (Part("text", shown, {}), *read)


def _cut(parts: tuple[Part, ...]) -> Iterator[Part]:
    """The parts, texts with files behind them in pieces."""
    for part in parts:
        is_mixed = part.type == "text" and not part.text.strip().startswith(_REFERENCED)
        yield from gemini_cli_parts.without_files(part) if is_mixed else (part,)


def _is_said(part: Part) -> bool:
    """Whether a part is a person's: words of theirs, or a picture."""
    return "author" not in part.meta and (part.type != "text" or bool(part.text.strip()))


def _added(part: Part) -> Part:
    return part if part.type != "text" else Part("text", part.text, {"author": "harness"})


DIALECT = Dialect("qwen", is_own, QwenReading, identity, owner)
