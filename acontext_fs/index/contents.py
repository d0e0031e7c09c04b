"""What an open index holds: which unit is where, the live rows, and how both change.

For one thread at a time. Every change ends in a state that can be asked; one that fails leaves the
state before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from acontext_fs import files
from acontext_fs.errors import StoreError
from acontext_fs.index import generations, layering, rows, units
from acontext_fs.index.deriving import HISTORY, Derived, same_messages
from acontext_fs.index.generations import LIVE, Generation, Layer, Unit
from acontext_fs.index.stack import Stack
from acontext_fs.index.units import Stamps
from acontext_fs.store import Store

OPEN_ATTEMPTS_MAX = 3
"""How often the newest generation is looked for again when its files vanish under our hands."""
MERGE_ROWS_MAX = 50_000
"""How many rows are merged by the way; more are left to `merge`."""


@dataclass(frozen=True, slots=True)
class Update:
    """A unit that may have changed: what was derived of it, and the stamps it was derived at.

    `derived` has no rows where only the stamps are new.
    """

    derived: Derived
    stamps: Stamps


class Summary(NamedTuple):
    """Layers on disk, their rows of messages (dead ones too), rows in memory, bytes on disk."""

    layers: int
    layer_rows: int
    live_rows: int
    size_bytes: int


class Contents:
    """The units and rows of the index of `store`, whose generations are in `folder`.

    New layers are written to `work`; with `may_publish` that is `folder`, and other processes see
    them.
    """

    def __init__(
        self, store: Store, folder: Path, work: Path, *, may_publish: bool, anew: bool = False
    ) -> None:
        """Open the newest generation; with `anew` none, so that all is derived again."""
        self._root = store.root
        self._clock = store.clock
        self._folder = folder
        self._work = work
        self._may_publish = may_publish
        self.units: dict[str, Unit] = {}
        self.head = ""
        self.ids: dict[str, frozenset[str]] = {}
        self.live: dict[str, Derived] = {}
        self._dead: list[set[int]] = []
        self._superseded: list[Layer] = []
        self._next_unit = 1
        self.stack = self._start() if anew else self._open()

    # -- opening --------------------------------------------------------------------------------

    def is_behind(self) -> bool:
        """Whether the generation on disk is another: a newer one, or one that was begun anew."""
        if not self._may_publish:
            return False
        newest = generations.newest_number(self._folder)
        return newest != self.stack.generation.number or self.is_gone()

    def is_gone(self) -> bool:
        """Whether the files that are open have been removed."""
        return not all(layer.database.exists() for layer in self.stack.generation.layers)

    def _open(self) -> Stack:
        for _ in range(OPEN_ATTEMPTS_MAX):
            found = generations.latest(self._folder)
            if found is None:
                break
            try:
                return self._adopt(found)
            except StoreError:
                continue  # Swept by another process between two steps, or damaged.
        return self._start()

    def _start(self) -> Stack:
        """Nothing yet; numbered above what is there, so that what comes of it counts."""
        return self._adopt(Generation(generations.newest_number(self._folder)))

    def _adopt(self, generation: Generation) -> Stack:
        stack = Stack(generation, self._root)
        dead = generation.dead or ((),) * len(generation.layers)
        pairs = [(layer, unit) for layer, numbers in enumerate(dead) for unit in numbers]
        stack.database.change({}, pairs, [])
        self.units = dict(generation.units)
        self.head = generation.head
        self.live = {}
        self._dead = [set(numbers) for numbers in dead]
        self._next_unit = generation.next_unit
        ids: dict[str, frozenset[str]] = {}
        for name in self.units:
            _note_id(ids, name)
        self.ids = ids
        return stack

    def discard(self) -> None:
        """Forget the generation that is open, for all processes: it is damaged."""
        if self._may_publish:
            generations.discard(self._folder, self.stack.generation.number)

    def reopen(self) -> Stack:
        """Go over to the newest generation; returns the stack before, to be left by the caller."""
        before = self.stack
        if self._may_publish:
            files.make_folder(self._folder)
        self.stack = self._open()
        return before

    # -- units ----------------------------------------------------------------------------------

    def new_number(self) -> int:
        """A number for a unit; unique in this index."""
        self._next_unit += 1
        return self._next_unit - 1

    def number_for(self, name: str) -> int:
        """The number of a unit's rows to come: a live unit keeps its own."""
        known = self.units.get(name)
        return known.number if known is not None and known.layer == LIVE else self.new_number()

    @property
    def live_rows(self) -> int:
        return sum(len(rows) for one in self.live.values() for rows in one.rows.values())

    def summary(self) -> Summary:
        """How large the index is, on disk and in memory."""
        layers = self.stack.generation.layers
        sizes = [path.stat().st_size for one in layers for path in (one.database, one.texts)]
        return Summary(len(layers), sum(one.rows for one in layers), self.live_rows, sum(sizes))

    def history_units(self) -> list[str]:
        return [name for name in self.units if name.startswith(HISTORY)]

    def _forget(self, name: str) -> None:
        del self.units[name]
        self.live.pop(name, None)
        if units.is_session(name):
            session_id = units.session_id_of(name)
            left = self.ids.get(session_id, frozenset()) - {name}
            if left:
                self.ids[session_id] = left
            else:
                self.ids.pop(session_id, None)

    # -- changing in memory ---------------------------------------------------------------------

    def apply(self, updates: Iterable[Update], gone: Collection[str], head: str) -> bool:
        """Take a small change into memory; whether any row changed."""
        dropped: dict[int, int] = {}
        dead: list[tuple[int, int]] = []
        added: list[rows.Rows] = []
        removed_texts: list[tuple[int, str]] = []
        added_texts: list[tuple[int, str]] = []
        updates = list(updates)
        for name in gone:
            unit = self.units[name]
            if unit.layer == LIVE:
                dropped[unit.number] = 0
                removed_texts += rows.texts(self.live[name].rows)
            else:
                dead.append((unit.layer, unit.number))
        for update in updates:
            one = update.derived
            if not one.rows:
                continue
            before = self.units.get(one.name)
            kept = 0
            if before is not None and before.layer == LIVE:
                old = self.live[one.name]
                kept = dropped[one.number] = same_messages(old.rows, one.rows)
                removed_texts += rows.texts(_behind(old, kept))
            elif before is not None:
                dead.append((before.layer, before.number))
            added.append(_behind(one, kept))
            added_texts += rows.texts(added[-1])
        if dropped or dead or added:
            self.stack.moves += 1
            self.stack.database.change(dropped, dead, added)
            self.stack.live_texts.remove(removed_texts)
            self.stack.live_texts.add(added_texts)
            self.stack.moves += 1
        self._settle(updates, gone, dead, head)
        return bool(dropped or dead or added)

    def _settle(
        self,
        updates: Iterable[Update],
        gone: Collection[str],
        dead: Iterable[tuple[int, int]],
        head: str,
    ) -> None:
        for layer, number in dead:
            self._dead[layer].add(number)
        for name in gone:
            self._forget(name)
        for update in updates:
            one = update.derived
            if one.rows:
                self.units[one.name] = Unit(one.number, LIVE, update.stamps, one.digests)
                self.live[one.name] = one
                _note_id(self.ids, one.name)
            else:
                self.units[one.name] = replace(self.units[one.name], stamps=update.stamps)
        self.head = head

    # -- changing on disk -----------------------------------------------------------------------

    def fold(
        self,
        updates: Iterable[Update],
        names: Collection[str],
        head: str,
        gone: Collection[str] = (),
    ) -> Stack | None:
        """Write what changed and what is live into a new layer, and go over to it.

        `names` are the units that may be among `updates`. Returns the stack before, to be left by
        the caller; None if another process was faster and the change has to be made upon its work.

        Raises:
            StoreError: the layer cannot be written.
        """
        number = len(self.stack.generation.layers)
        found = dict(self.units)
        dead = [set(numbers) for numbers in self._dead]
        for name in gone:
            _drop(found, dead, name)
        layer = layering.write(self._work, self._moved(updates, names, found, dead, number))
        made = Generation(
            self.stack.generation.number + 1,
            (*self.stack.generation.layers, layer),
            found,
            self._next_unit,
            head,
            (*(tuple(sorted(numbers)) for numbers in dead), ()),
        )
        return self._go_over(made, layer)

    def _moved(
        self,
        updates: Iterable[Update],
        names: Collection[str],
        found: dict[str, Unit],
        dead: list[set[int]],
        number: int,
    ) -> Iterator[Derived]:
        """The units for a layer; on the way `found` and `dead` become what they are with it."""
        for name, one in self.live.items():
            if name not in names and name in found:
                found[name] = replace(found[name], layer=number)
                yield one
        unread = set(names)
        for update in updates:
            one = update.derived
            unread.discard(one.name)
            before = found.get(one.name)
            if one.rows:
                if before is not None and before.layer != LIVE:
                    dead[before.layer].add(before.number)
                found[one.name] = Unit(one.number, number, update.stamps, one.digests)
                yield one
            elif before is not None:
                moved = number if before.layer == LIVE else before.layer
                found[one.name] = replace(before, stamps=update.stamps, layer=moved)
                if before.layer == LIVE:
                    yield self.live[one.name]
        for name in unread:  # They could not be read; they are looked at again.
            _drop(found, dead, name)

    def merge(self, rows_max: int | None = None) -> Stack | None:
        """Merge the layers that are due, unless that is more than `rows_max`; see `fold`."""
        generation = self.stack.generation
        sizes = [layer.rows for layer in generation.layers]
        if len(sizes) < 2 or self.live:
            return None
        start = layering.merge_from(sizes)
        if start == len(sizes) - 1 or (rows_max is not None and sum(sizes[start:]) > rows_max):
            return None
        merged = generation.layers[start:]
        try:
            layer = layering.write(self._work, (), merged=merged, dead=self._dead[start:])
        except StoreError:
            if self.is_behind():  # Another process merged them, and swept.
                return None
            raise
        made = Generation(
            generation.number + 1,
            (*generation.layers[:start], layer),
            {n: replace(u, layer=min(u.layer, start)) for n, u in self.units.items()},
            self._next_unit,
            self.head,
            (*(tuple(sorted(numbers)) for numbers in self._dead[:start]), ()),
        )
        return self._go_over(made, layer)

    def _go_over(self, made: Generation, layer: Layer) -> Stack | None:
        before = self.stack
        try:
            if self._may_publish:
                # From now on nobody needs them; a reader may for the time of grace.
                generations.touch(
                    set(before.generation.layers) - set(made.layers), self._clock.now()
                )
                if not generations.publish(self._folder, made):
                    layer.unlink()
                    return None
        except StoreError:
            layer.unlink()
            raise
        try:
            self.stack = self._adopt(made)
        except StoreError:
            if self.is_behind():  # Another process merged and swept it in this very moment.
                return None
            raise
        if self._may_publish:
            generations.sweep(self._folder, made, self._clock.now())
        else:
            # The last but one: of the last, a reader may just be opening the texts.
            for old in self._superseded:
                old.unlink()
            dropped = set(before.generation.layers) - set(made.layers)
            self._superseded = [old for old in dropped if old.stem.parent == self._work]
        return before


def _note_id(ids: dict[str, frozenset[str]], name: str) -> None:
    if units.is_session(name):
        # A new set each time: other threads read them meanwhile.
        session_id = units.session_id_of(name)
        ids[session_id] = ids.get(session_id, frozenset()) | {name}


def _drop(found: dict[str, Unit], dead: list[set[int]], name: str) -> None:
    unit = found.pop(name, None)
    if unit is not None and unit.layer != LIVE:
        dead[unit.layer].add(unit.number)


def _behind(one: Derived, kept: int) -> rows.Rows:
    """The rows of a unit without the first `kept` messages."""
    return {**one.rows, "messages": one.messages[kept:]}
