"""What must hold after every step of a simulation. Looks only at what changed."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from acontext_fs import formats, layout, progress, tasks
from acontext_fs.commits import parse_commit
from acontext_fs.daemon import batches
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import Line, Message, Task
from tests.faults.simulation_history import Node, changed
from tests.faults.simulation_model import LEARNED, SERIAL, serials_in

HAND = re.compile(rb"hand \d+")
"""What a person writes into a file holds one of these, each once in a run."""


class Violation(AssertionError):
    """Something that must hold does not."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What is known of a commit and those behind it: the batches of each session with the line
    they end at, the learnings that are in, and those that a person took back.
    """

    batches: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    learned: frozenset[bytes] = frozenset()
    rejected: frozenset[bytes] = frozenset()


@dataclass(slots=True)
class Transcript:
    """A session file as its writer knows it, and all it ever was (clean, whole lines)."""

    path: str
    content: bytes = b""
    serials: list[tuple[int, ...]] = field(default_factory=list)
    """Of the messages of each whole line."""
    clean: bytes = b""
    """The whole lines, as git stores them."""
    lineages: list[bytes] = field(default_factory=list)
    exists: bool = True
    moved_to: Transcript | None = None
    """By which name the file goes on: who has it open sees what is written there."""

    def has_been(self, text: bytes) -> bool:
        """Whether the file ever began with `text`."""
        return self.clean.startswith(text) or any(old.startswith(text) for old in self.lineages)

    def consists_of(self, text: bytes) -> bool:
        """Whether all lines of `text` were in the file at some time."""
        several, one = [self.clean, *self.lineages], self.moved_to
        while one is not None:
            several += [one.clean, *one.lineages]
            one = one.moved_to
        lines = {line for old in several for line in old.split(b"\n")}
        return all(line in lines for line in text.split(b"\n"))


@dataclass(slots=True)
class Checker:
    """The invariants, and what is remembered to check them."""

    transcripts: Mapping[str, Transcript]
    saved: set[int] = field(default_factory=set)
    """The serials that any commit or stash ever held."""
    commits: int = 0

    # -- a commit of ours -----------------------------------------------------------------------

    def ours(self, node: Node, parent: Node | None, stale: Callable[[int], str]) -> None:
        """Check a commit of the daemon; `stale` says why a job's result is no good."""
        self.commits += 1
        before = parent.tree if parent is not None else {}
        notes = notes_of(parent)
        touched: dict[SessionPlace, None] = {}
        for path in changed(before, node.tree):
            place = layout.place_of(path)
            old, new = before.get(path), node.tree.get(path)
            if place is None:
                notes = self._skill(path, old, new, notes)
            elif path == place.session_path:
                rescued = "\nSave what was read" in f"\n{node.message}"
                self.transcript(path, old, new, mixed=rescued)
                continue
            else:
                touched[place] = None
            strange = hands(new) - hands(old)
            if strange:
                raise Violation(f"{path}: uncommitted work of a person is committed: {strange}")
        ids = _batches_of(node)
        for place in touched:
            was, now = (_progress(tree, place) for tree in (before, node.tree))
            found = [_tasks(tree, place) for tree in (before, node.tree)]
            moved = node.message.startswith("Note where the lines")
            self._session(place, was, now, found, stale, moved=moved)
            known = dict(notes.batches.get(place.session_path, {}))
            for one in ids.get(str(place), ()):
                again = len(now.failures) < len(was.failures)
                if one in known and not again:
                    raise Violation(f"{place}: batch {one} is committed twice")
                known[one] = now.cursor.line
            notes = replace(notes, batches={**notes.batches, place.session_path: known})
        node.notes = notes

    def transcript(
        self, path: str, old: bytes | None, new: bytes | None, *, mixed: bool = False
    ) -> None:
        """What git gets of a session was in its file, and begins with what git had; `mixed`: its
        lines were, at one time or another.
        """
        if new is None or not new.startswith(old or b""):
            raise Violation(f"{path}: git had more of it, or something else")
        known = self.transcripts[path]
        was_there = known.consists_of(new) if mixed else known.has_been(new)
        if not was_there or (new and not new.endswith(b"\n")):
            raise Violation(f"{path}: this never stood in the file")
        self.keep(new[(old or b"").rfind(b"\n") + 1 :])

    def keep(self, data: bytes) -> None:
        """Note that git holds these lines."""
        self.saved.update(number for line in data.split(b"\n") for number in numbers_of(line))

    def _skill(self, path: str, old: bytes | None, new: bytes | None, notes: Notes) -> Notes:
        added = Counter(LEARNED.findall(new or b"")) - Counter(LEARNED.findall(old or b""))
        for key, count in added.items():
            if count > 1 or key in notes.learned:
                raise Violation(f"{path}: {key!r} is learned twice")
            if key in notes.rejected:
                raise Violation(f"{path}: {key!r} was taken back and is learned again")
        return replace(notes, learned=notes.learned | added.keys())

    def _session(
        self,
        place: SessionPlace,
        was: Progress,
        now: Progress,
        found: list[tuple[Task, ...]],
        stale: Callable[[int], str],
        *,
        moved: bool = False,
    ) -> None:
        """`moved`: lines came in between, so that what was taken stands elsewhere."""
        if now.cursor.line < was.cursor.line:
            raise Violation(f"{place}: read to line {was.cursor.line}, now {now.cursor.line}")
        job = now.carry.get("job")
        if job is not None and job != was.carry.get("job") and (why := stale(job)):
            raise Violation(f"{place}: the result of job {job} is used: {why}")
        old, new = (Counter(serials_in(one)) for one in found)
        wanted = Counter(self._taken(place, Progress() if moved else was, now))
        wanted -= old if moved else Counter()
        added = new - old
        if len(set(wanted.elements())) != wanted.total():
            added, wanted = Counter(set(added)), Counter(set(wanted))  # A line put back twice.
        if old - new or added != wanted:
            raise Violation(
                f"{place}: lines {was.cursor.line + 1}-{now.cursor.line} hold "
                f"{sorted(wanted)}, its tasks gained {sorted(added.elements())} "
                f"and lost {sorted((old - new).elements())}"
            )
        if now.learning_pending != batches.waiting(found[1], now):
            raise Violation(f"{place}: {now.learning_pending} learnings wait, it says")

    def _taken(self, place: SessionPlace, was: Progress, now: Progress) -> Iterable[int]:
        """The serials that a commit has to add to the tasks of a session."""
        have = self.transcripts[place.session_path].serials
        given_up = {n for one in now.failures for n in _lines(one.lines)}
        again = {n for one in was.failures for n in _lines(one.lines)} - given_up
        lines = set(range(was.cursor.line + 1, now.cursor.line + 1)) - given_up
        wanted = sorted(lines | (again if len(now.failures) < len(was.failures) else set()))
        return [number for at in wanted if at <= len(have) for number in have[at - 1]]

    # -- a commit of a person -------------------------------------------------------------------

    def theirs(self, node: Node, parent: Node | None, reverted: Node | None = None) -> None:
        """Note what a person's commit takes back."""
        before, notes = (parent.tree if parent is not None else {}), notes_of(parent)
        is_learning = reverted is not None and "Acontext-Kind: skills" in reverted.message
        for path in changed(before, node.tree):
            place = layout.place_of(path)
            if place is None or path == place.session_path:
                continue
            was, now = (_progress(tree, place).cursor.line for tree in (before, node.tree))
            known = notes.batches.get(place.session_path, {})
            left = {one: end for one, end in known.items() if end <= now}
            notes = replace(notes, batches={**notes.batches, place.session_path: left})
            if now < was or (reverted is not None and not is_learning):
                notes = _begun_again(notes, place, _tasks(before, place))
        gone = _learned(before) - _learned(node.tree)
        if reverted is not None:
            notes = replace(notes, learned=notes.learned - gone)
        if is_learning:
            notes = replace(notes, rejected=notes.rejected | gone)
        node.notes = notes


