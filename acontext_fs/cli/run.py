"""Commands that make a store and process it: init, daemon, flush, learn."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from acontext_fs.cli import naming, show, wiring
from acontext_fs.errors import DaemonRunning, StoreError, UsageError

if TYPE_CHECKING:
    from types import FrameType

    from acontext_fs.daemon.gate import Event
    from acontext_fs.requests import Action, Reply
    from acontext_fs.settings import Settings
    from acontext_fs.store import Session, Store


INSIST_SECONDS = 10.0
"""How long to ask again for what git's lock, or somebody who saves a file, is in the way of."""
INSIST_PAUSE_SECONDS = 0.2


EVENT_CHARS_MAX = 600
"""So much of what happened is printed: a sentence and what to do are not cut."""


@click.command(short_help="Make a store, or make a clone usable; safe to repeat.")
@click.argument("path", required=False, metavar="[PATH]")
@click.pass_obj
def init(store_path: str | None, path: str | None) -> None:
    """Make PATH (default: --store, else the current directory) a store.

    Makes a git repository if there is none, and commits the settings file, the git attributes and a
    first space with two skills, and tells git which programs of ours to run. What is there already
    is left as it is.
    """
    from acontext_fs import layout, setup

    root = Path(path or store_path or ".").resolve()
    if root.exists() and not root.is_dir():
        raise StoreError(f"{root} is a file: a store is a folder, so name another place")
    was_store = (root / layout.SETTINGS_FILE).exists()
    before = _untold(root)
    written = setup.init(root)
    for inside in written:
        click.echo(f"wrote {inside}")
    after = _untold(root)
    for why in filter(None, after.values()):
        show.note(why)
    if not was_store:
        show.note(f"{root} is now a store")
        return
    news = [text for kind, text in _TOLD.items() if kind in before and kind not in after]
    for text in news:
        show.note(f"set up {text}")
    done = "what was missing is there now" if written or news else "nothing was missing"
    show.note(f"{root} is a store already; {done}")


_TOLD = {
    "filter": "the filter that takes secrets out of what git stores",
    "merge": "the merges of what two machines wrote",
    "hook": "the hooks that tell the daemon of a `git commit` that is open",
}
"""What git is told to run, by the kind of finding that says it was not."""


def _untold(root: Path) -> dict[str, str]:
    """What git is not told to run in the repository at `root`, and why."""
    from acontext_fs.checks_store import of_git
    from acontext_fs.store import Store

    if not (root / ".git").exists():
        return dict.fromkeys(_TOLD, "")
    found: dict[str, str] = {}
    for finding in of_git(Store(root)):
        kind = "merge" if finding.path == ".git/config" and finding.kind == "git" else finding.kind
        if kind in _TOLD:
            found[kind] = finding.text
    return found


@click.command(short_help="Run the daemon until Ctrl-C.")
@click.pass_obj
def daemon(store_path: str | None) -> None:
    """Watch the store and turn new lines into tasks and skills, until Ctrl-C or SIGTERM."""
    run_daemon(store_path, "daemon")


def run_daemon(
    store_path: str | None,
    command: str,
    beside: Callable[[Store, Settings], AbstractContextManager[None]] | None = None,
) -> None:
    """Be the daemon of a store until a signal; `beside` makes what runs as long as it does.

    Raises:
        AcontextError: it cannot begin.
    """
    from acontext_fs import repository
    from acontext_fs.owning import own

    store = wiring.open_store(store_path)
    if store.commit:
        raise StoreError(f"{store.root} is a bare repository: run the daemon in a clone of it")
    options = wiring.load_settings(store)
    repository.opened(store.root)  # One that cannot be committed to is refused, not served.
    with (
        own(store.layout, command, store.clock),
        beside(store, options) if beside is not None else nullcontext(),
    ):
        service = wiring.service(store, options, _print_event)

        def stop(number: int, frame: FrameType | None) -> None:
            service.stop()

        for name in ("SIGINT", "SIGTERM"):
            signal.signal(getattr(signal, name), stop)
        show.note(f"watching {store.root}; {wiring.describe(options)}; stop with Ctrl-C")
        service.run(show.note)
        show.note("stopped; everything that was finished is committed")


