"""What there is to take in: counted from names and sizes, and from beginnings where asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acontext_fs.clock import format_time
from acontext_fs.daemon.capture import heads, taking
from acontext_fs.daemon.capture.ledger import Entry
from acontext_fs.daemon.capture.scanning import Found
from acontext_fs.daemon.capture.sources import Source
from acontext_fs.errors import AcontextError
from acontext_fs.formats import dialects
from acontext_fs.formats.sources import Kind, read_file, sessions_in

UNKNOWN_PROJECT = "(no project named)"
TOKEN_BYTES = 4
"""About so many bytes of English or code are a token."""


@dataclass(slots=True)
class Survey:
    """The files of one source: all of them, those that wait, and those that nobody can read."""

    source: Source
    files: int = 0
    bytes: int = 0
    changed_at: str = ""
    sessions: set[str] = field(default_factory=set)
    waiting_files: int = 0
    waiting_bytes: int = 0
    unknown: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Contents:
    """What stands in the files of a source: sessions, and of the new ones how many are of which
    project and go to which space; files that nobody can read; bytes that were not read yet.
    """

    projects: Counter[str] = field(default_factory=Counter)
    spaces: Counter[str] = field(default_factory=Counter)
    sessions: set[str] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)
    unknown: dict[str, str] = field(default_factory=dict)
    bytes: int = 0

    @property
    def tokens(self) -> int:
        """About how many tokens a model would read at most."""
        return self.bytes // TOKEN_BYTES


def count(source: Source, found: Mapping[str, Found], entries: Mapping[str, Entry]) -> Survey:
    """Count the files of a source against what the ledger says of them."""
    survey = Survey(source)
    newest = 0
    for path, one in found.items():
        survey.files += 1
        survey.bytes += one.size
        newest = max(newest, one.mtime_ns)
        entry = entries.get(path)
        if entry is not None:
            survey.sessions |= entry.stored.keys()
        if entry is not None and entry.state != "taken":
            survey.unknown[path] = entry.reason
        elif one.size and (entry is None or entry.found != one):
            survey.waiting_files += 1
            survey.waiting_bytes += one.size - (entry.cursor.offset if entry is not None else 0)
    survey.changed_at = format_time(newest / 1e9) if newest else ""
    return survey


def look_inside(
    source: Source,
    found: Mapping[str, Found],
    entries: Mapping[str, Entry],
    stored: Container[str],
    id_of: Callable[[str], str],
) -> Contents:
    """Find out from the beginnings of files what they are and where they would go; `stored` are
    the ids of the sessions of the store.
    """
    contents = Contents()
    for path, one in sorted(found.items()):
        if not one.size:
            continue
        try:
            kind = _kind_of(path, source)
            if isinstance(kind, str):
                contents.unknown[path] = kind
                continue
            names, facts = _sessions_of(path, kind)
        except AcontextError as error:
            contents.unknown[path] = str(error)
            continue
        entry = entries.get(path)
        if entry is None or entry.found != one:
            contents.bytes += max(0, one.size - (entry.cursor.offset if entry is not None else 0))
        for session_id in {id_of(name) for name in names} - contents.sessions:
            contents.sessions.add(session_id)
            if session_id in stored:
                contents.stored.add(session_id)
                continue
            contents.projects[str(facts.get("project") or UNKNOWN_PROJECT)] += 1
            contents.spaces[source.space_of(kind.dialect or kind.name, facts)] += 1
    return contents


def _kind_of(path: str, source: Source) -> Kind | str:
    """What a file is, or why it would not be taken in."""
    if heads.is_unfinished(path):
        return taking.UNFINISHED
    kind, reason, _ = heads.look_at(path)
    if kind is None:
        return reason
    return taking.refusal(kind) if kind.only_import and not source.once else kind


def _sessions_of(path: str, kind: Kind) -> tuple[set[str], Mapping[str, Any]]:
    """What the sessions of a file are called, as far as its beginning tells; and its facts."""
    if kind.is_whole:
        found = sessions_in(read_file(Path(path)), kind)
        return {one.session_id or taking.name_of(path) for one in found}, {}
    lines = heads.first_lines(path) or read_file(Path(path)).split(b"\n")[: heads.HEAD_LINES]
    dialect = dialects.NAMED.get(kind.dialect or kind.name)
    owner = heads.head_of(lines, dialect).owner
    otherwise = taking.name_without_owner(path, kind.name, dialect)
    return {owner.session_id if owner else otherwise}, heads.facts_of(lines)
