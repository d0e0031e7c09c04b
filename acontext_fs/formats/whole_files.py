"""Files that are one JSON value, turned into the lines of sessions.

Each record keeps its own JSON, encoded again compactly: the same file gives the same lines, and a
file that was written again with more in it gives the same lines and more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from acontext_fs import formats
from acontext_fs.clock import parse_time
from acontext_fs.errors import SessionError
from acontext_fs.formats import whole_logs
from acontext_fs.formats.body import items, string
from acontext_fs.formats.human import human_text
from acontext_fs.formats.titles import title_of
from acontext_fs.records import Line, Message

SESSION_ID_MAX = 128
LISTS = ("messages", "history", "contents", "conversation")
"""Under which key an object holds messages of a provider."""

_ODD = re.compile(r"[^A-Za-z0-9._-]")
_ID_KEYS = ("session_id", "sessionId", "conversation_id", "id", "uuid")
_TIME_KEYS = ("created_at", "createdAt", "create_time", "startTime", "timestamp", "created")
_TITLE_KEYS = ("title", "name", "summary")
_SYSTEM_KEYS = ("system", "systemInstruction", "system_instruction")


class WholeSession(NamedTuple):
    """One session of a file. `session_id` is "" where the file does not say: then it is the file's
    stem. `facts` are for the session's first line.
    """

    session_id: str
    facts: Mapping[str, Any]
    lines: list[bytes]


def value_of(data: bytes) -> Any:
    """The JSON value that a whole file is, None if it is none."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        # NaN, lone surrogates and the like are common in what Python programs write.
        try:
            return json.loads(data.decode("utf-8", errors="replace"))
        except (ValueError, RecursionError):
            return None


def encoded(value: Any) -> bytes:
    """One line for a value, without its newline."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def sessions_of(name: str, value: Any) -> list[WholeSession]:
    """The sessions of a file of the kind `name`.

    Raises:
        SessionError: it does not hold what a file of that kind holds.
    """
    reader = _READERS.get(name)
    found = reader(value) if reader is not None else []
    sessions = [session for session in found if session.lines]
    if not sessions:
        raise SessionError(f"there is no message in this file, although it looks like {name}")
    return sessions


def gemini_object(value: Any) -> list[WholeSession]:
    """The older form of a Gemini CLI session; the newer one is these very lines."""
    if not isinstance(value, dict):
        return []
    header = {key: item for key, item in value.items() if key != "messages"}
    lines = [header, *_objects(value.get("messages"))]
    facts = _facts({"created_at": _time_of(value)})
    return [WholeSession(_session_id(value, ("sessionId",)), facts, [*map(encoded, lines)])]


def claude_web(value: Any) -> list[WholeSession]:
    """An export of Claude Code on the web: the lines of a transcript in a list."""
    lines = _objects(value.get("loglines")) if isinstance(value, dict) else []
    times = (line.get("timestamp") for line in lines)
    created_at = next(filter(None, map(parse_time, times)), "")
    own_id = _session_id(value, _ID_KEYS) or next(
        (_named(line["sessionId"]) for line in lines if isinstance(line.get("sessionId"), str)), ""
    )
    return [WholeSession(own_id, _facts({"created_at": created_at}), [*map(encoded, lines)])]


def plain_messages(value: Any) -> list[WholeSession]:
    """Messages of a provider: in a list, or in an object that says more about them."""
    if isinstance(value, list):
        return [_session("", {}, _objects(value))]
    key = next((key for key in LISTS if isinstance(value.get(key), list)), "")
    lines = _objects(value.get(key))
    system = next((value[key] for key in _SYSTEM_KEYS if value.get(key)), None)
    if isinstance(system, str | list):
        lines = [{"role": "system", "content": system}, *lines]
    elif isinstance(system, dict) and "parts" in system:
        lines = [{"role": "system", "parts": system["parts"]}, *lines]
    facts = {
        "created_at": _time_of(value),
        "title": next(
            (title_of(string(value.get(key))) for key in _TITLE_KEYS if value.get(key)), ""
        ),
        "model": string(value.get("model")),
    }
    return [_session(_session_id(value, _ID_KEYS), facts, lines)]


def swe_agent(value: Any) -> list[WholeSession]:
    """A trajectory of SWE-agent or mini-swe-agent, and how it ended."""
    if isinstance(value, list):
        return [_session("", {}, whole_logs.swe_agent(value))]
    history = value.get("history")
    lines = [*whole_logs.swe_agent(items(history if history else value.get("messages")))]
    info = value.get("info")
    if isinstance(info, dict):
        ended = {key: info.get(key) for key in ("exit_status", "submission")}
        lines += whole_logs.event("result", ended)
    return [_session("", {}, lines)]


def who_and_when(value: Any) -> list[WholeSession]:
    """A log of agents that failed, and what people say went wrong."""
    lines = [*whole_logs.who_and_when(items(value.get("history")))]
    keys = ("mistake_agent", "mistake_step", "mistake_reason", "ground_truth")
    lines += whole_logs.event("mistake", {key: value.get(key) for key in keys})
    return [_session("", {"title": title_of(string(value.get("question")))}, lines)]


def inspect_ai(value: Any) -> list[WholeSession]:
    """A log of inspect-ai: a session for each sample."""
    found = value.get("eval")
    about = found if isinstance(found, dict) else {}
    time = parse_time(about.get("created")) or ""
    run = string(about.get("run_id")) or string(about.get("task"))
    sessions = []
    for number, sample in enumerate(_objects(value.get("samples"))):
        own_id = string(sample.get("uuid"))
        if not own_id:
            own_id = f"{run}.{sample.get('id', number)}.{sample.get('epoch', 1)}"
        facts = {"created_at": time, "model": string(about.get("model"))}
        lines = whole_logs.inspect_sample(sample, time)
        sessions.append(_session(_named(own_id), facts, lines))
    return sessions


_READERS: Mapping[str, Callable[[Any], list[WholeSession]]] = {
    "gemini-object": gemini_object,
    "claude-web": claude_web,
    "messages": plain_messages,
    "swe-agent": swe_agent,
    "who-and-when": who_and_when,
    "inspect-ai": inspect_ai,
}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _session(
    own_id: str, facts: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]
) -> WholeSession:
    """A session; its title, if nobody gave it one, is the first thing that a person says."""
    found = [*map(encoded, lines)]
    named = dict(facts)
    if not named.get("title"):
        named["title"] = next(filter(None, map(_first_words, found)), "")
    return WholeSession(own_id, _facts(named), found)


def _first_words(line: bytes) -> str:
    for record in formats.read_line(Line(1, 0, line), space="", session_id="", time=""):
        if isinstance(record, Message):
            return title_of(human_text(record))
    return ""


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if value}


def _time_of(value: Mapping[str, Any]) -> str:
    times = (parse_time(value.get(key)) for key in _TIME_KEYS)
    return next(filter(None, times), "")


def _session_id(value: Any, keys: tuple[str, ...]) -> str:
    if not isinstance(value, dict):
        return ""
    return next(filter(None, (_named(string(value.get(key))) for key in keys)), "")


def _named(text: str) -> str:
    """A session id made of a text; "" if nothing is left of it."""
    return _ODD.sub("-", text)[:SESSION_ID_MAX].strip("-.")
