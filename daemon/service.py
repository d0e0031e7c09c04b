"""The daemon: a loop around `Pipeline.step` that also rescans, listens to requests and says how it
is going. Owning the store (`acontext_fs.owning.own`) is the caller's; so are signals.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from acontext_fs import files, pruning, requests, setup
from acontext_fs.daemon import power_cut
from acontext_fs.daemon.capture.capture import Capture
from acontext_fs.daemon.gate import Event
from acontext_fs.daemon.gauges import FOLDERS_MAX, REQUESTS_MAX, Gauges, Queues
from acontext_fs.daemon.pipeline import Pipeline
from acontext_fs.daemon.state_file import StateFile
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.daemon.upkeep import Upkeep
from acontext_fs.daemon.watch import HINTS_MAX, Hints, Watcher
from acontext_fs.daemon.work import Workers
from acontext_fs.errors import AcontextError, HistoryError, StoreError
from acontext_fs.owning import lock_identity
from acontext_fs.requests import Request
from acontext_fs.settings import Settings
from acontext_fs.store import Store

_DECISIONS = ("undo", "again", "accept", "reject")
RETRY_SECONDS = 1.0
"""How soon to go on after a duty failed."""
RESCAN_SECONDS_MIN = 5.0
RESCAN_SECONDS_MAX = 60.0
CAPTURE_SECONDS = 0.2
"""How long a turn takes transcripts in before the sessions get their turn."""
STRAINED_SECONDS = 5.0
"""How often it does so while memory is short."""
RESCAN_SHARE = 0.005
"""How much of one core rescans may take: a store that takes long to scan is scanned less often."""


@dataclass(slots=True)
class _Open:
    """A request being worked on, and how large its sessions were when it was made: a session that
    is written to all the time is done once it was read as far as that.
    """

    request: Request
    sessions: list[Tracked]
    goals: dict[str, int]


class Service:
    """Runs a pipeline until it is told to stop. All but `stop` is for one thread."""

    def __init__(
        self,
        store: Store,
        options: Settings,
        workers: Workers,
        report: Callable[[Event], None] = lambda event: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` is what git is run with."""
        self._report = report
        self.hints = Hints()
        self.pipeline = Pipeline(store, options, workers, report, self.hints.wake)
        self.store = store
        self.capture: Capture | None = None
        self._watcher: Watcher | None = None
        self._options = options
        self._environment = environment
        self._upkeep = Upkeep(store.root, store.clock, self._say, environment)
        self._stopping = False
        self._lock: tuple[int, int] | None = None
        self._rescan_at = 0.0
        self._open: list[_Open] = []
        self._gauges = Gauges(self.pipeline)
        self._state_file = StateFile(self.pipeline)
        self._watched: set[Path] = set()
        self._hinted = 0
        self._taken_in_at = -STRAINED_SECONDS
        self._said = ""
        self._said_of_capture: dict[str, str] = {}

    def stop(self) -> None:
        """End `run` soon; safe from a signal handler or another thread."""
        self._stopping = True
        self.hints.wake()

    def run(self, say: Callable[[str], None]) -> None:
        """Work until `stop`; `say` hears what is worth a line at the start.

        Raises:
            AcontextError: the store cannot be read or its repository not be used.
        """
        self.begin()
        root = self.store.layout
        files.make_folder(requests.folder(root))
        self._watched = {root.spaces, requests.folder(root)}
        self._watcher = Watcher(sorted(self._watched), self.hints)
        problem = self._watcher.start()
        if problem:
            say(problem)
        try:
            self.start_capture()
            while not (self._stopping or self._is_disowned()):
                self.hints.wait(self.turn())
        finally:
            self._watcher.stop()
            self.end()
        if self._is_disowned():
            raise StoreError(
                f"{self.store.layout.local} was deleted under this daemon, and with it the lock "
                "that makes it the only one; nothing is lost, start it again"
            )

    def _is_disowned(self) -> bool:
        """Whether the lock of the store is not the one that was held when this began."""
        return lock_identity(self.store.layout) != self._lock

    def start_capture(self) -> None:
        """Take in from now on what attached agents write.

        Raises:
            AcontextError: a redaction pattern is broken, or the list of sources is damaged.
        """
        clean = self.pipeline.committer.worktree.clean
        capture = Capture(self.store, self._options, self._say, clean=clean)
        capture.rescan()
        self.capture = capture
        self._watch_sources(capture)

    def begin(self) -> None:
        """Finish what a crash cut off, and find out what there is."""
        self._lock = lock_identity(self.store.layout)
        history = self.pipeline.committer.history
        try:
            history.recover()
        except HistoryError as error:
            self._trouble(str(error))  # Every commit begins with another attempt.
        pruning.settle(self.store, history)
        problem = setup.teach_git(self.store.root, self._environment)
        if problem:
            self._say(problem)
        if power_cut.was(self.store.layout):
            clean = self.pipeline.committer.worktree.clean
            power_cut.mend(self.store, history, clean, self._say)
        self._rescan()
        power_cut.note(self.store.layout, clean=False)

    def turn(self) -> float:
        """One round; returns how many seconds the next may wait."""
        paths, overflown = self.hints.take()
        self._hinted = HINTS_MAX if overflown else len(paths)
        self._note(paths)
        now = self.store.clock.monotonic()
        rest = RETRY_SECONDS
        # One duty that fails must not take the others down: a full disk forbids to publish the
        # state, and is over some time.
        try:
            if overflown or now >= self._rescan_at or self.pipeline.roster.has_moved():
                self._rescan()
            self._take_requests()
            self.pipeline.committer.history.settle()
            self._keep_up()
            rest = min(self._take_in(), self.pipeline.step())
            if self._answer_requests():
                rest = 0.0
            self._publish()
            self._said = ""
        except (AcontextError, OSError, ValueError, RecursionError) as error:
            self._trouble(str(error))
        return max(0.0, min(rest, self._rescan_at - self.store.clock.monotonic()))

    def end(self) -> None:
        """Commit what is done, archive, and tell those who wait that nobody works any more."""
        if self._is_disowned():
            self.pipeline.workers.close()
            return  # Who owns the store by now finds all there is.
        try:
            self._upkeep.close()
            self.pipeline.committer.paused = ""
            self.pipeline.finish()
            for waiting in list(self._open):
                self._reply(waiting, ["the daemon was stopped before all was done; run it again"])
            self._publish()  # What is left waiting, and why, for `status`.
            power_cut.note(self.store.layout, clean=True)
        except (AcontextError, OSError) as error:
            self._trouble(str(error))
        self.pipeline.roster.close()
        self.pipeline.workers.close()

    def _keep_up(self) -> None:
        """Let git pack the repository while there is nothing else to do; commits wait for it."""
        busy = self._open or self.pipeline.roster.active() or self.pipeline.why_waiting()
        taking_in = self.capture is not None and not self.capture.is_idle
        self.pipeline.committer.paused = self._upkeep.turn(not busy and not taking_in)

    def _note(self, paths: set[str]) -> None:
        """Paths that events named deserve a look."""
        root = str(self.store.root) + os.sep
        for path in paths:
            if path.startswith(root):
                self.pipeline.roster.note(path[len(root) :].replace(os.sep, "/"))
            if self.capture is not None:
                self.capture.note(path)  # A store may stand around what it captures.

    def _trouble(self, reason: str) -> None:
        """Say once what went wrong; it is tried again."""
        if reason != self._said:
            self._said = reason
            self._report(Event("trouble", None, f"{reason}; it is tried again"))

    # -- what attached agents write -----------------------------------------------------------

    def _take_in(self) -> float:
        """Take transcripts in for a while; returns when to do so again. Trouble stays in here."""
        if self.capture is None:
            return RESCAN_SECONDS_MAX
        now = self.store.clock.monotonic()
        if self._gauges.is_strained and now < self._taken_in_at + STRAINED_SECONDS:
            return self._taken_in_at + STRAINED_SECONDS - now
        self._taken_in_at = now
        try:
            if self.capture.has_changed():
                self._rescan_sources()
            taken = self.capture.turn(CAPTURE_SECONDS)
        except (AcontextError, OSError, ValueError, RecursionError) as error:
            self._not_captured("turn", str(error))
            return RETRY_SECONDS
        self._not_captured("turn", "")
        self.pipeline.committer.blobs |= taken.blobs
        for path in sorted(taken.sessions):
            self.pipeline.roster.note(path)
        return taken.rest_seconds

    def _rescan_sources(self) -> None:
        if self.capture is None:
            return
        try:
            self.capture.rescan()
        except (AcontextError, OSError, ValueError) as error:
            self._not_captured("rescan", str(error))  # Sessions go on all the same.
            return
        self._not_captured("rescan", "")
        self._watch_sources(self.capture)

    def _not_captured(self, what: str, reason: str) -> None:
        """Say once why nothing new is captured."""
        if reason and reason != self._said_of_capture.get(what):
            self._say(f"nothing new is captured: {reason}; it is tried again")
        self._said_of_capture[what] = reason

    def _watch_sources(self, capture: Capture) -> None:
        for folder in capture.roots if self._watcher is not None else ():
            if folder not in self._watched:
                problem = self._watch(folder)
                if problem and self._said_of_capture.get(str(folder)) != problem:
                    self._said_of_capture[str(folder)] = problem
                    self._say(f"{folder}: {problem}")

    def _watch(self, folder: Path) -> str:
        """Watch one more folder; "" or why not."""
        assert self._watcher is not None
        if len(self._watched) >= FOLDERS_MAX:
            return f"{FOLDERS_MAX} folders are watched already; changes are found by rescans"
        self._watched.add(folder)
        return self._watcher.add(folder)

    def _say(self, text: str) -> None:
        self._report(Event("trouble", None, text))

    # -- rescans ----------------------------------------------------------------------------------

    def _rescan(self) -> None:
        clock = self.store.clock
        start = clock.monotonic()
        self.pipeline.roster.scan()
        self._rescan_sources()
        took = clock.monotonic() - start
        pause = min(max(RESCAN_SECONDS_MIN, took / RESCAN_SHARE), RESCAN_SECONDS_MAX)
        self._rescan_at = clock.monotonic() + pause

    # -- requests ---------------------------------------------------------------------------------

    def _take_requests(self) -> None:
        known = {waiting.request.id for waiting in self._open}
        for request in requests.pending(self.store.layout):
            captures = request.action == "capture"
            if request.id in known or (captures and self.capture is None):
                continue
            if len(self._open) >= REQUESTS_MAX:
                break  # The others wait where they are.
            self._rescan()
            if captures:
                self._open.append(_Open(request, [], {}))
                continue
            if request.action in _DECISIONS and self._decide(request):
                continue
            chosen = self.pipeline.roster.select(request.sessions)
            learn_only = request.action in ("learn", "again")
            if request.action != "again":
                self.pipeline.hurry(chosen, learn_only=learn_only, failed=request.failed)
            self._open.append(_Open(request, chosen, self.pipeline.roster.sizes(chosen)))

    def _decide(self, request: Request) -> bool:
        """Do what a person decided about one learning; whether that is all there is to do."""
        if request.action == "undo":
            reply = self.pipeline.undo(request.about)
        elif request.action in ("accept", "reject"):
            reply = self.pipeline.decide(request.about, accept=request.action == "accept")
        else:
            path = next(iter(request.sessions), "")
            reply = self.pipeline.want_again(path, request.about)
        is_over = request.action != "again" or bool(reply.problems)
        if is_over:
            root = self.store.layout
            requests.answer(root, request, reply.problems, reply.commit, soon=reply.soon)
        return is_over

    def _answer_requests(self) -> bool:
        answered = False
        for waiting in list(self._open):
            if waiting.request.action == "capture":
                if self.capture is not None and self.capture.is_idle:
                    self._reply(waiting, self.capture.problems())
                    answered = True
                continue
            learn_only = waiting.request.action in ("learn", "again")
            for session in waiting.sessions:
                self.pipeline.stop_hurrying(session, waiting.goals[session.place.session_path])
            problems = outcome(self.pipeline, waiting.sessions, learn_only=learn_only)
            if problems is not None:
                self._reply(waiting, problems)
                answered = True
        return answered

    def _reply(self, waiting: _Open, problems: Sequence[str]) -> None:
        self._open.remove(waiting)
        requests.answer(self.store.layout, waiting.request, problems)

    # -- how it is going --------------------------------------------------------------------------

    def _publish(self) -> None:
        """Measure what there is, and tell it."""
        self._gauges.measure(Queues(self._hinted, len(self._open), len(self._watched)))
        is_capturing = self.capture is not None and self.capture.sources
        more = {"capture": self.capture.state()} if is_capturing and self.capture else {}
        self._state_file.tell(self._gauges.levels, more)


def outcome(
    pipeline: Pipeline, chosen: Sequence[Tracked], *, learn_only: bool = False
) -> list[str] | None:
    """What could not be done for these sessions, [] if all is done; None while work goes on.

    With `learn_only`, what counts is that nothing waits to be learned.
    """
    waiting = pipeline.why_waiting()
    is_done = pipeline.is_learned if learn_only else pipeline.is_done
    left = [session for session in chosen if not is_done(session)]
    if left and (not waiting or pipeline.committer.is_passing()):
        return None
    # What another machine has read comes with a pull: here there is nothing to do for it.
    named = [session for session in chosen if not session.is_behind]
    stuck = [f"{s.place}: {why}" for s in named if (why := pipeline.why_stuck(s))]
    return list(dict.fromkeys([*([waiting] if left else []), *stuck]))
