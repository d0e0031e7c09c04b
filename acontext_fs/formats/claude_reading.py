"""Reads the lines of one Claude Code session in order: see `claude_code`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from acontext_fs import clock
from acontext_fs.formats import anthropic, claude_results, claude_words
from acontext_fs.formats.body import items, string
from acontext_fs.formats.claude_queue import Queue
from acontext_fs.formats.claude_tree import Tree
from acontext_fs.formats.claude_turn import TITLE_PLANNED, TITLE_TYPED, Turn, author_of
from acontext_fs.formats.dialect import Place
from acontext_fs.formats.titles import title_of
from acontext_fs.records import (
    Continued,
    Message,
    Part,
    Record,
    SessionEvent,
    SessionFact,
    Withdrawn,
)

Line: TypeAlias = Mapping[str, Any]

_FACTS = (("project", "cwd"), ("branch", "gitBranch"), ("agent_version", "version"))
_TITLES: Mapping[str, tuple[str, int]] = {
    "custom-title": ("customTitle", 6),
    "agent-name": ("agentName", 5),
    "ai-title": ("aiTitle", 4),
    "summary": ("summary", 3),
}
_USAGE = (
    ("input_tokens", "input_tokens"),
    ("output_tokens", "output_tokens"),
    ("cache_read_tokens", "cache_read_input_tokens"),
    ("cache_write_tokens", "cache_creation_input_tokens"),
)
_SYNTHETIC = "<synthetic>"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_ERROR_CHARACTERS_MAX = 500


@dataclass(slots=True)
class ClaudeReading:
    """The reading of one session. Keeps ids, and the texts of prompts that wait in the queue."""

    _tree: Tree = field(default_factory=Tree)
    _queue: Queue = field(default_factory=Queue)
    _facts: dict[str, str] = field(default_factory=dict)
    _begun: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """By the id of an assistant's message: what its lines said last of usage and stop reason."""
    _last: tuple[str, str, Mapping[str, int]] = ("", "", {})
    """The last assistant line without an id of its message: its uuid, its message, its usage."""
    _pull_requests: set[str] = field(default_factory=set)
    _title_rank: int = 0
    _has_main: bool = False

    def copy(self) -> ClaudeReading:
        """A reading that goes on from here by itself."""
        return replace(
            self,
            _tree=self._tree.copy(),
            _queue=self._queue.copy(),
            _facts=self._facts.copy(),
            _begun=self._begun.copy(),
            _pull_requests=self._pull_requests.copy(),
        )

    def read(self, value: Line, place: Place) -> list[Record]:
        """The records of the next line. Never raises."""
        found: list[Record] = []
        if value.get("type") == "progress" or value.get("agentId") or value.get("isSidechain"):
            spoken = self._of_subagent(value, place)
            if spoken is None:
                self._tree.add_line(string(value.get("uuid")))
                return found
            value = spoken
        kind, line_id = value.get("type"), string(value.get("uuid"))
        is_spoken = kind in ("user", "assistant")
        if self._tree.has(line_id) or (is_spoken and not _is_spoken(value)):
            return found
        read = _KINDS.get(kind) if kind.__class__ is str else None
        if read is not None:
            self._note_facts(value, place, found)
            read(self, value, place, found)
        self._tree.add_line(line_id)
        return found

    def _of_subagent(self, value: Line, place: Place) -> Line | None:
        """The line of a subagent, if this is its session; None for what belongs to another, and
        for progress that repeats what is said elsewhere.
        """
        agent_id = value.get("agentId")
        if value.get("type") == "progress":
            data = value.get("data")
            if not isinstance(data, dict) or data.get("type") != "agent_progress":
                return None
            message, agent_id = data.get("message"), data.get("agentId")
            if not isinstance(message, dict) or ".agent-" not in place.session_id:
                return None
            value = {**value, "uuid": None, **message, "isSidechain": True}
        own = place.session_id
        name = f"agent-{_UNSAFE.sub('-', string(agent_id)) or 'side'}"
        if own == name or own.endswith("." + name):
            return value
        # A subagent's file that was put into the store under another name.
        return value if ".agent-" not in own and not self._has_main else None

    def _note_parent(self, value: Line, place: Place, found: list[Record]) -> None:
        """Note the session that a subagent, or a copy of a session, comes from."""
        origin = value.get("forkedFrom")
        is_subagent = value.get("isSidechain") is True or bool(value.get("agentId"))
        given = value if is_subagent else origin if isinstance(origin, dict) else {}
        parent = _UNSAFE.sub("-", string(given.get("sessionId")))
        if parent and parent != place.session_id and self._facts.get("parent") != parent:
            self._facts["parent"] = parent
            tracking = {"disable_task_tracking": True} if is_subagent else {}
            found.append(SessionFact(place.line.number, {"parent": parent, **tracking}))

    def _note_facts(self, value: Line, place: Place, found: list[Record]) -> None:
        if value.get("isSidechain") or "forkedFrom" in value or "agentId" in value:
            self._note_parent(value, place, found)
        if value.get("type") in ("user", "assistant") and value.get("isSidechain") is not True:
            self._has_main = True
        changed = {}
        for name, key in _FACTS:
            now = value.get(key)
            if now.__class__ is str and now and now != self._facts.get(name) and now != "HEAD":
                changed[name] = self._facts[name] = now
        if changed:
            found.append(SessionFact(place.line.number, changed))

    def _note_title(self, text: str, rank: int, place: Place, found: list[Record]) -> None:
        title = title_of(text)
        is_typed = rank <= TITLE_TYPED
        if not title or rank < self._title_rank or (is_typed and rank == self._title_rank):
            return
        self._title_rank = rank
        if self._facts.get("title") != title:
            self._facts["title"] = title
            found.append(SessionFact(place.line.number, {"title": title}))

    # --- the assistant

    def _assistant(self, value: Line, place: Place, found: list[Record]) -> None:
        message = value["message"]
        model = string(message.get("model"))
        parts = anthropic.read({"role": "assistant", "content": message.get("content")}).parts
        if model == _SYNTHETIC or value.get("isApiErrorMessage") is True:
            if value.get("isApiErrorMessage") is True:
                text = " ".join(part.text for part in parts if part.type == "text")
                data = {"message": text[:_ERROR_CHARACTERS_MAX]}
                self._event("api-error", data, value, place, found)
            return
        if model and self._facts.get("model") != model:
            self._facts["model"] = model
            found.append(SessionFact(place.line.number, {"model": model}))
        self._queue.answered()
        usage, stop = _usage(message.get("usage")), message.get("stop_reason")
        meta: dict[str, Any] = {"usage": usage} if usage else {}
        if isinstance(stop, str):
            meta["stop_reason"] = stop
        own_id = self._message_id(value, message, place, usage)
        before = self._begun.get(own_id)
        self._begun[own_id] = said = (usage, meta.get("stop_reason"))
        time = _time(value, place)
        if before is not None:
            changed = {} if said == before else {k: v for k, v in meta.items() if v not in before}
            found.append(Continued(place.line.number, own_id, parts, time, changed))
            return
        if model:
            meta["model"] = model
        if value.get("isAbortedMidStream") is True:
            meta["interrupted"] = True
        self._tree.add_message(own_id, is_prompt=False)
        found.append(
            Message(own_id, "assistant", parts, place.line.number, time, "anthropic", meta=meta)
        )

    def _message_id(self, value: Line, message: Line, place: Place, usage: dict[str, int]) -> str:
        """The id of an assistant's message; where it was blacked out, the request's.

        With neither, a line goes on with the message of the line it follows if both report the
        same usage.
        """
        for given in (message.get("id"), value.get("requestId")):
            if given.__class__ is str and given and "REDACTED" not in given:
                return str(given)
        line_id = string(value.get("uuid"))
        last_line, last_message, last_usage = self._last
        follows = last_line and value.get("parentUuid") == last_line and usage == last_usage
        own_id = last_message if follows and usage else line_id or place.new_id
        self._last = (line_id, own_id, usage)
        return own_id

    # --- the user

    def _user(self, value: Line, place: Place, found: list[Record]) -> None:
        forced = author_of(value)
        content = value["message"].get("content")
        turn = Turn()
        if isinstance(content, list):
            content = [claude_results.spaced(block) for block in content]
        for part in anthropic.read({"role": "user", "content": content}).parts:
            turn.add(part, value, forced)
        self._said(turn, value, place, found)

    def _said(self, turn: Turn, value: Line, place: Place, found: list[Record]) -> None:
        """Put down what a line says in the user's place: an interruption, a message, both."""
        line_id = string(value.get("uuid"))
        if turn.is_interruption:
            self._event("interruption", {}, value, place, found)
        if not turn.parts:
            return
        typed = turn.typed
        if turn.author == "person" and not turn.has_results and self._queue.is_repeated(typed):
            return
        is_prompt = not turn.has_results and (turn.author == "person" or turn.is_plan)
        if is_prompt and (taken_back := self._tree.rewind(string(value.get("parentUuid")))):
            found.append(Withdrawn(place.line.number, taken_back))
            for message_id in taken_back:
                self._begun.pop(message_id, None)
            data = {"from": string(value.get("parentUuid")), "message_ids": list(taken_back)}
            self._event("branch", data, value, place, found)
        if is_prompt and (typed or turn.is_plan):
            self._note_title(*turn.title, place, found)
        elif turn.author == "agent" and not self._title_rank and value.get("isSidechain") is True:
            self._note_title(turn.parts[0].text, TITLE_PLANNED, place, found)
        own_id = line_id or place.new_id
        meta: dict[str, Any] = {"channel": turn.channel} if turn.channel else {}
        if value.get("promptSource") == "queued" and turn.author == "person" and not meta:
            meta["channel"] = "queue"
        if turn.is_interruption:
            meta["interrupted"] = True
        self._tree.add_message(own_id, is_prompt=is_prompt)
        found.append(_message(own_id, turn, value, place, meta))

    def _queued(self, text: str, value: Line, place: Place, found: list[Record]) -> None:
        """A prompt that left the queue in the middle of a turn."""
        turn = Turn()
        turn.add(Part("text", text, {}), value, "")
        if turn.author != "person" or (text.startswith("/") and " " not in text):
            return
        own_id = place.new_id
        self._note_title(*turn.title, place, found)
        self._tree.add_message(own_id, is_prompt=False)
        found.append(_message(own_id, turn, value, place, {"channel": "queue"}))

    def _queue_operation(self, value: Line, place: Place, found: list[Record]) -> None:
        operation, text = value.get("operation"), string(value.get("content"))
        if operation == "enqueue":
            self._queue.enqueue(text)
        elif operation == "dequeue":
            self._queue.dequeue(text)
        elif operation == "popAll":
            self._queue.withdraw(text)
        elif operation == "remove":
            delivered = self._queue.remove(text, string(value.get("reason")))
            if delivered:
                self._queued(delivered, value, place, found)

    def _attachment(self, value: Line, place: Place, found: list[Record]) -> None:
        """Of what the program attaches, prompts from the queue are the only words of a person."""
        attachment = value.get("attachment")
        if not isinstance(attachment, dict) or attachment.get("type") != "queued_command":
            return
        forced = author_of(attachment) or author_of(value)
        if attachment.get("commandMode") == "task-notification":
            forced = "harness"
        turn = Turn()
        for part in anthropic.read({"role": "user", "content": attachment.get("prompt")}).parts:
            turn.add(part, attachment, forced)
        if attachment.get("commandMode") == "bash":
            turn.author, turn.channel = "harness", "shell"
        is_typed = turn.author == "person"
        if not turn.parts:
            return
        if is_typed and self._queue.is_repeated(turn.typed, is_attached=True):
            return
        if is_typed and turn.typed:
            self._note_title(*turn.title, place, found)
        own_id = string(value.get("uuid")) or place.new_id
        self._tree.add_message(own_id, is_prompt=False)
        channel = "queue" if is_typed else turn.channel
        meta = {"channel": channel} if channel else {}
        found.append(_message(own_id, turn, value, place, meta))

    # --- the session

    def _system(self, value: Line, place: Place, found: list[Record]) -> None:
        kind = value.get("subtype")
        if kind == "compact_boundary":
            given = value.get("compactMetadata")
            given = given if isinstance(given, dict) else {}
            data = {"trigger": given.get("trigger"), "tokens_before": given.get("preTokens")}
            data = {key: item for key, item in data.items() if isinstance(item, str | int)}
            self._event("compaction", data, value, place, found)
        elif kind == "api_error":
            self._event("api-error", _error(value.get("error")), value, place, found)
        elif kind == "local_command":
            said = claude_words.said(string(value.get("content")))
            if said.parts:
                turn = Turn(list(said.parts), "harness", "command")
                own_id = string(value.get("uuid")) or place.new_id
                self._tree.add_message(own_id, is_prompt=False)
                found.append(_message(own_id, turn, value, place, {"channel": "command"}))

    def _title(self, value: Line, place: Place, found: list[Record]) -> None:
        key, rank = _TITLES[value["type"]]
        # A summary at the head of a file is the title of another session.
        if key != "summary" or self._tree.has(string(value.get("leafUuid"))):
            self._note_title(string(value.get(key)), rank, place, found)

    def _pull_request(self, value: Line, place: Place, found: list[Record]) -> None:
        url = string(value.get("prUrl"))
        if not url or url in self._pull_requests:
            return
        self._pull_requests.add(url)
        data = {
            "url": url,
            "number": value.get("prNumber"),
            "repository": value.get("prRepository"),
        }
        data = {key: item for key, item in data.items() if isinstance(item, str | int)}
        self._event("pull-request", data, value, place, found)

    def _event(
        self, name: str, data: dict[str, Any], value: Line, place: Place, found: list[Record]
    ) -> None:
        line_id = string(value.get("uuid")) or place.new_id
        time = _time(value, place)
        found.append(SessionEvent(f"{line_id}/{name}", place.line.number, time, name, data))