def _print_event(event: Event) -> None:
    import time

    commit = f"  {event.commit[:7]}" if event.commit else ""
    clock = time.strftime("%H:%M:%S")
    place = event.place or ""
    text = f"  {show.one_line(event.text, EVENT_CHARS_MAX)}" if event.text else ""
    show.note(f"{clock}  {event.kind:9}{place}{text}{commit}")


@click.command(short_help="Process what is pending now, and wait until it is done.")
@click.argument("sessions", nargs=-1, metavar="[SESSION]...")
@click.option("--failed", is_flag=True, help="Also try again what was given up.")
@click.option(
    "--timeout", "timeout_seconds", type=float, default=600, show_default=True, metavar="SECONDS"
)
@click.pass_obj
def flush(
    store_path: str | None, sessions: tuple[str, ...], failed: bool, timeout_seconds: float
) -> None:
    """Process all pending lines (of the named SESSIONs) without waiting for the buffer.

    A running daemon does it; without one this command does. Returns when the work is done.
    """
    _process(store_path, "flush", sessions, failed, timeout_seconds)


@click.command(short_help="Learn from finished tasks now.")
@click.argument("sessions", nargs=-1, metavar="[SESSION]...")
@click.option(
    "--again",
    metavar="TASK",
    help="Learn from this task although it was taken back, skipped or given up: an id or its "
    "beginning, or SESSION#NUMBER as `tasks` numbers them.",
)
@click.option(
    "--timeout", "timeout_seconds", type=float, default=600, show_default=True, metavar="SECONDS"
)
@click.pass_obj
def learn(
    store_path: str | None, sessions: tuple[str, ...], again: str | None, timeout_seconds: float
) -> None:
    """Learn from the finished tasks (of the named SESSIONs) that wait for it, also from the last.

    Learnings that were given up are tried again.
    """
    if again is None:
        _process(store_path, "learn", sessions, True, timeout_seconds)
        return
    if sessions:
        raise UsageError("--again is about one task: name no sessions beside it")
    store = wiring.open_store(store_path)
    session, task = naming.find_task(store, again)
    path = session.place.session_path
    _do_or_ask(store, "again", [path], False, timeout_seconds, task.id)
    (now,) = (one for one in session.all_tasks() if one.id == task.id)
    click.echo(naming.outcome(session, now))


def _process(
    store_path: str | None,
    action: Literal["flush", "learn"],
    names: Sequence[str],
    failed: bool,
    timeout_seconds: float,
) -> None:
    from acontext_fs.store import find_session

    store = wiring.open_store(store_path)
    chosen = [find_session(store, name) for name in names]
    paths = [session.place.session_path for session in chosen]
    _do_or_ask(store, action, paths, failed, timeout_seconds)
    show.note("done")
    if action == "learn":
        _note_unread(store, chosen or None)


def _note_unread(store: Store, chosen: list[Session] | None) -> None:
    """Tasks are made of lines that were read: what waits to be read was not learned from."""
    from acontext_fs import status

    unread = [one for one in status.of_store(store, chosen).sessions if one.pending_lines]
    lines = sum(one.pending_lines for one in unread)
    if lines:
        where = str(unread[0].place) if len(unread) == 1 else f"{len(unread)} sessions"
        noun = "line is" if lines == 1 else "lines are"
        show.note(f"{lines} {noun} not read yet, in {where}: `acontext-fs flush` reads what is new")


def _do_or_ask(
    store: Store,
    action: Action,
    paths: Sequence[str],
    failed: bool,
    timeout_seconds: float,
    about: str = "",
) -> None:
    """Do what is asked for, or have a running daemon do it."""
    from acontext_fs.owning import own

    options = wiring.load_settings(store)
    try:
        with own(store.layout, "flush" if action == "flush" else "learn", store.clock):
            problems = _do_it(store, options, action, paths, failed, timeout_seconds, about)
    except DaemonRunning:
        reply = _insist(
            lambda: _ask_daemon(store, action, paths, failed, timeout_seconds, about),
            timeout_seconds,
        )
        problems = reply.problems
    if problems:
        raise StoreError("; ".join(problems))


