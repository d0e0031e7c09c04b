"""What was taken in of each source file: `.acontext/capture/ledger.jsonl`.

One JSON line an entry, the last one of a file counts; compacted when most lines are old. It is
written behind the store and never synced: an entry that is missing or older than the store costs
a comparison with what stands there, and nothing else (`known.py`). So it is safe to delete.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from acontext_fs import files, jsonl
from acontext_fs.daemon.capture.scanning import Found
from acontext_fs.errors import StoreError
from acontext_fs.records import Cursor

COMPACTED_FROM_LINES = 1000
AHEAD_MAX = 500
"""How many records that the store has and a source does not have yet are remembered by name."""

State: TypeAlias = Literal["taken", "unknown", "refused"]


@dataclass(slots=True)
class Stored:
    """How far the store's session, at `path` in the store, held what was read of a source file.

    `ahead` names records behind which the source lags: it had them once, or another file has.
    """

    path: str
    size: int
    ahead: tuple[str, ...] = ()


@dataclass(slots=True)
class Entry:
    """What is known of one source file.

    `found` is the file as it was when all of it was dealt with, None while there is more.
    `line_open` tells that the cursor stands behind a last line that had no newline; `torn_bytes` is
    how much of a last line was stored although it is no JSON. `session` is the one the file is of,
    `current` the one that lines belong to which do not say, `parent` the one that started it,
    `time` the last that a line had. `again` asks for a comparison from the start.
    """

    path: str
    kind: str = ""
    dialect: str = ""
    is_whole: bool = False
    is_packed: bool = False
    state: State = "taken"
    reason: str = ""
    found: Found | None = None
    identity: tuple[int, int] = (0, 0)
    cursor: Cursor = Cursor()
    line_open: bool = False
    torn_bytes: int = 0
    again: bool = False
    session: str = ""
    current: str = ""
    parent: str = ""
    time: str = ""
    continues: str = ""
    marks: tuple[str, ...] = ()
    stored: dict[str, Stored] = field(default_factory=dict)

    def is_like(self, other: Entry) -> bool:
        """Whether it is of a file of the same format."""
        mine = (self.kind, self.dialect, self.is_whole, self.is_packed)
        return mine == (other.kind, other.dialect, other.is_whole, other.is_packed)


class Ledger:
    """All entries, by the path of the source file. Used by one thread."""

    def __init__(self, file: Path) -> None:
        """Read what is in `file`; what of it cannot be read is as if it had not been written."""
        self.entries: dict[str, Entry] = {}
        self._file = file
        self._lines = 0
        self._ended = True
        self._read()

    def _read(self) -> None:
        data = files.read_bytes(self._file) or b""
        self._ended = not data or data.endswith(b"\n")
        for line in data.split(b"\n")[:-1]:
            self._lines += 1
            for value in jsonl.decode(line).values:
                try:
                    entry = _decoded(value)
                except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
                    continue
                self.entries[entry.path] = entry

    def note(self, entries: list[Entry]) -> None:
        """Remember these from now on.

        Raises:
            StoreError: the file cannot be written.
        """
        if not entries:
            return
        for entry in entries:
            self.entries[entry.path] = entry
        if self._lines > COMPACTED_FROM_LINES + 4 * len(self.entries):
            self._compact()
            return
        data = b"".join(map(_encoded, entries))
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with open(self._file, "ab") as file:
                file.write(data if self._ended else b"\n" + data)
        except OSError as error:
            raise StoreError(f"cannot write {self._file}: {files.reason(error)}") from error
        self._ended = True
        self._lines += len(entries)

    def forget(self, path: str) -> None:
        """Let an entry go that another path has now; gone for good with the next compaction."""
        self.entries.pop(path, None)

    def _compact(self) -> None:
        data = b"".join(map(_encoded, self.entries.values()))
        files.write_atomic(self._file, data, durable=False)
        self._lines, self._ended = len(self.entries), True


def _encoded(entry: Entry) -> bytes:
    found = list(entry.found) if entry.found is not None else None
    value = {
        "path": os.fsdecode(entry.path),
        "kind": entry.kind,
        "dialect": entry.dialect,
        "is_whole": entry.is_whole,
        "is_packed": entry.is_packed,
        "state": entry.state,
        "reason": entry.reason,
        "found": found,
        "identity": list(entry.identity),
        "cursor": [entry.cursor.offset, entry.cursor.line, entry.cursor.fingerprint],
        "line_open": entry.line_open,
        "torn_bytes": entry.torn_bytes,
        "again": entry.again,
        "session": entry.session,
        "current": entry.current,
        "parent": entry.parent,
        "time": entry.time,
        "continues": entry.continues,
        "marks": list(entry.marks),
        "stored": {
            name: [one.path, one.size, list(one.ahead)] for name, one in entry.stored.items()
        },
    }
    return jsonl.encode(value)


def _decoded(value: dict[str, Any]) -> Entry:
    offset, line, fingerprint = value["cursor"]
    state = value["state"]
    if state not in ("taken", "unknown", "refused"):
        raise ValueError(state)
    device, inode = value["identity"]
    return Entry(
        path=str(value["path"]),
        kind=str(value["kind"]),
        dialect=str(value["dialect"]),
        is_whole=bool(value["is_whole"]),
        is_packed=bool(value["is_packed"]),
        state=state,
        reason=str(value["reason"]),
        found=Found(*map(int, value["found"])) if value["found"] is not None else None,
        identity=(int(device), int(inode)),
        cursor=Cursor(int(offset), int(line), str(fingerprint)),
        line_open=bool(value["line_open"]),
        torn_bytes=int(value["torn_bytes"]),
        again=bool(value["again"]),
        session=str(value["session"]),
        current=str(value["current"]),
        parent=str(value["parent"]),
        time=str(value["time"]),
        continues=str(value["continues"]),
        marks=tuple(map(str, value["marks"])),
        stored={
            str(name): Stored(str(path), int(size), tuple(map(str, ahead)))
            for name, (path, size, ahead) in value["stored"].items()
        },
    )
