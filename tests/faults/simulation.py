"""A whole life of a store in one thread: failure is a seed.

`run(seed, steps, folder)` makes a store with a daemon whose clock, model, file events, repository
and disk are played, and does one random thing after another to it: writers append, a person edits
and uses git, jobs end late or badly, the disk fills, the process dies. After every step the
invariants of `simulation_checks` hold, or `Violation` says which does not. At the end all faults
are healed, time passes, and everything has to be done that can be. The same seed does the same
things, so `run(seed, ...)` with fewer steps is the way into the middle of a run that failed.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acontext_fs import files, rescued, sessions, setup
from acontext_fs import spaces as starter
from acontext_fs.daemon import (
    buffer,
    intake,
    learnings,
    orphans,
    pipeline,
    room,
    roster,
    salvage,
    service,
    tail,
)
from acontext_fs.daemon.gate import Event
from acontext_fs.daemon.roster import Roster
from acontext_fs.daemon.service import Service
from acontext_fs.daemon.work import Workers
from acontext_fs.errors import HistoryError, StoreError
from acontext_fs.history import History
from acontext_fs.layout import SessionPlace
from acontext_fs.proposals import Proposals
from acontext_fs.revisions import Revisions
from acontext_fs.settings import Settings
from acontext_fs.source import Worktree
from acontext_fs.store import Store
from tests.faults import simulation_choice, simulation_steps
from tests.faults.simulation_checks import Checker, Transcript, Violation, hands, numbers_of
from tests.faults.simulation_history import (
    Crash,
    FakeHistory,
    FakeProposals,
    FakeRevisions,
    Node,
    Refused,
    Repository,
)
from tests.faults.simulation_model import LateExecutor, OrderedHints, Scribe, SimulatedClock

REMEMBERED_STEPS = 30
HEALING_TURNS_MAX = 1500
PIECE_LINES_MAX = 50
"""What one read may bring."""
SECRET = b"sk-SECRET"

# Small, so that a small store gets to its limits.
MAXIMA = {
    (room, "AHEAD_LINES_MAX"): 60,
    (room, "KEPT_BYTES_MAX"): 4000,
    (pipeline, "FINISHED_MAX"): 3,
    (pipeline, "ARCHIVED_AT_ONCE_MAX"): 2,
    (roster, "READERS_MAX"): 2,
    (buffer, "BATCH_LINES_MAX"): 25,
    (intake, "BATCH_LINES_MAX"): 25,
    (tail, "READ_BYTES_MAX"): 700,
    (learnings, "ASKED_AGAIN_MAX"): 1,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to."""

    seed: int
    steps: int
    commits: int
    kinds: dict[str, int]


class Failure(Exception):
    """A run that failed: its seed, the step, and what was done last."""

    world: World | None = None


def clean(line: bytes) -> bytes:
    """The redaction of a simulated store: one secret, and it gets shorter."""
    return line.replace(SECRET, b"[x]")


def stored(path: str, data: bytes) -> bytes:
    """What git stores of a file."""
    return clean(data) if "/sessions/" in path else data


