"""What a tool call is: a step of a known kind, with its concrete values.

A tool is known by its name alone, whatever server or agent it belongs to ("mcp__files__read_file",
"ReadFile" and "read_file" are one). Names that start with a known verb are put in the past tense;
any other tool was "Called".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from acontext_fs.daemon.extract import commands, todos
from acontext_fs.daemon.extract.commands import Purpose
from acontext_fs.daemon.extract.summaries import MAX_ITEMS, Kind, Step
from acontext_fs.daemon.extract.words import bound

_MAX_ARGUMENTS = 110
_MAX_VALUE = 48
_MAX_DEPTH = 3
_PLAIN = 50
"""Characters of a command that explains itself."""


@dataclass(frozen=True, slots=True)
class _Known:
    kind: Kind
    head: str
    keys: tuple[str, ...]
    purpose: Purpose = ""


_PATHS = ("file_path", "path", "filename", "notebook_path", "target_file", "absolute_path", "uri")
_QUERIES = ("pattern", "query", "q", "search_term", "regex", "name")

_READ = _Known("list", "Read", _PATHS)
_WROTE = _Known("list", "Wrote", _PATHS, "edit")
_EDITED = _Known("list", "Edited", _PATHS, "edit")
_RAN = _Known("each", "Ran", (), "run")
_SEARCHED = _Known("list", "Searched for", _QUERIES)
_FETCHED = _Known("list", "Fetched", ("url", "uri", "href"))
_WEB = _Known("list", "Searched the web for", _QUERIES)
_LISTED = _Known("list", "Listed", (*_PATHS, "dir", "directory"))
_DELEGATED = _Known("each", "Delegated", ("description", "prompt", "task", "message"))
_POLLED = _Known(
    "silent", "", ("session_id", "bash_id", "shell_id", "task_id", "sessionId"), "poll"
)
_PLANNED = _Known("each", "Presented a plan", ())
_CREATED = _Known("silent", "", ("subject", "title"), "todo")
_SILENT = _Known("silent", "", ())

_TOOLS: dict[str, _Known] = {
    name: known
    for known, names in (
        (_READ, "read|read file|view|view file|cat|open file|notebook read|read many files"),
        (_WROTE, "write|write file|create file|write to file|save file|new file"),
        (_EDITED, "edit|edit file|multi edit|str replace|apply patch|notebook edit|replace"),
        (_EDITED, "str replace editor|str replace based edit tool|replace in file|apply diff"),
        (_EDITED, "search replace|edit notebook|multi replace|insert edit into file|smart edit"),
        (_RAN, "bash|shell|exec|exec command|run command|local shell|run shell command|terminal"),
        (_RAN, "execute command|execute bash|python|ipython|run|run terminal cmd|container exec"),
        (_RAN, "shell command|run in terminal|power shell|powershell|execute|unified exec"),
        (_SEARCHED, "grep|glob|search|find|codebase search|rg|search files|find files|file search"),
        (_SEARCHED, "search file content|grep search|grep files|ripgrep"),
        (_FETCHED, "web fetch|fetch|http get|http request|browse|open url|read url|fetch url"),
        (_WEB, "web search|google search|google web search|search web|brave search"),
        (_WEB, "web search call|search query"),
        (_LISTED, "ls|list|list dir|list directory|list files|read folder"),
        (_DELEGATED, "task|agent|spawn agent|delegate|delegate to agent|sessions spawn|subagent"),
        (_DELEGATED, "new task|run subagent|dispatch agent|codebase investigator"),
        (_POLLED, "write stdin|bash output|task output|agent output tool|process|shell output"),
        (_PLANNED, "exit plan mode|exit spec mode|present plan"),
        (_CREATED, "task create"),
        (_SILENT, "think|thinking|sequential thinking|sequentialthinking|report thinking|finish"),
        (_SILENT, "todo write|todo read|update plan|task update|task list|task get|write todos"),
        (_SILENT, "enter plan mode|ask user question|ask user|request user input|save memory"),
        (_SILENT, "skill|activate skill|tool search|wait|wait agent|close agent|resume agent"),
        (_SILENT, "send input|kill shell|kill bash|task stop|structured output|update topic|todo"),
    )
    for name in names.split("|")
}
_VERBS = {
    verb: past
    for verb, _, past in (
        pair.partition(":")
        for pair in (
            "add:Added adjust:Adjusted apply:Applied approve:Approved archive:Archived "
            "assign:Assigned attach:Attached book:Booked build:Built calculate:Calculated "
            "call:Called cancel:Cancelled change:Changed check:Checked clear:Cleared "
            "click:Clicked clone:Cloned close:Closed commit:Committed compare:Compared "
            "compile:Compiled compute:Computed configure:Configured convert:Converted copy:Copied "
            "count:Counted create:Created delete:Deleted deploy:Deployed describe:Described "
            "disable:Disabled download:Downloaded edit:Edited enable:Enabled evaluate:Evaluated "
            "exchange:Exchanged execute:Executed export:Exported fetch:Fetched fill:Filled "
            "filter:Filtered find:Found fork:Forked format:Formatted generate:Generated get:Got "
            "import:Imported index:Indexed insert:Inserted inspect:Inspected install:Installed "
            "kill:Killed list:Listed load:Loaded lookup:Looked_up make:Made merge:Merged "
            "modify:Modified move:Moved navigate:Navigated open:Opened order:Ordered patch:Patched "
            "pause:Paused post:Posted print:Printed publish:Published pull:Pulled push:Pushed "
            "put:Put query:Queried read:Read refund:Refunded remove:Removed rename:Renamed "
            "replace:Replaced reply:Replied request:Requested reset:Reset resolve:Resolved "
            "restart:Restarted restore:Restored retrieve:Retrieved return:Returned "
            "rollback:Rolled_back run:Ran save:Saved scale:Scaled scan:Scanned schedule:Scheduled "
            "search:Searched select:Selected send:Sent set:Set show:Showed start:Started "
            "stop:Stopped submit:Submitted summarize:Summarized sync:Synced tail:Tailed tag:Tagged "
            "take:Took test:Tested transfer:Transferred translate:Translated trigger:Triggered "
            "type:Typed uninstall:Uninstalled update:Updated upload:Uploaded validate:Validated "
            "verify:Verified view:Viewed watch:Watched write:Wrote"
        ).split()
    )
}
_LOOKS = frozenset(
    "calculate check compare compute count describe evaluate fetch find get inspect list load "
    "lookup query read retrieve search show tail view".split()
)
"""Verbs that change nothing: repeats of them are merged."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PERSON = frozenset("human humans person operator support representative supervisor".split())
_PATCHED_FILE = re.compile(r"^\*\*\* (?:Add|Update|Delete) File: (.+)$", re.M)


