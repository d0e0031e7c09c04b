"""The reading of one Codex rollout, line by line.

Codex writes everything twice: as what went to the model (`response_item`) and as what it showed
(`event_msg`). Items are read; of the events only what has no item: a prompt that comes by both ways
counts where it comes first. What a model says between two results is one assistant message (its
thoughts, its words, its calls), except that each `message` item with words is one of its own: so a
message with words stands for exactly one item, and calls without words are a message without any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from acontext_fs.clock import parse_time
from acontext_fs.formats import codex_prompts, codex_tools
from acontext_fs.formats.body import items, string
from acontext_fs.formats.codex_facts import facts_of, is_subagent
from acontext_fs.formats.codex_lines import unwrap
from acontext_fs.formats.codex_memory import EVENT, ITEM, Memory
from acontext_fs.formats.codex_prompts import Prompt, digest_of, envelope_in, pieces_of
from acontext_fs.formats.dialect import Place
from acontext_fs.formats.titles import title_of
from acontext_fs.records import (
    Author,
    Continued,
    Message,
    MetaPatch,
    Part,
    Record,
    SessionEvent,
    Withdrawn,
)

_TURN_ENDS = frozenset(
    {"task_started", "turn_started", "task_complete", "turn_complete", "turn_aborted"}
)


class CodexReading(Memory):
    """See the module."""

    def read(self, value: Mapping[str, Any], place: Place) -> Iterable[Record]:
        """The records of the next line. Never raises."""
        kind, payload = unwrap(value)
        own = parse_time(value.get("timestamp"))
        if own is not None:
            place = place._replace(time=own)
        if kind == "session_meta":
            return self._read_header(payload, value, place)
        if self._replay.covers(kind, payload, value):
            return ()
        if kind == "response_item":
            self._has_items = True
            return self._read_item(payload, place)
        if kind == "event_msg":
            return self._read_event(payload, place)
        if kind == "turn_context":
            self._close()
            return self._tell(place, project=payload.get("cwd"), model=payload.get("model"))
        if kind == "compacted":
            return self._compaction(kind, payload, place)
        if kind == "inter_agent_communication":
            return self._read_communication(payload, kind, place)
        return ()

    # The session.

    def _read_header(
        self, payload: Mapping[str, Any], value: Mapping[str, Any], place: Place
    ) -> Iterable[Record]:
        if not self._replay.begin(payload, value.get("timestamp")):
            return ()
        self._close()
        self._by_agent = self._by_agent or is_subagent(payload)
        return self._tell(place, **facts_of(payload))

    # What the model was given and gave.

    def _read_item(self, payload: Mapping[str, Any], place: Place) -> Iterable[Record]:
        kind = payload.get("type")
        if kind == "message" or (kind is None and "role" in payload):
            return self._read_message(payload, place)
        if kind == "reasoning":
            texts = [*items(payload.get("summary")), *items(payload.get("content"))]
            return self._think([codex_prompts.text_of(piece) for piece in texts], payload, place)
        if isinstance(kind, str) and kind in codex_tools.CALLS:
            call = codex_tools.call_of(payload)
            if call.meta["name"] == codex_tools.QUESTION:
                self._questions.add(string(call.meta.get("id")))
            return self._say((call, *codex_tools.picture_of(payload)), {}, payload, place)
        if isinstance(kind, str) and kind in codex_tools.RESULTS:
            return self._read_result(payload, place)
        if kind == "agent_message":
            return self._read_communication(payload, kind, place)
        return ()

    def _read_message(self, payload: Mapping[str, Any], place: Place) -> Iterable[Record]:
        role = payload.get("role")
        if role == "user":
            return self._read_prompt(codex_prompts.of_item(payload), ITEM, payload, place)
        if role == "assistant":
            return self._read_reply(payload, place)
        if role in ("system", "developer"):
            self._close()
            parts = pieces_of(payload)
            return (self._message(place, payload, parts, "harness", original_role=role),)
        return ()

    def _read_reply(self, payload: Mapping[str, Any], place: Place) -> Iterable[Record]:
        parts = pieces_of(payload)
        if len(parts) == 1 and (sent := envelope_in(parts[0].text)) is not None:
            return self._read_communication(sent, "envelope", place)
        meta = {"phase": payload["phase"]} if isinstance(payload.get("phase"), str) else {}
        return self._say(parts, meta, payload, place, begins=True)

    def _say(
        self,
        parts: tuple[Part, ...],
        meta: Mapping[str, Any],
        payload: Mapping[str, Any],
        place: Place,
        *,
        begins: bool = False,
    ) -> tuple[Record, ...]:
        """More of the assistant message that is open, or a new one."""
        if not parts:
            return ()
        is_more = bool(self._open) and not (begins and self._open_said)
        self._open_said = (self._open_said and is_more) or parts[0].type != "thinking"
        if is_more:
            return (Continued(place.line.number, self._open, parts, place.time, dict(meta)),)
        self._open = self._new_id(payload, place)
        self._usage.expect(self._open)
        model = {"model": self._facts["model"]} if "model" in self._facts else {}
        message = Message(
            id=self._open,
            role="assistant",
            parts=parts,
            line=place.line.number,
            created_at=place.time,
            format="openai",
            meta={**model, **meta},
        )
        return (message,)

    def _think(
        self, texts: list[str | None], payload: Mapping[str, Any], place: Place
    ) -> tuple[Record, ...]:
        """Thoughts in words, each once; most are empty or encrypted and say nothing."""
        fresh: list[Part] = []
        for text in texts:
            if text and text.strip() and (mark := digest_of(text)) not in self._thoughts:
                self._thoughts.add(mark)
                fresh.append(Part("thinking", text, {}))
        return self._say(tuple(fresh), {}, payload, place)

    def _read_result(self, payload: Mapping[str, Any], place: Place) -> Iterable[Record]:
        self._close()
        parts = codex_tools.result_of(payload)
        call_id = string(payload.get("call_id"))
        if call_id in self._questions:
            self._questions.discard(call_id)
            if answer := codex_tools.answers_in(parts[0].text):
                parts = (*parts, Part("text", answer, {}))
                author: Author = "agent" if self._by_agent else "person"
                return (self._message(place, payload, parts, author, {"channel": "answer"}),)
        return (self._message(place, payload, parts, "harness"),)

    # What was said to the model.

    def _read_prompt(
        self, prompt: Prompt, channel: str, payload: Mapping[str, Any], place: Place
    ) -> Iterable[Record]:
        if not prompt.is_prompt:
            if channel == EVENT or not prompt.parts:
                return ()
            self._close()
            meta: dict[str, Any] = {"interrupted": True} if codex_prompts.is_abort(prompt) else {}
            if codex_prompts.is_shell(prompt):
                meta["channel"] = "shell"
            message = self._message(place, payload, prompt.parts, "harness", meta)
            # The first releases name the folder nowhere else.
            folder = "" if "project" in self._facts else codex_prompts.folder_in(prompt)
            return (message, *self._tell(place, project=folder))
        if (echo := self._echo(prompt, channel, place.line.number)) is not None:
            # The event may only name the pictures that the item holds.
            if echo.has_media or not prompt.media:
                return ()
            return (Continued(place.line.number, echo.message_id, prompt.media, place.time),)
        author: Author = "agent" if self._by_agent or self._in_review else "person"
        message = self._begin_turn(prompt, channel, payload, place, author)
        return (message, *self._title(prompt.typed, place))

    def _begin_turn(
        self,
        prompt: Prompt,
        channel: str,
        payload: Mapping[str, Any],
        place: Place,
        author: Author,
        meta: Mapping[str, Any] | None = None,
    ) -> Message:
        self._close()
        self._turns.append(len(self._ids))
        message = self._message(place, payload, prompt.parts, author, meta)
        self._remember(prompt, channel, message.id, place.line.number)
        return message

    def _read_communication(
        self, payload: Mapping[str, Any], channel: str, place: Place
    ) -> tuple[Record, ...]:
        """What another agent writes to this one."""
        parts = pieces_of(payload)
        prompt = Prompt(parts, "".join(part.text for part in parts), bool(parts))
        if not parts or self._echo(prompt, channel, place.line.number) is not None:
            return ()
        meta = {"from": payload["author"]} if isinstance(payload.get("author"), str) else {}
        return (self._begin_turn(prompt, channel, payload, place, "agent", meta),)

    def _message(
        self,
        place: Place,
        payload: Mapping[str, Any],
        parts: tuple[Part, ...],
        author: Author,
        meta: Mapping[str, Any] | None = None,
        original_role: Any = "",
    ) -> Message:
        return Message(
            id=self._new_id(payload, place),
            role="user",
            parts=parts,
            line=place.line.number,
            created_at=place.time,
            format="openai",
            original_role=original_role,
            meta=meta or {},
            author=author,
        )

    # What happened.

    def _read_event(self, payload: Mapping[str, Any], place: Place) -> Iterable[Record]:
        kind = string(payload.get("type"))
        if kind == "token_count":
            return self._count(payload, place)
        if kind == "user_message":
            return self._read_prompt(codex_prompts.of_event(payload), EVENT, payload, place)
        if kind == "agent_message" and not self._has_items:
            text = string(payload.get("message"))
            parts = (Part("text", text, {}),) if text else ()
            return self._say(parts, {}, payload, place, begins=True)
        if kind == "agent_reasoning_raw_content" or (
            kind == "agent_reasoning" and not self._has_items
        ):
            return self._think([string(payload.get("text"))], payload, place)
        if kind == "thread_name_updated":
            return self._tell(place, title=title_of(string(payload.get("thread_name"))))
        if kind == "thread_rolled_back":
            return self._roll_back(payload.get("num_turns"), place)
        if kind == "context_compacted":
            return self._compaction(kind, payload, place)
        if kind in _TURN_ENDS:
            self._close()
        if kind == "turn_aborted" and payload.get("reason") != "review_ended":
            return (_event("interruption", {"reason": string(payload.get("reason"))}, place),)
        if kind in ("error", "stream_error"):
            return (_event("api-error", {"message": string(payload.get("message"))}, place),)
        if kind in ("entered_review_mode", "exited_review_mode"):
            return self._review(kind == "entered_review_mode", payload, place)
        return ()

    def _count(self, payload: Mapping[str, Any], place: Place) -> tuple[Record, ...]:
        """The end of an answer, and what it cost."""
        usage = self._usage.take(payload)
        if usage is None:
            return ()
        self._close()
        message_id, counts = usage
        return (MetaPatch(place.line.number, message_id, {"usage": counts}),)

    def _compaction(
        self, kind: str, payload: Mapping[str, Any], place: Place
    ) -> tuple[Record, ...]:
        """One event for the two lines that tell of it."""
        if self._compacted_by not in ("", kind):
            self._compacted_by = ""
            return ()
        self._compacted_by = kind
        self._close()
        summary = string(payload.get("message"))
        return (_event("compaction", {"summary": summary} if summary else {}, place),)

    def _roll_back(self, count: Any, place: Place) -> tuple[Record, ...]:
        """The last prompts are taken back, and everything behind them."""
        if not isinstance(count, int) or isinstance(count, bool) or count < 1 or not self._turns:
            return ()
        self._close()
        gone = self._forget(count)
        withdrawn = Withdrawn(place.line.number, gone)
        return (withdrawn, _event("branch", {"turns": count}, place))

    def _review(
        self, is_begin: bool, payload: Mapping[str, Any], place: Place
    ) -> tuple[Record, ...]:
        """A review: its prompts are Codex's own, but what the person asked to be reviewed."""
        self._close()
        self._in_review = is_begin
        target = payload.get("target")
        if not is_begin or not isinstance(target, dict) or target.get("type") != "custom":
            return ()
        asked = string(target.get("instructions")).strip()
        if not asked or self._by_agent:
            return ()
        prompt = Prompt((Part("text", f"/review {asked}", {}),), asked, True)
        meta = {"channel": "command"}
        message = self._begin_turn(prompt, EVENT, payload, place, "person", meta)
        return (message, *self._title(prompt.typed, place))


def _event(name: str, data: Mapping[str, Any], place: Place) -> SessionEvent:
    return SessionEvent(place.new_id, place.line.number, place.time, name, data)