@dataclass(slots=True)
class World:
    """The store, its daemon, and everybody who has to do with it."""

    seed: int
    root: Path
    random: random.Random = field(init=False)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    transcripts: dict[str, Transcript] = field(default_factory=dict)
    hands: dict[str, set[bytes]] = field(default_factory=dict)
    """What a person wrote, by the file it stands in."""
    stashes: list[dict[str, tuple[bytes | None, bytes | None]]] = field(default_factory=list)
    serial: int = 0
    ticks: int = 0
    paused: str = ""
    is_model_dead: bool = False
    is_up: bool = False
    remembered: set[bytes] = field(default_factory=set)
    """What the daemon kept in memory after its last turn."""
    said: list[str] = field(default_factory=list)
    held: set[SessionPlace] = field(default_factory=set)
    """The sessions that have lines which were read while a result of theirs waited for a person."""
    repository: Repository = field(init=False)
    checker: Checker = field(init=False)
    store: Store = field(init=False)
    service: Service = field(init=False)
    executor: LateExecutor = field(init=False)
    settings: Settings = field(init=False)
    uses_model: bool = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.uses_model = self.random.random() < 0.8
        self.clock.drag_seconds = self.random.choice((0.0, 0.0, 0.0005, 0.003))
        options: dict[str, Any] = {
            "project_session_message_buffer_max_turns": self.random.choice((3, 8, 16)),
            "project_session_message_buffer_max_overflow": self.random.choice((0, 4, 16)),
            "max_concurrency": self.random.choice((1, 2, 4)),
        }
        self.settings = Settings(**options)
        self.checker = Checker(self.transcripts)
        self.repository = Repository(self.root, stored, self.stamp, made=self._made)
        self.checker.nodes = self.repository.nodes
        self._set_up()
        self.start()

    def _set_up(self) -> None:
        texts = {"acontext.toml": setup.SETTINGS_TEXT.encode(), ".gitattributes": b"", "a.txt": b""}
        for inside, data in starter.template_files().items():
            texts[f"spaces/default/{inside}"] = data
        for path, data in texts.items():
            self.repository.put(path, data)
        self.repository.index = dict(texts)
        node = self.repository.commit_index("Set up the store", int(self.clock.now()))
        self.checker.theirs(node, None)

    def stamp(self, path: Path) -> None:
        """Give a file a time of the simulated clock that no other has."""
        self.ticks += 1
        moment = int(self.clock.now() * 1e9) + self.ticks
        os.utime(path, ns=(moment, moment))

    def _made(self, node: Node, parent: Node | None) -> None:
        before = dict(self.checker.moved)
        self.checker.ours(node, parent, self.executor.why_stale)
        for old, new in self.checker.moved.items() - before.items():
            self.hands[new] = self.hands.pop(old, set())

    # -- the daemon -----------------------------------------------------------------------------

    def start(self) -> None:
        """A daemon begins, with nothing in memory."""
        self.executor = LateExecutor(
            self._generation, getattr(self, "executor", _NONE).next, at_once=not self.uses_model
        )
        scribe = Scribe()
        slots = self.settings.max_concurrency
        workers = Workers(scribe, scribe, scribe, self.executor, slots, self.uses_model)
        self.store = Store(self.root, self.clock)
        with self._dying():
            self.service = Service(self.store, self.settings, workers, self._hear)
            self.service.hints = OrderedHints()
            self.is_up = True
            self.remembered.clear()
            self.service.begin()
            self._check_all()

    def turn(self) -> float:
        """The daemon's turn; it may die in it."""
        rest = 1.0
        if not self.is_up:
            self.start()
        if not self.is_up:
            return rest
        with self._dying():
            rest = self.service.turn()
        self._check_all()
        return rest

    def stop(self) -> None:
        """The daemon is told to end, and does."""
        with self._dying():
            self.service.end()
        self._check_all()
        if not self.repository.is_full:  # There is somewhere to put it.
            self._check_saved(self.remembered)
        self.is_up = False

    @contextlib.contextmanager
    def _dying(self) -> Iterator[None]:
        try:
            yield
        except StoreError:
            if not self.repository.is_full:
                raise
            self.is_up = False  # A daemon cannot begin, and says why.
        except Crash:
            self.is_up = False
            self.repository.crash_at = ""

    def _hear(self, event: Event) -> None:
        self.said.append(event.kind)
        expected = ("No space left", "another git process", "HEAD is detached", "is under way")
        if event.kind == "trouble" and not any(one in event.text for one in expected):
            raise Violation(f"trouble: {event.text}")

    def _generation(self, space: str, session_id: str) -> int:
        found = self.service.pipeline.roster.all.values()
        same = (s for s in found if (s.place.space, s.place.session_id) == (space, session_id))
        return next((s.generation for s in same if not s.is_duplicate), -1)

    # -- what holds after each turn ---------------------------------------------------------------

    def keep(self, place: SessionPlace, data: bytes, onto: str) -> str:
        """Keep a transcript under a ref."""
        if self.repository.is_full:
            raise HistoryError("No space left on device")
        if not self.transcripts[place.session_path].consists_of(data):
            raise Violation(f"{place}: this never stood in the file, and is kept")
        self.checker.keep(data)
        ref = f"refs/acontext/rescued/{place.session_id}-{len(data)}"
        self.repository.rescue(ref, place.session_path, data, onto)
        return ref

    def _check_all(self) -> None:
        self._check_hands()
        if self.is_up:
            self._check_memory()
            self._check_maxima()

    def _check_hands(self) -> None:
        for path in self.repository.wrote:
            missing = self.hands.get(path, set()) - hands(self.repository.raw(path))
            if missing:
                raise Violation(f"{path}: what a person wrote is gone: {missing}")
        self.repository.wrote.clear()

    def _check_maxima(self) -> None:
        found = self.service.pipeline
        sessions = list(found.roster.all.values())
        held = {id(job.session) for job in found.committer.finished if job.held}
        self.held = {
            one.place
            for one in sessions
            if id(one) in held or (one.place in self.held and one.ahead)
        }
        read = [s for s in sessions if s.buffer is not None and s.place not in self.held]
        ahead = sum(len(s.ahead) for s in read)
        # Somebody reads the last piece.
        if ahead > room.AHEAD_LINES_MAX + PIECE_LINES_MAX:
            raise Violation(f"{ahead} lines are read ahead")
        waiting = sum(not job.held for job in found.committer.finished)
        if waiting > pipeline.FINISHED_MAX + self.settings.max_concurrency + 1:
            raise Violation(f"{waiting} results wait for their commit")
        if len(self.executor.running) > self.settings.max_concurrency:
            raise Violation(f"{len(self.executor.running)} jobs run")
        kept = sum(one.kept_bytes for one in sessions)
        if kept != sum(len(line.data) + 1 for one in sessions for line in one.kept):
            raise Violation("the size of what is kept is not what it says")

    def _check_memory(self) -> None:
        """What was read and is remembered no more stands somewhere else."""
        found = _remembered(self.service.pipeline.roster)
        self._check_saved(self.remembered - found)
        self.remembered = found

    def _check_saved(self, forgotten: Set[bytes]) -> None:
        """What is not in memory any more is in a file or in git."""
        there = [one for one in self.transcripts.values() if one.exists]
        for data in forgotten:
            for number in numbers_of(data):
                in_a_file = any(number in several for one in there for several in one.serials)
                if number not in self.checker.saved and not in_a_file:
                    raise Violation(f"line {number} was read and is nowhere any more")

    def append(self, path: str, age_seconds: float) -> None:
        """The daemon wrote into a session file, which somebody had written to last so long ago."""
        transcript = self.transcripts[path]
        before = transcript.content
        simulation_steps.written(transcript, self.repository.raw(path) or b"")
        more = transcript.content.removeprefix(before)
        if before and not before.endswith(b"\n") and 0 <= age_seconds < salvage.HALF_LINE_SECONDS:
            raise Violation(f"{path}: a line that somebody writes is cut in two by {more!r}")
        lines = [line for line in transcript.clean.split(b"\n") if numbers_of(line)]
        if len(set(lines)) != len(lines):
            raise Violation(f"{path}: lines are in it twice: {more!r}")
        for line in more.split(b"\n")[:-1]:
            if not transcript.consists_of(clean(line), before=True):
                raise Violation(f"{path}: the daemon wrote what nobody wrote: {line!r}")


