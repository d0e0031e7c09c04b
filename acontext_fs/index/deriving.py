"""From units to rows: reads the files of a unit and derives what the index holds of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from acontext_fs import skills, transcripts
from acontext_fs.commits import REVERTS
from acontext_fs.errors import AcontextError, SettingsError
from acontext_fs.index import rows as made
from acontext_fs.index import units
from acontext_fs.index.units import HeadFiles
from acontext_fs.revisions import Revisions
from acontext_fs.source import Source
from acontext_fs.transcripts import Transcript

HISTORY = "history/"
"""What the names of the units begin with that hold commits."""
COMMITS_PER_UNIT = 1000
WARM_BYTES = 32 * 1024 * 1024
"""How much text of sessions that changed is kept parsed, because what changed once does again."""

Digests: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Derived:
    """The rows of a unit, and the digests of what they were made from; `size` in bytes."""

    name: str
    number: int
    digests: Digests
    rows: made.Rows
    size: int

    @property
    def messages(self) -> list[made.Row]:
        return self.rows.get("messages", [])


class Deriver:
    """Reads units from a source."""

    def __init__(self, source: Source, revisions: Revisions, head_files: HeadFiles) -> None:
        self._source = source
        self._revisions = revisions
        self._head_files = head_files
        self._warm: OrderedDict[str, Transcript] = OrderedDict()
        self._warm_bytes = 0

    def derive(self, name: str, number: int, known: Digests, *, keep: bool) -> Derived | None:
        """The rows of a unit as `number`; without rows if its digests are still `known`.

        None when it cannot be read: it vanished, or nobody may read it. With `keep` the parsed
        session is kept for the next time.

        Raises:
            SettingsError: which secrets are taken out cannot be known; an answer without the
                sessions would look like a whole one.
        """
        space = units.space_of_skills(name)
        try:
            if space is not None:
                return self._skills(name, space, number, known)
            return self._session(name, number, known, keep=keep)
        except SettingsError:
            raise
        except AcontextError:
            return None

    def _session(self, name: str, number: int, known: Digests, *, keep: bool) -> Derived:
        place = units.place_of(name)
        found = transcripts.load(self._source, place, self._warm.get(name), lenient=True)
        if keep:
            self._keep(name, found)
        if found.digests == known:
            return Derived(name, number, known, {}, found.parsed.size)
        return Derived(
            name, number, found.digests, made.of_session(found, number), found.parsed.size
        )

    def _keep(self, name: str, found: Transcript) -> None:
        before = self._warm.pop(name, None)
        self._warm_bytes -= before.parsed.size if before is not None else 0
        self._warm[name] = found
        self._warm_bytes += found.parsed.size
        while self._warm_bytes > WARM_BYTES:
            _, dropped = self._warm.popitem(last=False)
            self._warm_bytes -= dropped.parsed.size

    def _skills(self, name: str, space: str, number: int, known: Digests) -> Derived:
        files = skills.files_of(self._source, space)
        dirty = units.dirty_times(self._source, space, files, self._head_files)
        digests = (units.skills_digest(files, dirty),)
        if digests == known:
            return Derived(name, number, known, {}, 0)
        size = sum(map(len, files.values()))
        return Derived(name, number, digests, made.of_skills(space, files, dirty, number), size)

    def commits(self, known: str, head: str, numbers: Callable[[], int]) -> Iterator[Derived]:
        """The commits from `known` to `head`, some in a unit."""
        found: list[made.Rows] = []
        last, number = "", numbers()
        for commit in self._revisions.since(known, head):
            paths = self._revisions.skill_paths(commit.id)
            # In a commit of ours a transcript may have put the words.
            is_ours = commit.trailer("Acontext-Kind") != ""
            reverts = [] if is_ours else REVERTS.findall(commit.body)
            found.append(made.of_commit(commit, paths, reverts, number))
            last = commit.id
            if len(found) == COMMITS_PER_UNIT:
                yield Derived(HISTORY + last, number, (last,), _joined(found), 0)
                found, number = [], numbers()
        if found:
            yield Derived(HISTORY + last, number, (last,), _joined(found), 0)


def _joined(found: list[made.Rows]) -> made.Rows:
    joined: made.Rows = {}
    for one in found:
        for table, more in one.items():
            joined.setdefault(table, []).extend(more)
    return joined


def same_messages(before: made.Rows, after: made.Rows) -> int:
    """How many of the first messages of a unit are the same before and after."""
    old, new = before.get("messages", []), after.get("messages", [])
    count = min(len(old), len(new))
    return next((n for n in range(count) if old[n] != new[n]), count)
