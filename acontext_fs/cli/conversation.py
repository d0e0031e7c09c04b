"""A session as a conversation a person can read. Pure: records in, lines with their looks out.

Whoever speaks is named once, with the time and the line of the session file. Calls of tools are a
line each, with the first lines of their results below; what programs said in a person's name is
folded to a line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from acontext_fs.cli import show
from acontext_fs.cli.calls import summary
from acontext_fs.cli.marks import mark
from acontext_fs.formats.human import human_text, is_typed
from acontext_fs.records import Message, Part, Record, SessionEvent, Unreadable

RESULT_LINES = 3
PROMPT_LINES = 6
LINE_CELLS_MAX = 160
FOLDED_CHARS_MAX = 120
Look: TypeAlias = Literal["", "bold", "dim"]

_CHANNELS = {
    "queue": "while the agent worked",
    "rejection": "refusing a call",
    "command": "by a command",
    "shell": "in a shell",
    "answer": "answering",
}
_PREFACE = re.compile(
    r"(?:Chunk ID: .{0,80}\n)?Wall time: .{0,80}\n"
    r"(?:Process exited with code (?P<code>-?\d{1,9})\n|Process running .{0,80}\n)?"
    r"(?:Original token count: .{0,40}\n)?Output:\n?"
)
_OUTPUT_TAGS = re.compile(r"</?(?:bash|local-command)-std(?:out|err)>")
_ERROR, _ERROR_END = "<tool_use_error>", "</tool_use_error>"
_MEDIA = frozenset({"image", "audio", "video", "file"})


class View(NamedTuple):
    """What is shown. `blob_bytes` tells the size of a file that a message leads to, if known."""

    is_full: bool = False
    has_thinking: bool = False
    has_tools: bool = True
    only_human: bool = False
    tail: int | None = None
    blob_bytes: Callable[[str], int | None] = lambda name: None


class Shown(NamedTuple):
    """A line for a person; safe for a terminal."""

    text: str
    look: Look = ""


class _Block(NamedTuple):
    """What one record shows; `speaker` is "" where nobody speaks."""

    speaker: str
    beside: str
    lines: list[Shown]


def conversation(records: Sequence[Record], view: View) -> Iterator[Shown]:
    """The lines of a session's records, in order."""
    blocks = _blocks(records, view)
    if view.tail is not None:
        blocks = iter(_last(list(blocks), view.tail))
    speaker = None
    was_said = True
    for block in blocks:
        if block.speaker and (block.speaker != speaker or view.only_human):
            if speaker is not None:
                yield Shown("")
            yield Shown(f"{block.speaker}  {block.beside}", "bold")
        elif speaker is not None and (block.speaker or was_said) and not _is_indented(block):
            yield Shown("")
        yield from block.lines
        speaker = block.speaker or speaker or ""
        was_said = bool(block.speaker)


def _is_indented(block: _Block) -> bool:
    return block.lines[0].text.startswith("  ")


def _last(blocks: list[_Block], count: int) -> list[_Block]:
    said = [number for number, block in enumerate(blocks) if block.speaker]
    return blocks[said[-count] :] if len(said) > count else blocks


def _blocks(records: Sequence[Record], view: View) -> Iterator[_Block]:
    results = _Results(records)
    for record in records:
        block = None
        if isinstance(record, Message):
            block = _human(record, view) if view.only_human else _said(record, results, view)
        elif isinstance(record, SessionEvent) and not view.only_human:
            text = show.one_line(mark(record), LINE_CELLS_MAX)
            block = _Block("", "", [Shown(f"── {text} ──", "dim")])
        elif isinstance(record, Unreadable) and not view.only_human:
            text = show.one_line(f"line {record.line} cannot be read: {record.reason}", 200)
            block = _Block("", "", [Shown(f"── {text} ──", "dim")])
        if block is not None and block.lines:
            yield block


class _Results:
    """The results of calls that can be shown below them: those whose id is no other's too."""

    def __init__(self, records: Sequence[Record]) -> None:
        parts = [p for r in records if isinstance(r, Message) for p in r.parts]
        calls = Counter(_id(p, "id") for p in parts if p.type == "tool-call")
        results = Counter(_id(p, "tool_call_id") for p in parts if p.type == "tool-result")
        self._names: dict[str, str] = {}
        self._of_call: dict[str, Part] = {}
        for part in parts:
            call_id = _id(part, "id" if part.type == "tool-call" else "tool_call_id")
            if part.type == "tool-call":
                self._names[call_id] = str(part.meta.get("name") or "")
            elif part.type == "tool-result" and call_id and call_id in self._names:
                is_pair = calls[call_id] == results[call_id] == 1
                self._of_call |= {call_id: part} if is_pair else {}

    def of_call(self, call: Part) -> Part | None:
        return self._of_call.get(_id(call, "id"))

    def is_shown_below_its_call(self, result: Part) -> bool:
        return _id(result, "tool_call_id") in self._of_call

    def name(self, result: Part) -> str:
        known = self._names.get(_id(result, "tool_call_id"), "")
        return known or str(result.meta.get("name") or "") or "tool"