def _remembered(known: Roster) -> set[bytes]:
    """The lines that a daemon keeps in memory because they may be nowhere else."""
    several = [lines for one in known.all.values() for lines in (one.kept, one.aside)]
    several += [lines for one in known.all.values() for lines in one.overtaken]
    lines = {line.data for one in several for line in one}
    return lines | {line for one in known._salvage.left for line in one.lines}


_NONE = LateExecutor(lambda space, session_id: 0, 1, at_once=False)


class _Unmeasured:
    """Gauges that show nothing: what a process uses is not the same in two runs."""

    levels = ()
    is_strained = False

    def measure(self, queues: object) -> None:
        """Do nothing."""


class _Packing:
    """Upkeep that begins and ends when the simulation says so."""

    def __init__(self, world: World) -> None:
        self._world = world

    def turn(self, is_idle: bool) -> str:
        return self._world.paused

    def close(self) -> None:
        self._world.paused = ""


@contextlib.contextmanager
def replaced(*several: tuple[Any, str, Any]) -> Iterator[None]:
    """Attributes with other values, for a while."""
    before = [(where, name, getattr(where, name)) for where, name, _ in several]
    try:
        for where, name, value in several:
            setattr(where, name, value)
        yield
    finally:
        for where, name, value in reversed(before):
            setattr(where, name, value)