def _begun_again(notes: Notes, place: SessionPlace, found: tuple[Task, ...]) -> Notes:
    """Notes without what was learned from a session, whose tasks a person took back."""
    names = {task.id.encode() for task in found} | {place.session_id.encode()}

    def others(keys: frozenset[bytes]) -> frozenset[bytes]:
        return frozenset(key for key in keys if key.split(b" ")[0] not in names)

    return replace(notes, learned=others(notes.learned), rejected=others(notes.rejected))


@functools.lru_cache(maxsize=100_000)
def numbers_of(line: bytes) -> tuple[int, ...]:
    """The serials of the messages that a line holds: a broken one may still hold some."""
    if b'"role"' not in line:
        return ()
    found = formats.read_line(Line(1, 0, line), space="s", session_id="s", time="")
    texts = [record.text for record in found if isinstance(record, Message)]
    return tuple(int(n) for text in texts for n in SERIAL.findall(text))


def hands(data: bytes | None) -> set[bytes]:
    """What of a person stands in a file."""
    return set(HAND.findall(data or b""))


def notes_of(node: Node | None) -> Notes:
    """The notes of a commit."""
    return node.notes if node is not None and isinstance(node.notes, Notes) else Notes()


def _lines(both: tuple[int, int]) -> range:
    return range(both[0], both[1] + 1)


def _learned(tree: Mapping[str, bytes]) -> set[bytes]:
    skills = (data for path, data in tree.items() if "/skills/" in path)
    return {key for data in skills for key in LEARNED.findall(data)}


def _progress(tree: Mapping[str, bytes], place: SessionPlace) -> Progress:
    data = tree.get(place.progress_path)
    return Progress() if data is None else progress.decode(data, place.progress_path)


def _tasks(tree: Mapping[str, bytes], place: SessionPlace) -> tuple[Task, ...]:
    data = tree.get(place.tasks_path)
    return () if data is None else tasks.decode(data, place.tasks_path)


def _batches_of(node: Node) -> dict[str, list[str]]:
    """The batches that a commit says it holds, by session."""
    trailers = parse_commit(node.id, node.message, node.author, node.time).trailers
    names, ids = trailers.get("Acontext-Session", ()), trailers.get("Acontext-Batch", ())
    found: dict[str, list[str]] = {}
    if len(names) == len(ids):
        for name, one in zip(names, ids, strict=True):
            found.setdefault(name, []).append(one)
    return found