def _id(part: Part, key: str) -> str:
    value = part.meta.get(key)
    return value if isinstance(value, str) else ""


# -- who speaks -------------------------------------------------------------------------------


def _beside(message: Message) -> str:
    channel = _CHANNELS.get(str(message.meta.get("channel")), "")
    if "withdrawn" in message.meta:
        channel = ", ".join(filter(None, (channel, "taken back later")))
    when = message.created_at[:19].replace("T", " ")
    return "  ".join(filter(None, (when, f"line {message.line}", channel and f"({channel})")))


def _speaker(message: Message, is_human: bool) -> str:
    name = message.name
    if message.role == "assistant":
        name = name or str(message.meta.get("model") or "") or "assistant"
    elif message.original_role:
        return ""
    elif message.author == "agent":
        name = "the agent that asks"
    elif is_human:
        name = name or ("person" if message.author == "person" else "user")
    return show.one_line(name, 60)


def _human(message: Message, view: View) -> _Block | None:
    text = human_text(message)
    pictures = [p for p in message.parts if p.type in _MEDIA and not _id(p, "tool_call_id")]
    if not text and not (pictures and message.author == "person"):
        return None
    lines = [Shown(line) for line in show.plain(text).split("\n")] if text else []
    lines += [Shown(_media(part, view)) for part in pictures]
    return _Block(_speaker(message, True), _beside(message), lines)


def _said(message: Message, results: _Results, view: View) -> _Block:
    typed = human_text(message)
    is_human = bool(typed) or message.author == "person"
    lines: list[Shown] = []
    if message.role == "assistant":
        for part in message.parts:
            lines += _part(part, results, view)
    else:
        lines += _typed(message, typed, view)
        for part in message.parts:
            if part.type != "text":
                lines += _part(part, results, view)
    if message.role == "assistant" and message.meta.get("interrupted") is True:
        lines.append(Shown("(interrupted)", "dim"))
    return _Block(_speaker(message, is_human), _beside(message), lines)


def _typed(message: Message, typed: str, view: View) -> list[Shown]:
    """The text of a message of role user: a person's as it is, other people's programs' folded."""
    text = message.text
    if message.author == "agent":
        return _clipped(text, PROMPT_LINES, "", view)
    if message.author == "person":
        found = [Shown(line) for line in show.plain(typed).split("\n")] if typed else []
        beside = [p.text for p in message.parts if p.type == "text" and not is_typed(p)]
        return found + _folded("\n".join(beside), "beside it", view)
    if not typed:
        return _folded(text, _who(message), view)
    found = [Shown(line) for line in show.plain(typed).split("\n")]
    is_whole = len(typed) >= len(text.strip())
    return found if is_whole else found + _folded(text, "with what was put beside it", view)


def _who(message: Message) -> str:
    """What a text is that a program wrote in a person's place."""
    channel = str(message.meta.get("channel"))
    return message.original_role or (channel if channel in ("shell", "command") else "harness")


def _folded(text: str, who: str, view: View) -> list[Shown]:
    if not text.strip():
        return []
    if view.is_full:
        return [Shown(line, "dim") for line in show.plain(f"{who}: {text}").split("\n")]
    said = _OUTPUT_TAGS.sub("", text).strip() or text
    return [Shown(f"  {who}: {show.one_line(said, FOLDED_CHARS_MAX)}", "dim")]


# -- the parts of a message -------------------------------------------------------------------