def _instead(real: type, fake: Callable[..., object]) -> list[tuple[Any, str, Any]]:
    """What every module of the daemon calls by the name of `real`."""
    several = [one for name, one in sorted(sys.modules.items()) if ".daemon." in name]
    return [(one, real.__name__, fake) for one in several if vars(one).get(real.__name__) is real]


@contextlib.contextmanager
def played(root: Path, holder: list[World]) -> Iterator[None]:
    """Let the daemon's neighbours be played by the world that will be in `holder`."""
    write, append = files.write_atomic, sessions.append_line

    def write_atomic(path: Path, data: bytes, mode: int = 0o644, *, durable: bool = True) -> None:
        if holder and holder[0].repository.is_full:
            raise StoreError(f"cannot write {path}: No space left on device")
        write(path, data, mode, durable=False)

    def append_line(path: Path, line: bytes) -> None:
        age_seconds = holder[0].clock.now() - path.stat().st_mtime
        append(path, line)
        holder[0].append(path.relative_to(holder[0].root).as_posix(), age_seconds)

    with replaced(
        *((where, name, value) for (where, name), value in MAXIMA.items()),
        *_instead(History, lambda root, clock=None: FakeHistory(holder[0].repository, clock)),
        *_instead(Proposals, lambda root, clock: FakeProposals(holder[0].repository, clock)),
        *_instead(Revisions, lambda root: FakeRevisions(holder[0].repository)),
        (orphans, "writers", lambda root: []),
        (service, "Gauges", lambda found: _Unmeasured()),
        (service, "Upkeep", lambda *_: _Packing(holder[0])),
        (setup, "teach_git", lambda root, environment=None: ""),
        (files, "write_atomic", write_atomic),
        (Store, "revisions", property(lambda self: FakeRevisions(holder[0].repository))),
        (Worktree, "clean", lambda self, line: clean(line)),
        (sessions, "append_line", append_line),
        (rescued, "save", lambda root, place, data, onto, clock: holder[0].keep(place, data, onto)),
        (rescued, "refs", lambda root: list(holder[0].repository.rescued)),
        (rescued, "onto", lambda root, head: holder[0].repository.rescued_on(head)),
        (rescued, "drop", lambda root, ref: holder[0].repository.rescued.pop(ref, None)),
        (rescued, "drop_found", lambda root: None),
    ):
        yield


def run(seed: int, steps: int, folder: Path, dropped: frozenset[int] = frozenset()) -> Result:
    """Play `steps` steps of `seed` in a store below `folder`, then heal all and check the end.

    Steps whose numbers are in `dropped` are chosen and not done.

    Raises:
        Failure: an invariant did not hold, or the daemon raised something.
    """
    root = folder / f"store-{seed}"
    trace: deque[str] = deque(maxlen=REMEMBERED_STEPS)
    holder: list[World] = []
    kinds: dict[str, int] = {}
    number = 0
    try:
        with played(root, holder):
            root.mkdir(parents=True)
            world = World.__new__(World)
            holder.append(world)
            world.__init__(seed, root)  # type: ignore[misc]
            choose = simulation_choice.chooser(world.random)
            for number in range(1, steps + 1):
                name, action = choose()
                own = random.Random(f"{seed}/{number}")
                if number in dropped:
                    continue
                kinds[name] = kinds.get(name, 0) + 1
                trace.append(f"{number} {name}")
                world.random = own
                with contextlib.suppress(Refused):
                    said = action(world)
                    trace[-1] += f" {said}" if said else ""
            trace.append("heal")
            simulation_steps.heal(world, HEALING_TURNS_MAX)
            return Result(seed, steps, world.checker.commits, kinds)
    except (Exception, Violation) as error:
        last = "\n  ".join(trace)
        failure = Failure(f"seed {seed}, step {number} of {steps}: {error!r}\n  {last}")
        failure.world = holder[0] if holder else None
        raise failure from error
    finally:
        shutil.rmtree(root, ignore_errors=True)
