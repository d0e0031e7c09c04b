"""The rows of the index that a session, a space's skills or a commit give. Pure.

A row is a dict by column, JSON-ready, with hidden columns: `_unit`, the number of the unit it
belongs to; of messages and tasks `_row`, its number in the full-text index; of messages `_start`,
where its line begins, None where that line alone does not say what the message is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, TypeAlias

import orjson

from acontext_fs import session_facts, skills, tasks
from acontext_fs.commits import Commit
from acontext_fs.errors import SkillInvalid
from acontext_fs.file_types import mime_of, text_of
from acontext_fs.formats.human import human_text
from acontext_fs.layout import SKILL_FILE, SPACES_FOLDER
from acontext_fs.records import Message, Part, Task
from acontext_fs.transcripts import Transcript

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = dict[str, list[Row]]
"""Rows by table."""

ROW_BITS = 25
"""How many bits of a row number count the rows of one unit; the rest is the unit's number."""
TASKS_FROM = 1 << (ROW_BITS - 1)
"""Where the tasks of a unit begin, behind its messages."""


def row_number(unit: int, ordinal: int) -> int:
    """The number of a message in the full-text index: it tells the unit and the place in it."""
    return unit << ROW_BITS | ordinal


def of_session(transcript: Transcript, unit: int) -> Rows:
    """The rows of a session: itself, its messages, events, tasks and what hangs on them."""
    place = transcript.place
    own = {"_unit": unit, "space": place.space, "session_id": place.session_id}
    requests = tasks.requests(transcript.tasks)
    facts = transcript.facts
    configs, user = facts.get("configs"), facts.get("user")
    session = {
        **own,
        "path": place.session_path,
        "user_id": user if isinstance(user, str) and user else None,
        **session_facts.of_session(facts, session_facts.dialect_of(transcript)),
        "configs": configs if isinstance(configs, dict) else None,
        "facts": dict(facts),
        "disable_task_tracking": facts.get("disable_task_tracking") is True,
        "created_at": transcript.created_at,
        "updated_at": transcript.updated_at,
        "message_count": len(transcript.messages),
        "event_count": len(transcript.events),
        "task_count": len(requests),
        "line_count": len(transcript.parsed.ends),
        "unreadable_count": transcript.unreadable_count,
        "lines_read": transcript.progress.cursor.line,
        "tokens": sum(transcript.token_counts()),
        "size_bytes": transcript.parsed.size,
    }
    return {
        "sessions": [session],
        "messages": list(messages(transcript, own)),
        "events": [
            {
                **own,
                "ordinal": ordinal,
                "id": event.id,
                "line": event.line,
                "created_at": event.created_at,
                "event": event.event,
                "data": _clipped(dict(event.data)),
            }
            for ordinal, event in enumerate(transcript.events, start=1)
        ],
        **_task_rows(transcript.tasks, own),
    }


TEXT_CHARS_MAX = 1_000_000
"""How much of one text the index holds; the file has it all."""


def _clipped(value: Any) -> Any:
    """A value without what is beyond TEXT_CHARS_MAX in any of its texts, and beyond that in all."""
    if isinstance(value, str):
        return value[:TEXT_CHARS_MAX]
    if isinstance(value, list | dict):
        size = len(encode([{"value": value}]))
        return value if size <= TEXT_CHARS_MAX else {"too_large_bytes": size}
    return value


