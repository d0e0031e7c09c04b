"""What changed in a store since an index last looked: which units, how large, their new rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from acontext_fs.index import units
from acontext_fs.index.contents import Contents, Update
from acontext_fs.index.deriving import HISTORY, Deriver
from acontext_fs.index.units import Stamps
from acontext_fs.store import Store

FOLD_BYTES = 8 * 1024 * 1024
"""How much text of changed sessions is kept in memory before it becomes a layer."""
FOLD_UNITS = 400
"""The same in sessions: a row at a time costs more than a layer."""
DROPPED_ROWS_MAX = 50_000
"""How many dropped rows may take up memory before a layer is written for that alone."""
FOLD_COMMITS = 2000
"""The same in commits."""
LARGE_BYTES = 48 * 1024 * 1024
LARGE_UNITS_MAX = 3
"""So few sessions may be as large as that and yet stay in memory: they are being written to, and a
layer would be written anew with every line.
"""

Report = Callable[[int, int], None]
"""Called with the units done, and those to be done, while a large change is taken in."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be taken in. `known` is the commit from which on history is, `head` the one up to
    which; both as `Changes.head` says them.
    """

    changed: Mapping[str, Stamps]
    gone: list[str]
    known: str
    head: str
    is_large: bool


class Changes:
    """Compares a store with what an index holds of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._revisions = store.revisions
        self.is_bare = self._revisions.is_bare
        self._head_files = units.HeadFiles(self._revisions)
        self._deriver = Deriver(store.source, self._revisions, self._head_files)

    def head(self) -> str:
        """The commit that history is told up to, and behind a `+` what a shallow clone lacks.

        A bare repository moves with its HEAD.
        """
        head = self.store.commit
        if self.is_bare or not head:
            head = self._revisions.head()
        if self.is_bare and head not in ("", self.store.commit):
            self.store = self.store.at(head)
            self._deriver = Deriver(self.store.source, self._revisions, self._head_files)
        self._head_files.move(head)
        shallow = self._revisions.shallow()
        return f"{head}+{shallow}" if head and shallow else head

    def look(self, contents: Contents, paths: Collection[str] | None) -> Change:
        """What changed, anywhere or (None of them) at `paths`."""
        head = self.head()
        found: Mapping[str, Stamps | None]
        known = contents.units
        if paths is None:
            found = units.scan(self.store.source, self._head_files, known)
            gone = [u for u in known if u not in found and not u.startswith(HISTORY)]
        else:
            found = units.look(self.store.source, paths, self._head_files)
            gone = [u for u, stamps in found.items() if stamps is None and u in known]
        changed = {
            unit: stamps
            for unit, stamps in found.items()
            if stamps is not None and not self._is_same(contents, unit, stamps)
        }
        start = contents.head
        if head != start and not self._leads_to(head, start):
            gone += contents.history_units()
            start = ""
        is_large = self._is_large(contents, changed, start, head)
        return Change(changed, gone, start, head, is_large)

    def _is_same(self, contents: Contents, name: str, stamps: Stamps) -> bool:
        known = contents.units.get(name)
        if known is None or known.stamps == stamps:
            return known is not None
        # In a commit the stamps are what the digests of a session's files are.
        said = tuple(stamp[0] if stamp else "" for stamp in stamps)
        return bool(self.store.commit) and units.is_session(name) and known.digests == said

    def _leads_to(self, head: str, known: str) -> bool:
        commit, _, shallow = known.partition("+")
        same = shallow == head.partition("+")[2]
        return same and self._revisions.leads_to(head.partition("+")[0], commit)

    def _is_large(
        self, contents: Contents, changed: Mapping[str, Stamps], known: str, head: str
    ) -> bool:
        size = sum(map(units.size_of, changed.values()))
        size += sum(one.size for name, one in contents.live.items() if name not in changed)
        sessions = {name for name in (*changed, *contents.live) if units.is_session(name)}
        limit = LARGE_BYTES if len(sessions) <= LARGE_UNITS_MAX else FOLD_BYTES
        if size > limit or len(changed) >= FOLD_UNITS:
            return True
        if contents.stack.database.dropped_rows > DROPPED_ROWS_MAX:
            return True  # Their memory could not be given back beside all the readers.
        start, end = (text.partition("+")[0] for text in (known, head))
        return self._revisions.count_since(start, end, FOLD_COMMITS + 1) > FOLD_COMMITS

    def updates(
        self, contents: Contents, change: Change, report: Report | None = None
    ) -> Iterator[Update]:
        """What changed, derived; then the commits."""
        now = self.store.clock.now()
        keep = not change.is_large
        for count, (name, stamps) in enumerate(change.changed.items(), start=1):
            unit = contents.units.get(name)
            digests = unit.digests if unit is not None else ()
            one = self._deriver.derive(name, contents.number_for(name), digests, keep=keep)
            if report is not None:
                report(count, len(change.changed))
            if one is not None:
                yield Update(one, units.settled(stamps, now))
        known, head = (text.partition("+")[0] for text in (change.known, change.head))
        for one in self._deriver.commits(known, head, contents.new_number):
            yield Update(one, ())


def unread(contents: Contents, change: Change, made: Collection[Update]) -> list[str]:
    """The units that were known and cannot be read any more: a rebuild would not have them."""
    read = {update.derived.name for update in made}
    return [name for name in change.changed if name not in read and name in contents.units]
