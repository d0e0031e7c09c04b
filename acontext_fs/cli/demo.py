"""The main job on the shipped example, shown live: no key, no network, a few seconds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acontext_fs.cli import show, wiring

if TYPE_CHECKING:
    from acontext_fs.daemon.gate import Event
    from acontext_fs.daemon.service import Service
    from acontext_fs.records import Task
    from acontext_fs.store import Session, Store

PACE_SECONDS = 0.06
"""Between two lines of the conversation: quick, but slow enough to watch."""
SHOWN_LINES_MAX = 30
"""How much of the learned entry is printed."""


@click.command(short_help="Watch an example conversation become tasks and skills.")
@click.option("--into", metavar="PATH", help="Where the store is made.  [default: a new folder]")
@click.option("--fast", is_flag=True, help="Do not pause between the lines.")
def demo(into: str | None, fast: bool) -> None:
    """Make a fresh store, let an example agent write a session, and show what becomes of it.

    Uses the rules engine, whatever is configured: no key and no network is needed.
    """
    import tempfile

    from acontext_fs import setup
    from acontext_fs.errors import StoreError

    root = Path(into).resolve() if into else Path(tempfile.mkdtemp(prefix="acontext-demo-"))
    if root.exists() and not root.is_dir():
        raise StoreError(f"{root} is a file: the demo needs a folder of its own")
    if into and root.exists() and any(root.iterdir()):
        raise StoreError(f"{root} is not empty: the demo needs a folder of its own")
    setup.init(root)
    store = wiring.open_store(str(root))
    click.echo(f"A fresh store in {root}\n")
    session = store.space("default").session("gateway-502")
    _play(store, session, 0 if fast else PACE_SECONDS)
    _print_tasks(session)
    _print_learned(store)
    _print_commits(store)
    _print_next(root)


def _play(store: Store, session: Session, pace_seconds: float) -> None:
    """Append the example line by line, while the daemon's own loop reads along."""
    from acontext_fs import sessions, spaces
    from acontext_fs.daemon.service import outcome
    from acontext_fs.owning import own

    click.echo(f"An agent appends its messages to {session.path.relative_to(store.root)}:\n")
    with own(store.layout, "demo", store.clock):
        service = wiring.service(
            store, wiring.rules_settings(store), lambda event: _print_event(session, event)
        )
        service.begin()
        for line in spaces.demo_session().split(b"\n"):
            if line:
                sessions.append_line(session.path, line)
                _print_line(line)
                _turn(service, session)
                time.sleep(pace_seconds)
        click.echo("\nThe session goes quiet. The daemon takes the rest and learns:\n")
        chosen = service.pipeline.roster.select(())
        service.pipeline.hurry(chosen)
        while outcome(service.pipeline, chosen) is None:
            service.hints.wait(min(service.turn(), 0.1))
        service.end()


def _turn(service: Service, session: Session) -> None:
    """What the watcher would do: say that the file deserves a look, and let the loop run."""
    service.pipeline.roster.note(session.place.session_path)
    service.turn()


def _print_line(line: bytes) -> None:
    from acontext_fs import formats
    from acontext_fs.records import Line, Message

    for record in formats.read_line(Line(1, 0, line), space="", session_id="", time=""):
        if not isinstance(record, Message):
            continue
        text = record.text
        who = "user " if record.role == "user" else "agent"
        for part in record.parts:
            if part.type == "tool-call":
                who, text = "agent", f"{part.meta.get('name')} {part.meta.get('arguments')}"
            elif part.type == "tool-result":
                who, text = " tool", part.text
        click.echo(f"  {click.style(who, dim=True)}  {show.one_line(text, 88)}")


def _print_event(session: Session, event: Event) -> None:
    commit = click.style(event.commit[:7], fg="yellow")
    if event.kind != "batch":
        click.echo(f"  {commit}  {event.kind}: {show.plain(event.text)}")
        return
    click.echo(f"  {commit}  {event.text}")
    for task in session.tasks():
        click.echo(
            f"           {task.order}. [{task.status}] {show.one_line(task.description, 76)}"
        )


def _task_line(task: Task) -> str:
    return f"{task.order}. [{task.status}] {show.one_line(task.description, 76)}"


def _print_tasks(session: Session) -> None:
    click.echo(click.style("\nThe tasks it found, and what the agent did for them\n", bold=True))
    for task in session.tasks():
        click.echo(f"  {_task_line(task)}")
        for text in task.progresses:
            click.echo(f"       - {show.one_line(text, 90)}")


def _print_learned(store: Store) -> None:
    from acontext_fs import skills

    files = skills.snapshot(store.layout.skills("default"))
    learned = sorted(
        (path for path in files if not path.endswith("SKILL.md")),
        key=lambda path: ("procedures" not in path, "troubleshoot" not in path, path),
    )
    click.echo(click.style("\nWhat it learned\n", bold=True))
    for path in learned:
        click.echo(f"  spaces/default/skills/{path}")
    click.echo(click.style(f"\n{learned[0]} says\n", bold=True))
    lines = files[learned[0]].decode().rstrip().split("\n")
    for line in lines[:SHOWN_LINES_MAX]:
        click.echo(f"  {show.plain(line)}")


def _print_commits(store: Store) -> None:
    from acontext_fs.history import History
    from acontext_fs.tasks import named_lines

    click.echo(click.style("\nThe commits, newest first\n", bold=True))
    for commit in History(store.root).log():
        lines = commit.trailer("Acontext-Lines")
        where = f"  ({named_lines(lines)})" if lines else ""
        click.echo(f"  {click.style(commit.id[:7], fg='yellow')}  {commit.subject}{where}")


def _print_next(root: Path) -> None:
    click.echo(click.style("\nNext\n", bold=True))
    click.echo(f"  cd {root}")
    click.echo("  acontext-fs tasks gateway-502        the tasks again, --json for programs")
    click.echo("  git log -p spaces/default/skills     every learning, as a diff")
    click.echo("  acontext-fs search timeout           messages, tasks and skills that say so")
    click.echo('  acontext-fs sql "from tasks"         any question, in SQL (docs/sql.md)')
    click.echo("  acontext-fs up                       daemon and API; append lines of yours")
