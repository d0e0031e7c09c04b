"""Steps as lines of progress: merged, counted, with how they ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from acontext_fs.daemon.extract.commands import Purpose
from acontext_fs.daemon.extract.words import MAX_LINE, bound, fold

Kind: TypeAlias = Literal["list", "each", "silent", "handover"]
"""list: repeats are merged into one line; each: a line of its own, unless it is the same again;
silent: no progress; handover: the agent gives the task to a person."""

MAX_ITEMS = 3
"""Items named in a merged line; the rest is counted."""

_LOOKS = frozenset(("Read", "Searched for", "Listed", "Checked", "Looked at"))


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the agent did: "Read" "a.py", or "Booked reservation" "(user_id=u1)"."""

    kind: Kind
    head: str
    item: str = ""
    purpose: Purpose = ""

    @property
    def is_look(self) -> bool:
        """Does it only look at files?"""
        return self.head in _LOOKS


@dataclass(frozen=True, slots=True)
class Tally:
    """Steps that share one line. `items` are the first distinct ones, `total` counts all."""

    head: str
    items: tuple[str, ...]
    more: int = 0
    total: int = 1
    note: str = ""


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
    if last.note != new.note or not (last.head == new.head or _are_looks(last, new)):
        return None
    head = last.head if last.head == new.head else "Looked at"
    total = last.total + new.total
    if last.items == new.items:
        return Tally(head, last.items, last.more, total, last.note)
    if kind != "list" or last.note or not new.items:
        return None
    if new.items[0] in last.items:
        return Tally(head, last.items, last.more, total)
    if len(last.items) < MAX_ITEMS and len(render(last)) + len(new.items[0]) < MAX_LINE - 20:
        return Tally(head, (*last.items, new.items[0]), last.more, total)
    return Tally(head, last.items, last.more + 1, total)


def _are_looks(last: Tally, new: Tally) -> bool:
    return last.head in _LOOKS and new.head in _LOOKS


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