_KINDS: Mapping[str, Callable[[ClaudeReading, Line, Place, list[Record]], None]] = {
    "assistant": ClaudeReading._assistant,
    "user": ClaudeReading._user,
    "queue-operation": ClaudeReading._queue_operation,
    "attachment": ClaudeReading._attachment,
    "system": ClaudeReading._system,
    "pr-link": ClaudeReading._pull_request,
    **dict.fromkeys(_TITLES, ClaudeReading._title),
}


def _message(
    own_id: str, turn: Turn, value: Line, place: Place, meta: Mapping[str, Any]
) -> Message:
    return Message(
        own_id,
        "user",
        tuple(turn.parts),
        place.line.number,
        _time(value, place),
        "anthropic",
        meta=meta,
        author=turn.author,
    )


def _is_spoken(value: Line) -> bool:
    message = value.get("message")
    return isinstance(message, dict) and "content" in message


def _usage(given: Any) -> dict[str, int]:
    if not isinstance(given, dict):
        return {}
    return {name: given[key] for name, key in _USAGE if given.get(key).__class__ is int}


def _error(given: Any) -> dict[str, Any]:
    """What is known of a failed request."""
    if not isinstance(given, dict):
        return {"message": string(given)[:_ERROR_CHARACTERS_MAX]}
    texts = [string(item) for item in items(given.get("message")) if isinstance(item, str)]
    data: dict[str, Any] = {"message": " ".join(texts)[:_ERROR_CHARACTERS_MAX]}
    if isinstance(given.get("status"), int):
        data["status"] = given["status"]
    return data


def _time(value: Line, place: Place) -> str:
    return clock.parse_time(value.get("timestamp")) or place.time
