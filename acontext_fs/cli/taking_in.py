"""Takes in what is attached, from the command line: by itself, or by asking a running daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from acontext_fs.cli import show, wiring
from acontext_fs.cli.capture import daemon_state, say_not_taken_in, size_text
from acontext_fs.cli.phases import counted, phase, stoppable
from acontext_fs.errors import DaemonRunning, StoreError

if TYPE_CHECKING:
    from acontext_fs.daemon.capture.capture import Capture
    from acontext_fs.daemon.capture.ledger import Entry
    from acontext_fs.daemon.capture.sources import Source
    from acontext_fs.daemon.service import Service
    from acontext_fs.daemon.tracked import Tracked
    from acontext_fs.settings import Settings
    from acontext_fs.store import Store

COMMIT_SESSIONS_MAX = 100
COMMIT_BYTES_MAX = 64 * 1024 * 1024
"""How much goes into one commit."""
TURN_SECONDS = 0.2
PROBLEMS_SHOWN = 20
_AGAIN = "run the same command again to go on"


def take_in(store: Store, new: Sequence[Source]) -> None:
    """Take in what these sources have now.

    Raises:
        StoreError: it was stopped, or something could not be taken in.
    """
    from acontext_fs.owning import own

    options = wiring.load_settings(store)
    before = _entries(store, new)
    with stoppable() as stopped:
        try:
            with own(store.layout, "attach", store.clock):
                problems = _by_ourselves(store, options, new, stopped)
        except DaemonRunning:
            problems = _by_the_daemon(store, new, stopped)
            _say_what_the_daemon_did(before, _entries(store, new))
    _say_what_stays_out(store, new, before)
    if problems:
        more = len(problems) - PROBLEMS_SHOWN
        listed = [*problems[:PROBLEMS_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        raise StoreError("; ".join(listed))


def _entries(store: Store, new: Sequence[Source]) -> dict[str, Entry]:
    """What the ledger says of the files of these sources."""
    from acontext_fs.daemon.capture.capture import ledger_file
    from acontext_fs.daemon.capture.ledger import Ledger
    from acontext_fs.daemon.capture.sources import is_below

    every = Ledger(ledger_file(store.layout)).entries
    return {p: one for p, one in every.items() if any(is_below(p, s.path) for s in new)}


def _say_what_stays_out(store: Store, new: Sequence[Source], before: Mapping[str, Entry]) -> None:
    """Say which files and sessions are not taken in, and which are in another space."""
    from acontext_fs import pruning
    from acontext_fs.daemon.capture import scanning

    entries = _entries(store, new)
    files = scanning.scan_all(new, store.root, {})
    is_once = any(one.once for one in new)
    say_not_taken_in(
        {
            path: one.reason
            for path, one in entries.items()
            if path in files
            and one.state != "taken"
            and (is_once or path not in before or before[path].reason != one.reason)
        }
    )
    pruned = {
        one
        for space in store.layout.space_names()
        for one in pruning.pruned_ids(store.source, space)
    }
    for path, entry in sorted(entries.items()):
        is_new = is_once or path not in before
        if path in files and is_new and entry.session in pruned:
            show.note(
                f"{path}: the session {entry.session} was pruned and does not come back; "
                "`git revert` of the commit that pruned it brings it back"
            )
    _say_what_stays_where_it_is(new, before)


def _say_what_stays_where_it_is(new: Sequence[Source], before: Mapping[str, Entry]) -> None:
    from acontext_fs import layout

    wanted = {one.space for one in new if one.space}
    places = {layout.place_of(one.path) for e in before.values() for one in e.stored.values()}
    elsewhere = [one for one in places if one is not None and one.space not in wanted]
    if wanted and elsewhere:
        spaces = ", ".join(sorted({one.space for one in elsewhere}))
        stay = "stays" if len(elsewhere) == 1 else "stay"
        show.note(
            f"{counted(len(elsewhere), 'session')} taken in before {stay} in the space {spaces}; "
            "new ones go where you said"
        )


def say_what_would_be_done(store: Store, new: Sequence[Source]) -> None:
    """Say which files would be taken in and where their sessions would go; change nothing."""
    from acontext_fs import redaction, sessions
    from acontext_fs.daemon.capture import scanning, survey
    from acontext_fs.daemon.capture.cleaning import Cleaner

    options = wiring.load_settings(store)
    clean = redaction.of(options).clean_text
    id_of = Cleaner(store.layout, options).session_id
    stored = {place.session_id for place in sessions.places(store.source)}
    entries = _entries(store, new)
    tokens = 0
    for source in new:
        unreadable: dict[str, str] = {}
        found = scanning.scan(source, store.root, unreadable)
        inside = survey.look_inside(source, found, entries, stored, id_of)
        size = size_text(sum(one.size for one in found.values()))
        there = f", {len(inside.stored):,} of them stored already" if inside.stored else ""
        files, count = counted(len(found), "file"), counted(len(inside.sessions), "session")
        show.note(f"{source.path}: {files}, {size}, about {count}{there}")
        for project, number in inside.projects.most_common(20):
            show.note(f"  {number:5}  {clean(project)}")
        for space, number in inside.spaces.most_common():
            show.note(f"  {number:,} {'goes' if number == 1 else 'go'} to the space {space}")
        say_not_taken_in(inside.unknown | unreadable)
        tokens += inside.tokens if source.tasks else 0
    show.note(wiring.describe(options))
    if options.uses_model and tokens:
        limit = options.max_tokens_per_day
        show.note(f"that is at most about {tokens:,} tokens; a day's limit is {limit:,}")
    show.note("nothing was changed (--dry-run)")


# -- by a running daemon ----------------------------------------------------------------------


def _by_the_daemon(
    store: Store, new: Sequence[Source], stopped: Callable[[], bool]
) -> Sequence[str]:
    from acontext_fs import requests
    from acontext_fs.owning import is_owned, owner

    who = owner(store.layout)
    asked = requests.send(store.layout, "capture", [], failed=False)
    with show.counted("files taken in") as count, phase(store.clock, "", 0) as tell:

        def meanwhile() -> None:
            if stopped():
                raise KeyboardInterrupt
            state = daemon_state(store)
            done, total = state.get("files"), state.get("files_total")
            if isinstance(done, int) and isinstance(total, int) and total:
                count(done, total)
                tell(0, f"{who} took in {done:,} of {counted(total, 'file')}")

        try:
            reply = requests.wait(
                store.layout, asked, float("inf"), lambda: is_owned(store.layout), meanwhile
            )
        except KeyboardInterrupt:
            show.note(f"{who} goes on with it; `acontext-fs sources` tells how far it is")
            return []
    if reply is None:
        return [f"{who} ended before it was done; {_AGAIN}"]
    return _of_these(reply.problems, new)


def _say_what_the_daemon_did(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> None:
    files = [
        path
        for path, entry in after.items()
        if entry.stored and (path not in before or before[path].stored != entry.stored)
    ]
    if files:
        show.note(f"the daemon took in {counted(len(files), 'file')}")


def _of_these(problems: Iterable[str], new: Sequence[Source]) -> Sequence[str]:
    """The problems of these sources; that others have some is only noted."""
    own: list[str] = []
    others = 0
    for problem in problems:
        if any(problem.startswith((f"{one.path}/", f"{one.path}:")) for one in new):
            own.append(problem)
        else:
            others += 1
    if others:
        show.note("other sources have files that are not taken in: `acontext-fs sources`")
    return own


# -- by ourselves -----------------------------------------------------------------------------


def _by_ourselves(
    store: Store, options: Settings, new: Sequence[Source], stopped: Callable[[], bool]
) -> Sequence[str]:
    from acontext_fs.daemon.capture.capture import Capture

    service = wiring.service(store, options, lambda event: None)
    service.begin()
    clean = service.pipeline.committer.worktree.clean
    paths = [one.path for one in new]
    capture = Capture(store, options, eager=True, only=paths, clean=clean)
    capture.rescan()
    try:
        problems = _transcripts(store, service, capture, new, stopped)
        has_tasks = any(source.tasks for source in new)
        if not problems and not options.uses_model and has_tasks:
            problems = _tasks(store, service, new, stopped)
    finally:
        service.end()
    if not stopped():
        _pack(store, service, stopped)
    if options.uses_model and not problems:
        show.note(f"{wiring.describe(options)} once the daemon runs: `acontext-fs up`")
    return problems


def _transcripts(
    store: Store,
    service: Service,
    capture: Capture,
    new: Sequence[Source],
    stopped: Callable[[], bool],
) -> Sequence[str]:
    """Take the transcripts in and commit them."""
    start = store.clock.monotonic()
    total, count = capture.tally.bytes_total, capture.tally.files_total
    sizes = _sizes_of_the_rest(store, capture, new)
    group = _Group(service)
    sessions: set[str] = set()
    with phase(store.clock, "taken in", total) as tell:
        while not capture.is_idle and not stopped():
            taken = capture.turn(TURN_SECONDS)
            service.pipeline.committer.blobs |= taken.blobs
            sessions |= taken.sessions
            group.add(taken.sessions, taken.finished)
            done = capture.tally.files or count
            tell(capture.tally.bytes or total, f"took in {done:,} of {counted(count, 'file')}")
    group.commit_all()
    size = sum(sizes.get(path, 0) for path in capture.account.files)
    _say_how_it_went(capture, size, len(sessions), store.clock.monotonic() - start)
    if stopped():
        return [f"stopped; what was taken in is committed: {_AGAIN}"]
    held = service.pipeline.why_waiting()
    return [*([f"nothing is committed yet: {held}"] if held else []), *capture.problems()]


def _sizes_of_the_rest(store: Store, capture: Capture, new: Sequence[Source]) -> Mapping[str, int]:
    """How much of each file was not read yet."""
    from acontext_fs.daemon.capture import scanning

    entries = capture.ledger.entries
    found = scanning.scan_all(new, store.root, {})
    read = {path: entries[path].cursor.offset for path in found if path in entries}
    return {path: max(0, one.size - read.get(path, 0)) for path, one in found.items()}


def _say_how_it_went(capture: Capture, size: int, sessions: int, seconds: float) -> None:
    account = capture.account
    if account.files:
        files = f"{counted(len(account.files), 'file')} ({size_text(size)})"
        have = "has" if sessions == 1 else "have"
        new = f"{counted(sessions, 'session')} {have} something new"
        show.note(f"took in {files} in {seconds:.1f} s; {new}")
    elif capture.is_idle and not capture.troubles:
        show.note("everything is taken in already")
    if account.left_out:
        show.note(
            f"{counted(account.left_out, 'part')} of transcripts (such as images; "
            f"{size_text(account.left_out_bytes)}) are left out, as keep_blobs and blob_bytes_max "
            "in acontext.toml say; the agent's own files still have them"
        )


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


def _tasks(
    store: Store, service: Service, new: Sequence[Source], stopped: Callable[[], bool]
) -> Sequence[str]:
    """Read the tasks of what is not read yet of these sources, as `flush` does."""
    from acontext_fs.daemon.service import outcome

    pipeline = service.pipeline
    ids = {name for entry in _entries(store, new).values() for name in entry.stored}
    chosen = [one for one in pipeline.roster.active() if _first_part(one) in ids]
    pipeline.hurry(chosen)
    goals = pipeline.roster.sizes(chosen)
    count = counted(len(chosen), "session")
    problems: Sequence[str] | None = None
    with phase(store.clock, "read for tasks", sum(goals.values())) as tell:
        while problems is None and not stopped():
            rest = service.turn()
            read = [one.progress.cursor.offset for one in chosen]
            done = sum(
                one >= goals[s.place.session_path] for one, s in zip(read, chosen, strict=True)
            )
            tell(sum(read), f"read tasks of {done:,} of {count}")
            for one in chosen:
                pipeline.stop_hurrying(one, goals[one.place.session_path])
            problems = outcome(pipeline, chosen)
            if problems is None:
                service.hints.wait(rest)
    if problems is None:
        return [f"stopped while tasks were read: {_AGAIN}, or let `acontext-fs up` do it"]
    return problems


def _first_part(session: Tracked) -> str:
    """The id of the session that this is one or a part of."""
    name, dot, number = session.place.session_id.rpartition(".")
    return name if dot and number.isdecimal() else session.place.session_id


def _pack(store: Store, service: Service, stopped: Callable[[], bool]) -> None:
    """Let git pack what many commits left, if it is much."""
    from acontext_fs.daemon.upkeep import Upkeep

    upkeep = Upkeep(store.root, store.clock, show.note, wiring.environment())
    if upkeep.turn(True):
        show.note("git packs the repository now, which may take a while; Ctrl-C skips that")
    with phase(store.clock, "", 0) as tell:
        while upkeep.turn(True) and not stopped():
            tell(0, "git still packs the repository; Ctrl-C skips that")
            service.hints.take()
            service.hints.wait(TURN_SECONDS)
    upkeep.close()