def messages(transcript: Transcript, own: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of a session's messages."""
    task_of = tasks.task_of_line(transcript.tasks)
    counts = transcript.token_counts()
    ends = transcript.parsed.ends
    unit = own["_unit"]
    is_told_by_line = not session_facts.dialect_of(transcript)
    names: dict[str, str] = {}
    for ordinal, message in enumerate(transcript.messages, start=1):
        line = message.line
        start = ends[line - 2] if line > 1 else 0
        yield {
            **own,
            "_row": row_number(unit, ordinal),
            "_start": start if is_told_by_line else None,
            "ordinal": ordinal,
            "id": message.id,
            "line": line,
            "created_at": message.created_at,
            "tokens": counts[ordinal - 1],
            "task_id": task_of.get(line),
            **_bounded(message, names, ends[line - 1] - start if is_told_by_line else None),
        }


def _bounded(message: Message, names: dict[str, str], size: int | None) -> Row:
    """The content of a message, cut where it is too much; `size` of its line, if it has but one."""
    found = content(message, names)
    if size is None:
        size = sum(len(p.text) + len(str(p.meta.get("arguments", ""))) for p in message.parts)
    if size <= TEXT_CHARS_MAX:
        return found
    calls = found["tool_calls"]
    found = {column: _clipped(value) for column, value in (found | {"tool_calls": None}).items()}
    for call in calls or ():
        call["arguments"] = str(call["arguments"])[: TEXT_CHARS_MAX // len(calls)]
    return found | {"tool_calls": calls}


def content(message: Message, names: dict[str, str]) -> Row:
    """What a message says, by column; `names` collects the tools by the ids of their calls."""
    texts, thoughts, calls = [], [], []
    tool_name = None
    is_error = False
    for part in message.parts:
        kind = part.type
        if kind == "text":
            texts.append(part.text)
        elif kind == "tool-result":
            texts.append(part.text)
            is_error = is_error or part.meta.get("is_error") is True
            tool_name = tool_name or _result_name(part, names)
        elif kind == "tool-call":
            calls.append(_call(part, names))
            tool_name = tool_name or calls[-1]["name"]
        elif kind == "thinking":
            thoughts.append(part.text)
    typed = human_text(message)
    return {
        "role": message.role,
        "original_role": message.original_role or None,
        "author": message.author or None,
        "is_human": bool(typed),
        "text": "\n".join(texts),
        "human_text": typed or None,
        "thinking": "\n".join(thoughts) or None,
        "tool_name": tool_name or None,
        "tool_calls": calls or None,
        "is_error": is_error,
        **session_facts.of_message(message.meta),
        "format": message.format,
        "name": message.name or None,
        "meta": dict(message.meta) or None,
    }


def _call(part: Part, names: dict[str, str]) -> dict[str, Any]:
    meta = part.meta
    name, call_id = str(meta.get("name") or ""), meta.get("id")
    if isinstance(call_id, str):
        names[call_id] = name
    return {"id": call_id, "name": name, "arguments": meta.get("arguments")}


def _result_name(part: Part, names: Mapping[str, str]) -> str:
    call_id = part.meta.get("tool_call_id")
    known = names.get(call_id, "") if isinstance(call_id, str) else ""
    return known or str(part.meta.get("name") or "")


def _task_rows(found: Sequence[Task], own: Mapping[str, Any]) -> Rows:
    rows: Rows = {"tasks": [], "progresses": [], "preferences": []}
    for task in found:
        learning = task.learning
        rows["tasks"].append(
            {
                **own,
                "_row": row_number(own["_unit"], TASKS_FROM + task.order),
                "id": task.id,
                "task_order": task.order,
                "status": task.status,
                "is_planning": task.is_planning,
                "description": task.description,
                "created_at": task.created_at,
                "updated_at": task.updated_at,
                "progress_count": len(task.progresses),
                "preference_count": len(task.preferences),
                "lines": tasks.format_lines(task.lines),
                "learning_status": learning.status if learning else None,
                "learning_reason": (learning.reason or None) if learning else None,
            }
        )
        of_task = {**own, "task_id": task.id, "task_order": task.order}
        for table, texts in (("progresses", task.progresses), ("preferences", task.preferences)):
            rows[table] += [
                {**of_task, "position": position, "text": text}
                for position, text in enumerate(texts, start=1)
            ]
    return rows


def searchable(row: Row) -> str:
    """What the full-text index holds of a message: what it says, thinks and calls."""
    calls = row["tool_calls"]
    if calls is None and row["thinking"] is None:
        return str(row["text"])
    called = [f"{call['name']} {_said(call['arguments'])}" for call in calls or ()]
    return "\n".join(filter(None, (row["text"], row["thinking"], *called)))


def _said(arguments: Any) -> str:
    """What a call's arguments say: in JSON a line break would stand as an `n` before a word."""
    try:
        waiting: list[Any] = [orjson.loads(arguments)]
    except (orjson.JSONDecodeError, TypeError):
        return str(arguments)
    said: list[str] = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [part for pair in reversed(value.items()) for part in reversed(pair)]
        elif isinstance(value, list):
            waiting += reversed(value)
        elif value is not None:
            said.append(str(value))
    return "\n".join(said)


def texts(found: Rows) -> Iterator[tuple[int, str]]:
    """What the full-text index holds of a unit: its messages and tasks, by row number."""
    for row in found.get("messages", ()):
        yield row["_row"], searchable(row)
    yield from task_texts(found)


def task_texts(found: Rows) -> Iterator[tuple[int, str]]:
    """What the full-text index holds of tasks: descriptions, progress and preferences."""
    more: dict[tuple[int, str], list[str]] = {}
    for table in ("progresses", "preferences"):
        for row in found.get(table, ()):
            more.setdefault((row["_unit"], row["task_id"]), []).append(row["text"])
    for row in found.get("tasks", ()):
        if not row["is_planning"]:
            yield (
                row["_row"],
                "\n".join([row["description"], *more.get((row["_unit"], row["id"]), ())]),
            )


def of_skills(space: str, files: Mapping[str, bytes], dirty: Mapping[str, str], unit: int) -> Rows:
    """The rows of a space's skills; `dirty` has the file times of what git does not have."""
    own = {"_unit": unit, "space": space}
    by_folder: dict[str, list[str]] = {}
    for path in sorted(files):
        by_folder.setdefault(path.partition("/")[0], []).append(path)
    rows: Rows = {"skills": [], "skill_files": []}
    for folder, paths in by_folder.items():
        if f"{folder}/{SKILL_FILE}" not in files:
            continue
        times = [dirty[path] for path in paths if path in dirty]
        rows["skills"].append(
            {
                **own,
                "skill": folder,
                "id": f"{space}.{folder}",
                **_front(files[f"{folder}/{SKILL_FILE}"], folder),
                "file_count": len(paths),
                "_first_dirty_at": min(times, default=None),
                "_dirty_at": max(times, default=None),
            }
        )
        rows["skill_files"] += [
            {
                **own,
                "skill": folder,
                "path": path.partition("/")[2],
                "mime": mime_of(PurePosixPath(path).name, files[path]),
                "size_bytes": len(files[path]),
                "text": text_of(files[path]),
            }
            for path in paths
        ]
    return rows


def _front(data: bytes, folder: str) -> Row:
    try:
        skill = skills.parse(data, folder)
    except SkillInvalid as error:
        return {"name": folder, "description": "", "metadata": None, "problem": str(error)}
    problem = None
    try:
        skills.validate(data, folder)
    except SkillInvalid as error:
        problem = str(error)
    return {
        "name": skill.name,
        "description": skill.description,
        "metadata": dict(skill.metadata) or None,
        "problem": problem,
    }


def of_commit(
    commit: Commit, skill_paths: Iterable[str], reverts: Sequence[str], unit: int
) -> Rows:
    """The rows of a commit; `skill_paths` are the skill files it changed."""
    sessions = commit.trailers.get("Acontext-Session", ())
    space, _, session_id = sessions[0].partition("/") if sessions else ("", "", "")
    kind = commit.trailer("Acontext-Kind")
    own = {
        "_unit": unit,
        "created_at": commit.when,
        "space": space or None,
        "session_id": session_id or None,
        "task_id": commit.trailer("Acontext-Task") or None,
        "lines": commit.trailer("Acontext-Lines") or None,
        "model": commit.trailer("Acontext-Model") or None,
    }
    paths = list(skill_paths)
    rows: Rows = {
        "commits": [
            {
                **own,
                "id": commit.id,
                "author": commit.author,
                "subject": commit.subject,
                "body": commit.body,
                "parents": list(commit.parents),
                "kind": kind or None,
                "sessions": list(sessions),
                "trailers": {name: list(values) for name, values in commit.trailers.items()},
                "_reverts": list(reverts),
            }
        ],
        "_skill_changes": [
            {"_unit": unit, "id": skill, "commit_id": commit.id, "changed_at": commit.when}
            for skill in sorted(set(map(_skill_id, paths)) - {""})
        ],
    }
    if kind == "skills":
        folders = sorted({path.split("/")[3] for path in paths if _skill_id(path)})
        own["summary"] = commit.subject
        rows["learnings"] = [{**own, "commit_id": commit.id, "skills": folders, "paths": paths}]
    return rows


def _skill_id(path: str) -> str:
    """The id of the skill a file belongs to; "" of a file beside the skills' folders."""
    parts = path.split("/")
    is_inside = len(parts) > 4 and parts[0] == SPACES_FOLDER
    return f"{parts[1]}.{parts[3]}" if is_inside else ""


def encode(rows: Sequence[Row]) -> str:
    """Rows as the JSON text that the engine reads."""
    return _encoded(rows).decode()


def encode_line(row: Row) -> bytes:
    """A row as a line of JSON."""
    return _encoded(row)


def _encoded(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        # Deeper or larger than orjson writes: the standard encoder does, slowly.
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
