"""What there is to take in: counted from names and sizes, and from beginnings where asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from acontext_fs.clock import format_time
from acontext_fs.daemon.capture import heads, shelf
from acontext_fs.daemon.capture.ledger import Entry
from acontext_fs.daemon.capture.scanning import Found
from acontext_fs.daemon.capture.sources import Source
from acontext_fs.errors import AcontextError
from acontext_fs.formats import dialects
from acontext_fs.formats.sources import look_at

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
    """What stands in the files that wait: sessions and bytes by project and by space."""

    projects: Counter[str] = field(default_factory=Counter)
    spaces: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    sessions: set[str] = field(default_factory=set)
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


def look_inside(source: Source, found: Mapping[str, Found]) -> Contents:
    """Find out from the beginnings of files what they are and where they would go."""
    contents = Contents()
    for path, one in sorted(found.items()):
        if not one.size:
            continue
        try:
            look = look_at(Path(path))
            lines = heads.first_lines(path) if look.kind and not look.kind.is_whole else []
        except AcontextError as error:
            contents.unknown[path] = str(error)
            continue
        if look.kind is None:
            contents.unknown[path] = look.reason
            continue
        contents.kinds[look.kind.name] += 1
        contents.bytes += one.size
        facts = heads.facts_of(lines)
        head = heads.head_of(lines, dialects.NAMED.get(look.kind.dialect or look.kind.name))
        named = head.owner.session_id if head.owner else path
        contents.sessions.add(shelf.session_id_of(named))
        contents.projects[str(facts.get("project") or UNKNOWN_PROJECT)] += 1
        contents.spaces[source.space_of(look.kind.dialect or look.kind.name, facts)] += 1
    return contents


def unknown_sentence(paths: Iterable[str], shown: int = 3) -> str:
    """That files are of no known format, with the first few of them; "" for none."""
    names = sorted(paths)
    if not names:
        return ""
    noun = "file is" if len(names) == 1 else "files are"
    more = ", ..." if len(names) > shown else ""
    return (
        f"{len(names)} {noun} of unknown format and not taken in: {', '.join(names[:shown])}{more}"
    )
