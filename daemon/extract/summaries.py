"""Tool calls as lines of progress: in the past tense, with their concrete values, merged.

A tool is known by its name alone, whatever server or agent it belongs to ("mcp__files__read_file",
"ReadFile" and "read_file" are one). Names that start with a known verb are put in the past tense;
any other tool was "Called".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson

from acontext_fs.daemon.extract.words import MAX_LINE, bound, fold

Kind: TypeAlias = Literal["list", "each", "silent", "handover"]
"""list: repeats are merged into one line; each: a line of its own, unless it is the same again;
silent: no progress; handover: the agent gives the task to a person."""

MAX_ITEMS = 3
"""Items named in a merged line; the rest is counted."""

_MAX_ARGUMENTS = 110
_MAX_VALUE = 48
_MAX_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the agent did: "Read" "a.py", or "Booked reservation" "(user_id=u1)"."""

    kind: Kind
    head: str
    item: str = ""
    runs: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """Steps that share one line. `items` are the first distinct ones, `total` counts all."""

    head: str
    items: tuple[str, ...]
    more: int = 0
    total: int = 1
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    kind: Kind
    head: str
    keys: tuple[str, ...]
    runs: bool = False


_PATHS = ("file_path", "path", "filename", "notebook_path", "target_file", "absolute_path", "uri")
_COMMANDS = ("command", "cmd", "script", "code", "input")
_QUERIES = ("pattern", "query", "q", "search_term", "regex", "name")

_READ = _Known("list", "Read", _PATHS)
_WROTE = _Known("list", "Wrote", _PATHS)
_EDITED = _Known("list", "Edited", _PATHS)
_RAN = _Known("each", "Ran", _COMMANDS, runs=True)
_SEARCHED = _Known("list", "Searched for", _QUERIES)
_FETCHED = _Known("list", "Fetched", ("url", "uri", "href"))
_WEB = _Known("list", "Searched the web for", _QUERIES)
_LISTED = _Known("list", "Listed", (*_PATHS, "dir", "directory"))
_DELEGATED = _Known("each", "Delegated", ("description", "prompt", "task", "message"))
_SILENT = _Known("silent", "", ())

_TOOLS: dict[str, _Known] = {
    name: known
    for known, names in (
        (_READ, "read|read file|view|view file|cat|open file|notebook read|read many files"),
        (_WROTE, "write|write file|create file|write to file|save file"),
        (_EDITED, "edit|edit file|multi edit|str replace|apply patch|notebook edit|replace"),
        (_EDITED, "str replace editor|str replace based edit tool|replace in file|apply diff"),
        (_RAN, "bash|shell|exec|exec command|run command|local shell|run shell command|terminal"),
        (_RAN, "execute command|execute bash|python|ipython|run|run terminal cmd|container exec"),
        (_SEARCHED, "grep|glob|search|find|codebase search|rg|search files|find files|file search"),
        (_FETCHED, "web fetch|fetch|http get|http request|browse|open url|read url|fetch url"),
        (_WEB, "web search|google search|google web search|search web|brave search"),
        (_LISTED, "ls|list|list dir|list directory|list files"),
        (_DELEGATED, "task|agent|spawn agent|delegate"),
        (_SILENT, "think|thinking|sequential thinking|sequentialthinking|report thinking|finish"),
        (_SILENT, "todo write|todo read|update plan|task create|task update|task list|write stdin"),
        (_SILENT, "exit plan mode|enter plan mode|ask user question|wait agent|save memory|skill"),
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
_CHANGE_FOLDER = re.compile(r"^cd \S+ && (?=\S)")
_PATCHED_FILE = re.compile(r"^\*\*\* (?:Add|Update|Delete) File: (.+)$", re.M)


def step(name: str, arguments: str) -> Step:
    """The step that a call of tool `name` with these `arguments` (a JSON text) is."""
    words = [word.lower() for word in _WORD.findall(name.rpartition("__")[2])][:8]
    values = _values(arguments)
    if words[:1] in (["transfer"], ["escalate"], ["handoff"], ["hand"]) and _PERSON & set(words):
        reason = _first(values, ("summary", "reason", "message"))
        return Step("handover", "Handed over to a person", f": {reason}" if reason else "")
    known = _TOOLS.get(" ".join(words)) or _TOOLS.get("".join(words))
    if known is None:
        return _generic(name, words, values)
    if known is _EDITED:
        known = _editor(values)
    item = _first(values, known.keys)
    if known is _EDITED and not item and (files := _PATCHED_FILE.findall(arguments_text(values))):
        item = ", ".join(files[:MAX_ITEMS])
    return Step(known.kind, known.head, _dressed(known, item), known.runs)


def _editor(values: Mapping[str, Any]) -> _Known:
    """Which of its commands a file editor tool was given."""
    return {"view": _READ, "create": _WROTE}.get(str(values.get("command")), _EDITED)


def _dressed(known: _Known, item: str) -> str:
    if not item:
        return ""
    if known is _RAN:
        return f"`{bound(_CHANGE_FOLDER.sub('', item), 90)}`"
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
    if len(path) <= 60:
        return path
    tail = path[-58:]
    return "…" + tail[max(tail.find("/"), 0) :]


def tally(done: Step, name: str, note: str, *, failed: bool) -> Tally:
    """The line of one step of tool `name` and how it ended.

    What failed did not happen, so a tool that is not known by its kind keeps its own name then.
    """
    items = (done.item,) if done.item else ()
    if not failed:
        return Tally(done.head, items, note=note)
    note = note if "failed" in note else f"failed: {note}" if note else "failed"
    if done.item.startswith("("):
        return Tally(bound(name, 60), (f"({bound(done.item[1:-1], 60)})",), note=note)
    return Tally(done.head, items, note=note)


def merged(last: Tally, new: Tally, kind: Kind) -> Tally | None:
    """`last` with `new` taken into its line, or None if `new` needs a line of its own."""
    if last.head != new.head or last.note != new.note:
        return None
    total = last.total + new.total
    if last.items == new.items:
        return Tally(last.head, last.items, last.more, total, last.note)
    if kind != "list" or last.note or not new.items:
        return None
    if new.items[0] in last.items:
        return Tally(last.head, last.items, last.more, total)
    if len(last.items) < MAX_ITEMS and len(render(last)) + len(new.items[0]) < MAX_LINE - 20:
        return Tally(last.head, (*last.items, new.items[0]), last.more, total)
    return Tally(last.head, last.items, last.more + 1, total)


def render(line: Tally) -> str:
    """The line as it stands in a task."""
    if not line.items:
        text = line.head
    elif line.items[0].startswith("("):
        inner = [item[1:-1] for item in line.items]
        text = f"{line.head} ({'; '.join(inner)}{f'; and {line.more} more' if line.more else ''})"
    elif line.items[0].startswith(":"):
        text = line.head + line.items[0]
    else:
        rest = f" and {line.more} more" if line.more else ""
        *front, last = line.items
        listed = f"{', '.join(front)} and {last}" if front and not rest else ", ".join(line.items)
        text = f"{line.head} {listed}{rest}"
    if len(line.items) + line.more <= 1 and line.total > 1:
        text = f"{text} ({line.total} times)"
    return fold(f"{text}: {line.note}") if line.note else fold(text)