def take_back(store: Store, commit: str, timeout_seconds: float) -> Reply:
    """Take a learning back, or have a running daemon do it."""
    from acontext_fs.owning import own

    options = wiring.load_settings(store)
    try:
        with own(store.layout, "undo", store.clock):
            service = wiring.service(store, options, _print_event)
            service.begin()
            reply = _insist(lambda: service.pipeline.undo(commit), timeout_seconds)
            service.end()
            return reply
    except DaemonRunning:
        return _insist(
            lambda: _ask_daemon(store, "undo", [], False, timeout_seconds, commit), timeout_seconds
        )


def decide(store: Store, proposal: str, timeout_seconds: float, *, accept: bool) -> Reply:
    """Accept or reject a proposal, or have a running daemon do it."""
    from acontext_fs.owning import own

    options = wiring.load_settings(store)
    try:
        with own(store.layout, "review", store.clock):
            service = wiring.service(store, options, _print_event)
            service.begin()
            reply = _insist(
                lambda: service.pipeline.decide(proposal, accept=accept), timeout_seconds
            )
            service.end()
            return reply
    except DaemonRunning:
        action: Action = "accept" if accept else "reject"
        return _insist(
            lambda: _ask_daemon(store, action, [], False, timeout_seconds, proposal),
            timeout_seconds,
        )


def _insist(ask: Callable[[], Reply], timeout_seconds: float) -> Reply:
    """The reply to what is asked again as long as the next moment may bring a better one."""
    import time

    deadline = time.monotonic() + min(timeout_seconds, INSIST_SECONDS)
    while (reply := ask()).soon and time.monotonic() < deadline:
        time.sleep(INSIST_PAUSE_SECONDS)
    return reply


def _ask_daemon(
    store: Store,
    action: Action,
    paths: Sequence[str],
    failed: bool,
    timeout_seconds: float,
    about: str,
) -> Reply:
    from acontext_fs import requests
    from acontext_fs.owning import is_owned, owner

    asked = requests.send(store.layout, action, paths, failed=failed, about=about)
    who = owner(store.layout)
    reply = requests.wait(store.layout, asked, timeout_seconds, lambda: is_owned(store.layout))
    if reply is None:
        gone = "ended before it was done" if not is_owned(store.layout) else "is still at it"
        return requests.Reply((f"{who} {gone}; see `acontext-fs status`",))
    return reply


def _do_it(
    store: Store,
    options: Settings,
    action: Action,
    paths: Sequence[str],
    failed: bool,
    timeout_seconds: float,
    about: str,
) -> Sequence[str]:
    import time

    from acontext_fs.daemon.service import outcome

    service = wiring.service(store, options, _print_event)
    service.begin()
    pipeline = service.pipeline
    chosen = pipeline.roster.select(paths)
    learn_only = action in ("learn", "again")
    if action == "again":
        reply = _insist(lambda: pipeline.want_again(paths[0], about), timeout_seconds)
        if reply.problems:
            service.end()
            return reply.problems
    else:
        pipeline.hurry(chosen, learn_only=learn_only, failed=failed)
    deadline = time.monotonic() + timeout_seconds
    problems = None
    goals = pipeline.roster.sizes(chosen)
    with show.progress("bytes read", sum(goals.values())) as done:
        while problems is None and time.monotonic() < deadline:
            rest = service.turn()
            done(sum(one.progress.cursor.offset for one in chosen))
            for one in chosen:
                pipeline.stop_hurrying(one, goals[one.place.session_path])
            problems = outcome(pipeline, chosen, learn_only=learn_only)
            if problems is None:
                service.hints.wait(min(rest, max(0.0, deadline - time.monotonic())))
    service.end()
    return ["it takes longer than --timeout; run it again"] if problems is None else problems