def _part(part: Part, results: _Results, view: View) -> list[Shown]:
    if part.type == "text":
        text = show.plain(part.text).strip("\n").rstrip()
        return [Shown(line) for line in text.split("\n")] if text.strip() else []
    if part.type == "thinking":
        return _thinking(part.text) if view.has_thinking else []
    if part.type == "redacted_thinking":
        return [Shown("  [thinking that nobody can read]", "dim")] if view.has_thinking else []
    if part.type == "tool-call":
        return _call(part, results, view) if view.has_tools else []
    if part.type == "tool-result":
        if not view.has_tools or results.is_shown_below_its_call(part):
            return []
        return [Shown(f"  result of {show.one_line(results.name(part), 60)}"), *_result(part, view)]
    if part.type in _MEDIA:
        is_of_call = bool(_id(part, "tool_call_id"))
        return [Shown(f"    {_media(part, view)}")] if view.has_tools or not is_of_call else []
    kind = show.one_line(str(part.meta.get("data_type", "data")), 40)
    said = show.one_line(str(part.meta.get("value", part.text)), FOLDED_CHARS_MAX)
    return [Shown(f"  [{kind}] {said}", "dim")]


def _thinking(text: str) -> list[Shown]:
    lines = show.plain(text).strip("\n").split("\n") if text.strip() else []
    return [Shown(f"  | {line}", "dim") for line in lines]


def _call(call: Part, results: _Results, view: View) -> list[Shown]:
    name = show.one_line(str(call.meta.get("name") or "tool"), 60)
    arguments = call.meta.get("arguments")
    if view.is_full:
        said = show.plain(str(arguments or ""))
        first = [Shown(f"  {name}  {said}".rstrip())]
    else:
        text = show.one_line(summary(name, arguments), LINE_CELLS_MAX * 2)
        first = [Shown(show.clip(f"  {name}  {text}".rstrip(), LINE_CELLS_MAX))]
    result = results.of_call(call)
    return first if result is None else first + _result(result, view)


def _result(result: Part, view: View) -> list[Shown]:
    if result.meta.get("rejected") is True:
        return [Shown("    refused by the person", "dim")]
    mark = "    ! " if result.meta.get("is_error") is True else "    "
    text = result.text if view.is_full else _without_wrapping(result.text)
    if not text.strip():
        return [Shown(f"{mark}failed", "dim")] if mark.strip() else []
    return _clipped(text, RESULT_LINES, mark, view)


def _without_wrapping(text: str) -> str:
    """A result without what Codex writes in front of a command's output, but for a bad exit, and
    without the tag that Claude Code puts around a failure.
    """
    if text.startswith(_ERROR) and text.endswith(_ERROR_END):
        return text[len(_ERROR) : -len(_ERROR_END)]
    found = _PREFACE.match(text)
    if found is None:
        return text
    ended = "" if found["code"] in ("0", None) else f"exit code {found['code']}\n"
    return ended + text[found.end() :]


def _clipped(text: str, lines_max: int, mark: str, view: View) -> list[Shown]:
    """The first lines of a text, dim, and how many there are besides."""
    lines = [_as_printed(line) for line in text.strip("\n").rstrip().split("\n")]
    if view.is_full:
        return [Shown(f"{mark}{show.plain(line)}", "dim") for line in lines]
    lines = [line for line in lines if line.strip()]
    # A line that says that one line is left out takes as much room as that line.
    kept = lines if len(lines) <= lines_max + 1 else lines[:lines_max]
    cut = [show.clip(f"{mark}{show.plain(line[:1000])}", LINE_CELLS_MAX) for line in kept]
    if len(lines) > len(kept):
        cut.append(f"    ... {len(lines) - len(kept):,} more lines (--full)")
    return [Shown(line, "dim") for line in cut]


def _as_printed(line: str) -> str:
    """A line as a terminal leaves it where a program wrote over it again and again."""
    return line.rstrip("\r").rpartition("\r")[2] if "\r" in line else line


def _media(part: Part, view: View) -> str:
    meta: Mapping[str, Any] = part.meta
    kind = str(meta.get("media_type") or meta.get("mime_type") or part.type)
    data, url = _id(part, "data"), _id(part, "url")
    where = data if data.startswith(("blob:", "[")) else url
    size: int | None = len(data) * 3 // 4 if data and not where else None
    if where.startswith("data:"):
        size, where = len(where) * 3 // 4, ""
    elif where.startswith("blob:"):
        size = view.blob_bytes(where.removeprefix("blob:"))
        where = f"blob {where.removeprefix('blob:')}"
    name = str(meta.get("filename") or meta.get("title") or "")
    said = filter(None, (kind, _bytes(size), name, where.strip("[]")))
    return f"[{show.one_line(', '.join(said), 200)}]"


def _bytes(size: int | None) -> str:
    if size is None:
        return ""
    return f"{size} bytes" if size < 1000 else f"{size / 1000:,.0f} KB"
