"""Takes in what is attached, from the command line: by itself, or by asking a running daemon."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from acontext_fs.cli import show, wiring
from acontext_fs.cli.capture import daemon_state, size_text
from acontext_fs.errors import DaemonRunning, StoreError

if TYPE_CHECKING:
    from types import FrameType

    from acontext_fs.daemon.capture.capture import Capture
    from acontext_fs.daemon.capture.sources import Source
    from acontext_fs.daemon.service import Service
    from acontext_fs.daemon.tracked import Tracked
    from acontext_fs.settings import Settings
    from acontext_fs.store import Store

COMMIT_SESSIONS_MAX = 100
COMMIT_BYTES_MAX = 64 * 1024 * 1024
"""How much goes into one commit."""
TURN_SECONDS = 0.2
_AGAIN = "run the same command again to go on"


def say_what_would_be_done(store: Store, new: Sequence[Source]) -> None:
    """Say which files would be taken in and where their sessions would go; change nothing."""
    from acontext_fs.daemon.capture import scanning, survey

    options = wiring.load_settings(store)
    tokens = 0
    for source in new:
        found = scanning.scan(source, store.root)
        inside = survey.look_inside(source, found)
        size = size_text(sum(one.size for one in found.values()))
        show.note(f"{source.path}: {len(found)} files, {size}, {len(inside.sessions)} sessions")
        for project, number in inside.projects.most_common(20):
            show.note(f"  {number:5}  {project}")
        for space, number in inside.spaces.most_common():
            show.note(f"  {number} go to the space {space}")
        sentence = survey.unknown_sentence(inside.unknown)
        if sentence:
            show.note(f"  {sentence}")
        tokens += inside.tokens if source.tasks else 0
    show.note(wiring.describe(options))
    if options.uses_model and tokens:
        limit = options.max_tokens_per_day
        show.note(f"that is at most about {tokens:,} tokens; a day's limit is {limit:,}")
    show.note("nothing was changed (--dry-run)")


def take_in(store: Store, new: Sequence[Source]) -> None:
    """Take in everything that is attached now.

    Raises:
        StoreError: it was stopped, or something could not be taken in.
    """
    from acontext_fs.store import own

    options = wiring.load_settings(store)
    try:
        with own(store.layout, "attach", store.clock):
            problems = _by_ourselves(store, options)
    except DaemonRunning:
        problems = _by_the_daemon(store)
    if problems:
        raise StoreError("; ".join(problems))


# -- by a running daemon ----------------------------------------------------------------------


def _by_the_daemon(store: Store) -> Sequence[str]:
    from acontext_fs import requests
    from acontext_fs.store import is_owned, owner

    who = owner(store.layout)
    asked = requests.send(store.layout, "capture", [], failed=False)
    with show.counted("files taken in") as count, _stoppable() as stopped:
        reply = None

        def meanwhile() -> None:
            if stopped():
                raise KeyboardInterrupt
            state = daemon_state(store)
            done, total = state.get("files"), state.get("files_total")
            if isinstance(done, int) and isinstance(total, int) and total:
                count(done, total)

        try:
            reply = requests.wait(
                store.layout, asked, float("inf"), lambda: is_owned(store.layout), meanwhile
            )
        except KeyboardInterrupt:
            show.note(f"{who} goes on with it; `acontext-fs sources` tells how far it is")
            return []
    if reply is None:
        return [f"{who} ended before it was done; {_AGAIN}"]
    return reply.problems


# -- by ourselves -----------------------------------------------------------------------------


def _by_ourselves(store: Store, options: Settings) -> Sequence[str]:
    from acontext_fs.daemon.capture.capture import Capture

    service = wiring.service(store, options, lambda event: None)
    service.begin()
    clean = service.pipeline.committer.worktree.clean
    capture = Capture(store, options, show.note, eager=True, clean=clean)
    capture.rescan()
    try:
        with _stoppable() as stopped:
            problems = _transcripts(store, service, capture, stopped)
            has_tasks = any(source.tasks for source in capture.sources)
            if not problems and not options.uses_model and has_tasks:
                problems = _tasks(service, stopped)
    finally:
        service.end()
    if options.uses_model and not problems:
        show.note(f"{wiring.describe(options)} once the daemon runs: `acontext-fs up`")
    return problems


def _transcripts(
    store: Store, service: Service, capture: Capture, stopped: Callable[[], bool]
) -> Sequence[str]:
    """Take the transcripts in and commit them."""
    start = store.clock.monotonic()
    total = capture.tally.bytes_total
    files = capture.tally.files_total
    group = _Group(service)
    sessions: set[str] = set()
    with show.progress("taken in", total) as done:
        while not capture.is_idle and not stopped():
            taken = capture.turn(TURN_SECONDS)
            service.pipeline.committer.blobs |= taken.blobs
            sessions |= taken.sessions
            group.add(taken.sessions, taken.finished)
            done(capture.tally.bytes or total)
    group.commit_all()
    unknown = capture.unknown(capture.files())
    _say_how_it_went(files, total, len(sessions), unknown, store.clock.monotonic() - start)
    if stopped():
        return [f"stopped; what was taken in is committed: {_AGAIN}"]
    held = service.pipeline.why_waiting()
    return [*([f"nothing is committed yet: {held}"] if held else []), *capture.problems()]


def _say_how_it_went(
    files: int, total: int, sessions: int, unknown: Sequence[str], seconds: float
) -> None:
    from acontext_fs.daemon.capture import survey

    if files:
        show.note(
            f"took in {files} files ({size_text(total)}) in {seconds:.1f} s; "
            f"{sessions} sessions have something new"
        )
    else:
        show.note("everything is taken in already")
    sentence = survey.unknown_sentence(unknown)
    if sentence:
        show.note(sentence)


class _Group:
    """The sessions that wait to be committed together."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._open: set[str] = set()
        self._ready: dict[str, int] = {}

    def add(self, written: frozenset[str], finished: frozenset[str]) -> None:
        """Note what was written, and commit when it is enough."""
        from acontext_fs import files

        root = self._service.store.layout
        self._open |= written - finished
        self._open -= finished
        for path in finished:
            self._ready[path] = files.size_of(root.path(path))
        full = sum(self._ready.values()) >= COMMIT_BYTES_MAX
        if full or len(self._ready) >= COMMIT_SESSIONS_MAX:
            self._commit()

    def commit_all(self) -> None:
        """Commit what is left."""
        from acontext_fs import files

        root = self._service.store.layout
        self._ready |= {path: files.size_of(root.path(path)) for path in self._open}
        self._commit()

    def _commit(self) -> None:
        roster = self._service.pipeline.roster
        chosen: list[Tracked] = []
        size = 0
        for path, count in sorted(self._ready.items()):
            roster.note(path)
            if chosen and (size + count > COMMIT_BYTES_MAX or len(chosen) >= COMMIT_SESSIONS_MAX):
                self._service.pipeline.committer.archive(chosen)
                chosen, size = [], 0
            if path in roster.all:
                chosen.append(roster.all[path])
                size += count
        self._service.pipeline.committer.archive(chosen)
        self._ready.clear()


def _tasks(service: Service, stopped: Callable[[], bool]) -> Sequence[str]:
    """Read the tasks of what is not read yet, as `flush` does."""
    from acontext_fs.daemon.service import outcome

    pipeline = service.pipeline
    chosen = pipeline.roster.active()
    pipeline.hurry(chosen)
    goals = pipeline.roster.sizes(chosen)
    problems: Sequence[str] | None = None
    with show.progress("read for tasks", sum(goals.values())) as done:
        while problems is None and not stopped():
            rest = service.turn()
            done(sum(one.progress.cursor.offset for one in chosen))
            for one in chosen:
                pipeline.stop_hurrying(one, goals[one.place.session_path])
            problems = outcome(pipeline, chosen)
            if problems is None:
                service.hints.wait(rest)
    if problems is None:
        return [f"stopped while tasks were read: {_AGAIN}, or let `acontext-fs up` do it"]
    return problems


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Ask what this gives whether a person pressed Ctrl-C; the second time it ends at once."""
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
