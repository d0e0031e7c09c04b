"""Checks of one session: every line of the transcript, and whether tasks and progress fit it.

Reads line by line: memory is that of the longest line, however large the file is.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import BinaryIO

from acontext_fs import blobs, files, jsonl, sessions, tasks
from acontext_fs.elsewhere import Elsewhere
from acontext_fs.errors import AcontextError, SessionError, StoreError
from acontext_fs.finding import Finding, Kind
from acontext_fs.formats.reader import Reader
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import Line, Message, Unreadable
from acontext_fs.store import Session, Store

FILE_BYTES_MAX = 50_000_000
"""GitHub warns from here on, and refuses the double."""
REASONS_MAX = 20
"""How many reasons for which lines mean nothing are told apart."""

BACK = "bring it back from git (`git log -- {path}` lists its versions)"
_READABLE = "make it a plain file that can be read, then run this again"
_KEPT = "nothing is lost: the line is kept as it is, and what could be read of it counts"

_DERIVED: tuple[tuple[Kind, str], ...] = (("progress", ".json"), ("tasks", ".jsonl"))

Named = MutableMapping[str, tuple[str, int]]
"""Blobs that were referred to, each with the path and line of the first time."""


def of_session(store: Store, place: SessionPlace, named: Named) -> Iterator[Finding]:
    """What is wrong with a session; the blobs it refers to are added to `named`."""
    seen = _Seen()
    # Before the lines: a daemon may go on meanwhile, and they must not be ahead of what was seen.
    state, found = _progress(store, place), _tasks(store, place)
    try:
        yield from _of_lines(store, place, seen, named)
    except (AcontextError, OSError) as error:
        why = files.reason(error) if isinstance(error, OSError) else str(error)
        yield Finding("misplaced", place.session_path, f"it cannot be read: {why}", _READABLE)
        return
    if seen.bytes > FILE_BYTES_MAX:
        text = f"it has {seen.bytes:,} bytes, and git hosts take no file over {FILE_BYTES_MAX:,}"
        remedy = f"let the agent begin a new session; `acontext-fs prune {place}` removes this one"
        yield Finding("size", place.session_path, text, remedy)
    lines, remedy = _expected(store, place, state, seen.lines)
    yield from _of_progress(place, state, lines, remedy)
    yield from _of_tasks(place, found, lines, remedy)


@dataclass(slots=True)
class _Seen:
    """What was seen of a transcript so far."""

    lines: int = 0
    bytes: int = 0
    messages: int = 0
    unknown: dict[str, list[int]] = field(default_factory=dict)
    """By reason: the first line, and how many."""


def _of_lines(store: Store, place: SessionPlace, seen: _Seen, named: Named) -> Iterator[Finding]:
    path = place.session_path
    reader = Reader(place.space, place.session_id)
    with _opened(store, path) as file:
        for raw in file:
            if not raw.endswith(b"\n"):
                seen.bytes += len(raw)
                yield _unfinished(path, seen.lines + 1, raw)
                break
            line = Line(seen.lines + 1, seen.bytes, raw[:-1])
            seen.lines, seen.bytes = line.number, line.end
            for name in blobs.references(raw):
                named.setdefault(name, (path, line.number))
            yield from _of_line(path, line, reader, seen)
    yield from _of_unknown(path, reader.dialect, seen)


def _opened(store: Store, path: str) -> BinaryIO:
    if store.commit:
        return io.BytesIO(store.source.read(path) or b"")
    if not store.source.holds(path):
        raise StoreError(f"a link is on the way to {path}")
    return os.fdopen(files.open_regular(store.layout.path(path)), "rb")


def _of_line(path: str, line: Line, reader: Reader, seen: _Seen) -> Iterator[Finding]:
    wrong = []
    for record in reader.read(line):
        if isinstance(record, Unreadable):
            wrong.append(record.reason)
        else:
            seen.messages += isinstance(record, Message)
    if not wrong:
        return
    decoded = jsonl.decode(line.data)
    if decoded.problem:
        text = f"{decoded.problem}: {_recovered(len(decoded.values))}"
        yield Finding("damage", path, text, _KEPT, line.number)
        wrong.remove(decoded.problem)
    for reason in wrong:
        known = reason in seen.unknown or len(seen.unknown) < REASONS_MAX
        entry = seen.unknown.setdefault(reason if known else "other reasons", [line.number, 0])
        entry[1] += 1


def _recovered(count: int) -> str:
    if not count:
        return "nothing in it could be read"
    return f"{count} {'record' if count == 1 else 'records'} recovered from it"


def _of_unknown(path: str, dialect: str, seen: _Seen) -> Iterator[Finding]:
    count = sum(number for _, number in seen.unknown.values())
    if count and not seen.messages and not dialect:
        text = f"its format is not known: none of its {seen.lines} lines is a message"
        yield Finding("format", path, text, "docs/formats.md says what is read", 1)
        return
    for reason, (first, number) in seen.unknown.items():
        text = reason if number == 1 else f"{reason}; {number} such lines"
        yield Finding("unknown", path, text, "the line is kept and says nothing to us", first)


def _unfinished(path: str, number: int, raw: bytes) -> Finding:
    decoded = jsonl.decode(raw)
    what = "a whole record" if decoded.values and not decoded.problem else "part of a record"
    text = f"{what}, {len(raw)} bytes, without a newline at its end: it is not read yet"
    remedy = "whoever writes it goes on; if nobody does, `acontext-fs append` ends the line first"
    return Finding("unfinished", path, text, remedy, number)


def _expected(
    store: Store, place: SessionPlace, state: Progress | str, lines: int
) -> tuple[int, str]:
    """How many lines tasks and progress may speak of, of a transcript that has so many, and what to
    do where they speak of more: what another machine read comes by itself.
    """
    remedy = f"put the transcript back: `git show HEAD:{place.session_path}` prints it"
    if isinstance(state, str) or state.cursor.line <= lines:
        return lines, remedy
    try:
        data = store.source.read(place.session_path)
        missing = Elsewhere(store.root, store.commit).missing(place, state, data)
    except AcontextError as error:
        return lines, f"git cannot be asked for the rest: {error}"
    if missing is None:
        return lines, remedy
    return (state.cursor.line if missing.comes else lines), missing.text


def _progress(store: Store, place: SessionPlace) -> Progress | str:
    """What the progress file says, or why it cannot be read."""
    try:
        return Session(store, place).progress()
    except (SessionError, StoreError) as error:
        return str(error)


def _tasks(store: Store, place: SessionPlace) -> tasks.Tasks | str:
    """What the tasks file says, or why it cannot be read."""
    try:
        data = store.source.read(place.tasks_path)
        return tasks.decode(data, place.tasks_path) if data is not None else ()
    except (SessionError, StoreError) as error:
        return str(error)


def _of_progress(
    place: SessionPlace, state: Progress | str, lines: int, remedy: str
) -> Iterator[Finding]:
    path = place.progress_path
    if isinstance(state, str):
        yield Finding("progress", path, state, BACK.format(path=path), mend="replace")
        return
    # Offsets differ between machines where a file holds secrets; lines do not.
    if state.cursor.line > lines:
        text = f"it says {state.cursor.line} lines were read, and the session has {lines}"
        yield Finding("progress", path, text, remedy)
    for failure in state.failures:
        where = tasks.named_lines(tasks.format_lines([failure.lines]))
        noun = "attempt" if failure.attempts == 1 else "attempts"
        text = f"gave up on {where} ({failure.attempts} {noun}): {failure.reason}"
        yield Finding("progress", path, text, f"`acontext-fs flush --failed {place}`")


def _of_tasks(
    place: SessionPlace, found: tasks.Tasks | str, lines: int, remedy: str
) -> Iterator[Finding]:
    path = place.tasks_path
    if isinstance(found, str):
        yield Finding("tasks", path, found, BACK.format(path=path), mend="replace")
        return
    for number, task in enumerate(found, start=1):
        last = max((last for _, last in task.lines), default=0)
        if last > lines:
            text = f"task {task.order} has line {last}, and the session has {lines}"
            yield Finding("tasks", path, text, remedy, number)
        if task.session_id != place.session_id:
            text = f"task {task.order} is of the session {task.session_id!r}"
            yield Finding("tasks", path, text, BACK.format(path=path), number)


def without_transcript(store: Store, space: str) -> Iterator[Finding]:
    """The tasks and progress files of a space whose transcript is not there."""
    derived = [
        (path, kind, path.removeprefix(f"{folder}/").removesuffix(suffix))
        for kind, suffix in _DERIVED
        for folder in (f"spaces/{space}/{kind}",)
        for path in sorted(store.source.paths(folder, suffix))
    ]
    # Behind them: whoever makes a session meanwhile makes its transcript first.
    have = {place.stem_path for place in sessions.places(store.source, space)}
    for path, kind, stem in derived:
        if stem not in have:
            remedy = "put the transcript back from git; if another file has its lines by now, "
            remedy += "`acontext-fs flush` goes on with that; else commit the removal of this too"
            yield Finding(kind, path, "its session's transcript is gone", remedy)
