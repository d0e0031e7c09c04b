"""What must hold after every step of a simulation. Looks only at what changed."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from acontext_fs import formats, layout, progress, tasks
from acontext_fs.commits import Commit, parse_commit
from acontext_fs.daemon import batches
from acontext_fs.daemon.names import WAS
from acontext_fs.daemon.verdicts import AGAIN, UNDOES, status_of
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import Line, Message, Task
from tests.faults.simulation_history import Node, changed
from tests.faults.simulation_model import LEARNED, SERIAL, key_of, name_of, serials_in

SERIAL_OF = re.compile(rb"(\d+)(?: \d+)?$")
"""The serial of the line that what was learned goes back to."""
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

    def consists_of(self, text: bytes, *, before: bool = False) -> bool:
        """Whether all lines of `text` were in the file at some time; `before`: are no more."""
        several, one = [*self.lineages, *(() if before else (self.clean,))], self.moved_to
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
    nodes: Mapping[str, Node] = field(default_factory=dict)
    """All commits there are."""
    names: dict[bytes, bytes] = field(default_factory=dict)
    """What sessions were called that go on under another name."""
    moved: dict[str, str] = field(default_factory=dict)
    """Where their tasks are that were elsewhere."""
    twins: set[str] = field(default_factory=set)
    """The files that were renamed and came back under the old name: copies, which are sessions of
    their own, and are read as such."""

    # -- a commit of ours -----------------------------------------------------------------------

    def ours(self, node: Node, parent: Node | None, stale: Callable[[int], str]) -> None:
        """Check a commit of the daemon; `stale` says why a job's result is no good."""
        self.commits += 1
        renamed = ((path, one) for path, one in self.transcripts.items() if one.moved_to)
        self.twins.update(path for path, one in renamed if one.exists)
        before, notes = self._renamed(parent.tree if parent is not None else {}, node, parent)
        notes = self._decided(notes, node)
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
        self._noted(node, self._learned(node.tree) - self._learned(before))
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

    def _renamed(
        self, before: Mapping[str, bytes], node: Node, parent: Node | None
    ) -> tuple[Mapping[str, bytes], Notes]:
        """The tree before a commit of ours, and what is known by then, by the names that sessions
        have after it.
        """
        made, notes = parse_commit(node.id, node.message, node.author, node.time), notes_of(parent)
        olds = [layout.place_of(path) for path in self.transcripts]
        for old in [one for one in olds if str(one) in made.trailers.get(WAS, ())]:
            new = next(one for one in olds if str(one) == made.trailer("Acontext-Session"))
            assert old is not None
            assert new is not None
            paths = {
                old.session_path: new.session_path,
                old.tasks_path: new.tasks_path,
                old.progress_path: new.progress_path,
            }
            have = before.get(old.session_path, b"")
            if old.session_path in node.tree:
                del paths[old.session_path]  # The transcript goes there later.
                have = b""
            before = {paths.get(path, path): data for path, data in before.items()}
            # Half a line that a person committed comes again with the rest of it.
            before |= {new.session_path: have[: have.rfind(b"\n") + 1]} if have else {}
            known = notes.batches.get(old.session_path, {})
            notes = replace(
                notes, batches={**notes.batches, new.session_path: known, old.session_path: {}}
            )
            self.moved[old.tasks_path] = new.tasks_path
            was = old.session_id.encode()
            self.names[new.session_id.encode()] = self.names.get(was, was)
        return before, notes

    def _key(self, key: bytes) -> bytes:
        """What a learning is known by, by the first name of its session."""
        name = re.match(rb"[^/ ]*", key)
        assert name is not None
        return self.names.get(name[0], name[0]) + key[name.end() :]

    def _key_of(self, task: Task) -> bytes:
        return self._key(key_of(task).encode())

    def _learned(self, tree: Mapping[str, bytes]) -> set[bytes]:
        return {self._key(key) for key in _learned(tree)}

    def _decided(self, notes: Notes, node: Node) -> Notes:
        """Notes with what a person decided about learnings, as a commit of ours says."""
        made = parse_commit(node.id, node.message, node.author, node.time)
        for name in made.trailers.get(UNDOES, ()):
            undone = self._taught(self.nodes[name])
            for task in self._tasks_of(made, node):
                if self._key_of(task) in undone and status_of(task) != "rejected":
                    raise Violation(f"{key_of(task)} is undone, and its task is {status_of(task)}")
            notes = replace(notes, learned=notes.learned - undone, rejected=notes.rejected | undone)
        ids = {*made.trailers.get(AGAIN, ())}
        about = [task for task in self._tasks_of(made, node) if task.id in ids]
        wanted = frozenset(self._key_of(task) for task in about)
        notes = replace(notes, rejected=notes.rejected - wanted)
        if not node.message.startswith("Do not learn: "):
            return notes
        ids = {*made.trailers.get("Acontext-Task", ())}
        about = [task for task in self._tasks_of(made, node) if task.id in ids]
        declined = {self._key_of(task) for task in about if status_of(task) == "rejected"}
        return replace(notes, rejected=notes.rejected | declined)

    def _tasks_of(self, made: Commit, node: Node) -> tuple[Task, ...]:
        """The tasks of the session that a commit speaks of, as they are in it."""
        names = made.trailers.get("Acontext-Session", ())
        places = (layout.place_of(path) for path in self.transcripts)
        found = [one for one in places if one is not None and str(one) in names]
        return tuple(task for place in found for task in _tasks(node.tree, place))

    def _noted(self, node: Node, added: frozenset[bytes]) -> None:
        """What is learned is noted with its task, also if a person accepted it."""
        made = parse_commit(node.id, node.message, node.author, node.time)
        for task in self._tasks_of(made, node) if added else ():
            if self._key_of(task) in added and status_of(task) != "learned":
                raise Violation(f"{key_of(task)} is learned, and its task is {status_of(task)}")

    def _taught(self, node: Node) -> frozenset[bytes]:
        before = self.nodes[node.parents[0]].tree if node.parents else {}
        return self._learned(node.tree) - self._learned(before)

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
        found = (Counter(map(self._key, LEARNED.findall(text or b""))) for text in (new, old))
        added = next(found) - next(found)
        for key, count in added.items():
            if (count > 1 or key in notes.learned) and not self._is_doubled(key):
                raise Violation(f"{path}: {key!r} is learned twice")
            if key in notes.rejected and not self._is_doubled(key):
                raise Violation(f"{path}: {key!r} was taken back and is learned again")
        return replace(notes, learned=notes.learned | added.keys())

    def _is_doubled(self, key: bytes) -> bool:
        """Whether the line that opened a task came twice: put back, glued to another one, or in a
        file that came back beside the one it had become.
        """
        name, number = re.split(rb"[/ ]", key)[0], SERIAL_OF.search(key)
        ids = {name, *(new for new, old in self.names.items() if old == name)}
        ends = tuple(f"/{one.decode()}.jsonl" for one in ids)
        found = [path for path in self.transcripts if path.endswith(ends)]
        if self.twins.intersection(found):
            return True
        lines = [one for path in found for one in self.transcripts[path].serials]
        return number is not None and sum(one.count(int(number[1])) for one in lines) > 1

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
        # A line put back twice, or behind half of it that other lines were glued to.
        several = Counter(n for one in self._serials(place) for n in one)
        twice = {number for number in wanted if several[number] > 1 and old[number]}
        if twice or len(set(wanted.elements())) != wanted.total():
            added, wanted = Counter(set(added) - twice), Counter(set(wanted) - twice)
        if old - new or added != wanted:
            raise Violation(
                f"{place}: lines {was.cursor.line + 1}-{now.cursor.line} hold "
                f"{sorted(wanted)}, its tasks gained {sorted(added.elements())} "
                f"and lost {sorted((old - new).elements())}"
            )
        if now.learning_pending != batches.waiting(found[1], now):
            raise Violation(f"{place}: {now.learning_pending} learnings wait, it says")

    def _serials(self, place: SessionPlace) -> list[tuple[int, ...]]:
        return self.transcripts[place.session_path].serials

    def _taken(self, place: SessionPlace, was: Progress, now: Progress) -> Iterable[int]:
        """The serials that a commit has to add to the tasks of a session."""
        have = self._serials(place)
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
                found = (name_of(task).encode() for task in _tasks(before, place))
                names = {self._key(one) for one in (place.session_id.encode(), *found)}
                notes = _begun_again(notes, names)
        gone = self._learned(before) - self._learned(node.tree)
        if reverted is not None:
            notes = replace(notes, learned=notes.learned - gone)
        if is_learning:
            notes = replace(notes, rejected=notes.rejected | gone)
        node.notes = notes

    def merged(self, node: Node, sides: tuple[Node, Node, Node]) -> None:
        """Note what a person's merge (of base, HEAD and another commit) brings together."""
        base, ours, theirs = map(notes_of, sides)
        paths = ours.batches.keys() | theirs.batches.keys()
        both = {
            path: {**theirs.batches.get(path, {}), **ours.batches.get(path, {})} for path in paths
        }
        node.notes = Notes(
            both,
            _both(base.learned, ours.learned, theirs.learned),
            _both(base.rejected, ours.rejected, theirs.rejected),
        )


def _both(
    base: frozenset[bytes], ours: frozenset[bytes], theirs: frozenset[bytes]
) -> frozenset[bytes]:
    return (ours | theirs) - (base - ours) - (base - theirs)


def _begun_again(notes: Notes, names: Set[bytes]) -> Notes:
    """Notes without what was learned from a session, whose tasks a person took back."""

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