class Call(NamedTuple):
    """A tool call, understood: a step, and what it does to the agent's list of steps."""

    step: Step
    written: todos.Written | None = None


def read(name: str, arguments: str) -> Call:
    """What a call of tool `name` with these `arguments` (a JSON text) is."""
    words = [word.lower() for word in _WORD.findall(name.rpartition("__")[2])][:8]
    values = _values(arguments)
    if words[:1] in (["transfer"], ["escalate"], ["handoff"], ["hand"]) and _PERSON & set(words):
        reason = _first(values, ("summary", "reason", "message"))
        return Call(Step("handover", "Handed over to a person", f": {reason}" if reason else ""))
    phrase = " ".join(words)
    known = _TOOLS.get(phrase) or _TOOLS.get("".join(words))
    if known is None:
        return Call(_generic(name, words, values))
    if known is _RAN:
        return Call(_ran(commands.command_text(values), values.get("description")))
    if known is _SILENT:
        listed = todos.written(values) if todos.is_list(phrase) else None
        return Call(Step("silent", ""), listed)
    return Call(_known(known, values))


def _known(known: _Known, values: Mapping[str, Any]) -> Step:
    if known is _EDITED:
        known = _editor(values)
    item = _first(values, known.keys)
    if known is _EDITED and not item:
        item = _patched(arguments_text(values))
    if known is _POLLED and not item:
        number = values.get("session_id")
        item = str(number) if isinstance(number, int) else ""
    if known is _WEB and not item:
        return Step("list", "Searched the web", "")
    shown = item if known.kind == "silent" else _dressed(known, item)
    return Step(known.kind, known.head, shown, known.purpose)


def _patched(patch: str) -> str:
    """The files that a patch in the form of apply_patch changes."""
    files = list(dict.fromkeys(_PATCHED_FILE.findall(patch)))
    more = f" and {len(files) - MAX_ITEMS} more" if len(files) > MAX_ITEMS else ""
    return ", ".join(_short_path(one.strip()) for one in files[:MAX_ITEMS]) + more


def _ran(command: str, told: Any) -> Step:
    """A command line, as what it was for; `told` is what the agent says of it."""
    found = commands.read(command)
    shown = f"`{bound(found.text, 90)}`" if found.text else ""
    if found.purpose == "look":
        if found.head == "Ran":
            return Step("list", "Checked", shown, "look")
        item = found.item if found.head == "Searched for" else _short_path(found.item)
        return Step("list", found.head, item, "look")
    if found.purpose == "edit":
        item = _short_path(found.item) if found.item else _patched(command)
        return Step("list", found.head, item, "edit")
    if found.purpose == "run" and len(found.text) > _PLAIN and isinstance(told, str) and told:
        shown = f"`{bound(found.text, _PLAIN)}` ({bound(told, _MAX_VALUE)})"
    return Step("each", "Ran", shown, found.purpose)


def _editor(values: Mapping[str, Any]) -> _Known:
    """Which of its commands a file editor tool was given."""
    return {"view": _READ, "create": _WROTE}.get(str(values.get("command")), _EDITED)


def _dressed(known: _Known, item: str) -> str:
    if not item:
        return ""
    if known in (_SEARCHED, _WEB):
        return f'"{bound(item, 60)}"'
    if known is _DELEGATED:
        return f": {bound(item, 90)}"
    return _short_path(item)


def _generic(name: str, words: Sequence[str], values: Mapping[str, Any]) -> Step:
    shown = _arguments(values)
    past = _VERBS.get(words[0]) if words else None
    if past is None:
        return Step("each", f"Called {bound(name, 60) or 'a tool'}", shown)
    head = bound(" ".join((past.replace("_", " "), *words[1:])), 80)
    return Step("list" if words[0] in _LOOKS else "each", head, shown)


def _values(arguments: str) -> Mapping[str, Any]:
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return {"input": arguments} if arguments.strip() else {}
    return value if isinstance(value, dict) else {"input": value}


def arguments_text(values: Mapping[str, Any]) -> str:
    """All string arguments, one after the other; where a patch stands is not agreed upon."""
    return "\n".join(value for value in values.values() if isinstance(value, str))


def _first(values: Mapping[str, Any], keys: Sequence[str]) -> str:
    for key in keys:
        value = values.get(key)
        if isinstance(value, list):
            value = " ".join(one for one in value if isinstance(one, str))
        if isinstance(value, str) and value.strip():
            return bound(value, 120)
    return ""


def _arguments(values: Mapping[str, Any]) -> str:
    """`(key=value, ...)` within its bound; what does not fit is left out."""
    shown: list[str] = []
    room = _MAX_ARGUMENTS
    for key, value in values.items():
        text = f"{bound(key, 30)}={_value(value)}"
        if len(text) + 2 > room:
            shown.append("…")
            break
        shown.append(text)
        room -= len(text) + 2
    return f"({', '.join(shown)})" if shown else ""


def _value(value: Any, depth: int = 0) -> str:
    """A value in a few words: of an object its first value, of a list its first items."""
    if isinstance(value, str):
        return bound(value, _MAX_VALUE)
    if isinstance(value, dict | list) and depth == _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return _value(next(iter(value.values()), ""), depth + 1)
    if isinstance(value, list):
        named = [_value(item, depth + 1) for item in value[:MAX_ITEMS]]
        more = f"+{len(value) - MAX_ITEMS} more" if len(value) > MAX_ITEMS else ""
        return bound("+".join(filter(None, named)) + more, _MAX_VALUE)
    return bound(orjson.dumps(value).decode(), _MAX_VALUE)


def _short_path(path: str) -> str:
    """A path in a line: of an absolute one that lies deep only the end, which tells it apart."""
    names = path.replace("\\", "/").split("/")
    if len(names) > 5 and (not names[0] or names[0].endswith(":")):
        path = f"…/{'/'.join(names[-3:])}"
    if len(path) <= 60:
        return path
    tail = path[-58:]
    return "…" + tail[max(tail.find("/"), 0) :]
