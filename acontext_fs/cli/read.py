"""Commands that read: status, sessions, messages, tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from acontext_fs.cli import show, wiring

if TYPE_CHECKING:
    from acontext_fs.records import Task
    from acontext_fs.status import SessionStatus, StoreStatus
    from acontext_fs.store import Session, Store

NAMED_MAX = 5
"""So many of the proposals, of the failed and of the rejected learnings are named by `status`."""


@click.command(short_help="What is pending, running, failed or held, and why.")
@click.argument("session", required=False, metavar="[SESSION]")
@click.option("--all", "show_all", is_flag=True, help="List also the sessions that are done.")
@show.json_option
@click.pass_obj
def status(store_path: str | None, session: str | None, show_all: bool, as_json: bool) -> None:
    """How every session stands, and for one SESSION why something was or was not learned."""
    from acontext_fs import status as statuses
    from acontext_fs.store import find_session

    store = wiring.open_store(store_path)
    chosen = [find_session(store, session)] if session else None
    found = statuses.of_store(store, chosen, wiring.load_settings(store).max_tokens_per_day)
    if as_json:
        show.print_json(_status_json(found, store))
        return
    _print_store(store, found)
    rows = [
        s for s in found.sessions if show_all or session or s.state != "done" or s.partial_bytes
    ]
    if rows:
        show.table(
            ("session", "state", "lines", "pending", "unreadable", "tasks", "why"),
            [_status_row(row) for row in rows],
        )
    if session:
        _print_details(found.sessions[0])


def _print_store(store: Store, found: StoreStatus) -> None:
    from acontext_fs import budgets

    options = wiring.load_settings(store)
    counts: dict[str, int] = {}
    for one in found.sessions:
        counts[one.state] = counts.get(one.state, 0) + 1
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    click.echo(f"store    {show.plain(str(store.root))}")
    absent = "none: a bare repository is only read"
    if not store.commit:
        absent = "not running; start it with `acontext-fs daemon`"
    click.echo(f"daemon   {show.plain(found.daemon) or absent}")
    click.echo(f"reading  {show.plain(wiring.describe(options))}")
    if options.uses_model:
        spent = f"{wiring.budget(store, options).spent_today:,}"
        limit = f"{options.max_tokens_per_day:,}"
        click.echo(f"tokens   {spent} of {limit} today")
    click.echo(f"sessions {len(found.sessions)}{f' ({states})' if states else ''}")
    if found.waiting:
        click.echo(f"waiting  {show.plain(found.waiting)}")
    for what in found.not_captured:
        click.echo(f"not captured {show.plain(what)}")
    for what in found.notices:
        click.echo(f"replaced {show.plain(what)}")
    for ref in found.rescued:
        click.echo(f"rescued  {ref}: `git log -p {ref}` shows lines that are on no branch")
    for what in found.misplaced:
        click.echo(f"not read {show.plain(what)}")
    for what in found.skills:
        click.echo(f"skill    {show.plain(what)}; learners leave it alone")
    for line in [] if store.commit else _waiting_for_a_person(found):
        click.echo(line)
    for level in found.budgets:
        said = budgets.sentence(level)
        if said and (level.name != "tokens" or options.uses_model):
            click.echo(f"limit    {said}")


def _waiting_for_a_person(found: StoreStatus) -> list[str]:
    """What is not learned until a person says so, in a line each, with the command that does."""
    proposed = [
        f"proposal {show.one_line(what, 60)}: `acontext-fs review {name}` shows it"
        for name, what in found.proposals.items()
    ]
    failed, rejected = [], []
    for session in found.sessions:
        for one in session.unlearned:
            name = f"{session.place}#{one.order}"
            why = show.one_line(one.reason, 60)
            if one.status == "failed":
                again = f"`acontext-fs learn {session.place}` tries again"
                failed.append(f"failed   learning from {name} ({why}): {again}")
            else:
                again = f"`acontext-fs learn --again {name}` learns it"
                rejected.append(f"rejected {name} ({why}): {again}")
    lines = []
    for kind, more in ((proposed, "review"), (failed, "status SESSION"), (rejected, "tasks")):
        lines += kind[:NAMED_MAX]
        if len(kind) > NAMED_MAX:
            lines.append(f"{'':9}and {len(kind) - NAMED_MAX} more: `acontext-fs {more}`")
    return lines


def _status_row(one: SessionStatus) -> tuple[object, ...]:
    tasks = " ".join(f"{count} {name}" for name, count in sorted(one.tasks.items()))
    half = f"{one.partial_bytes} bytes of an unfinished line" if one.partial_bytes else ""
    why = "; ".join(filter(None, (one.reason, one.advice, half)))
    return (one.place, one.state, one.lines, one.pending_lines, one.unreadable, tasks, why)


def _print_details(one: SessionStatus) -> None:
    for line, reason in one.problems:
        click.echo(f"line {line} was not read: {show.plain(reason)}; it is kept as it is")
    if one.unreadable > len(one.problems):
        click.echo(f"... and {one.unreadable - len(one.problems)} more places")
    for sentence in one.learning:
        click.echo(show.plain(sentence))


def _status_json(found: StoreStatus, store: Store) -> dict[str, Any]:
    from dataclasses import asdict

    from acontext_fs import budgets

    options = wiring.load_settings(store)
    value = asdict(found)
    value["budgets"] = budgets.encode(found.budgets)
    value["extractor"] = options.llm_simple_model if options.uses_model else "rules"
    value["tokens_today"] = wiring.budget(store, options).spent_today
    value["tokens_per_day"] = options.max_tokens_per_day
    value["sessions"] = [
        {
            **{key: item for key, item in asdict(one).items() if key != "place"},
            "space": one.place.space,
            "session_id": one.place.session_id,
            "path": one.place.session_path,
        }
        for one in found.sessions
    ]
    return value


@click.command(short_help="List the sessions.")
@click.option("--space", default=None, help="Only those of one space.")
@click.option("--agent", default=None, help="Only those of one coding agent, like claude-code.")
@click.option(
    "--project",
    default=None,
    metavar="TEXT|FOLDER",
    help="Only those whose project's path has TEXT in it, or that worked in FOLDER (`.`) or below.",
)
@click.option("--since", metavar="DATE|AGO", help="Only those with something new since (12h, 7d).")
@click.option(
    "--limit", type=click.IntRange(1), help="At most so many.  [default: 40 on a terminal]"
)
@click.option("--all", "with_subagents", is_flag=True, help="With the sessions of subagents.")
@show.json_option
@click.pass_obj
def sessions(store_path: str | None, /, as_json: bool, **options: Any) -> None:
    """List the sessions, the newest first; times are UTC.

    Those of subagents are left out, or stand below the session that began them with --all; --json
    prints them all, with everything that is known.
    """
    from acontext_fs.cli import session_list
    from acontext_fs.cli.session_table import Filters, moment

    store = wiring.open_store(store_path)
    space, since, limit = options["space"], options["since"], options["limit"]
    filters = Filters(
        None if space is None else store.space(space).name,
        options["agent"],
        options["project"],
        None if since is None else moment(since, store.clock.now()),
    )
    wiring.check_settings(store)
    with store.index() as index:
        found = session_list.rows_of(index, filters)
        if as_json:
            show.print_json([session_list.as_json(index, row) for row in found[:limit]])
        else:
            every = options["with_subagents"]
            session_list.print_table(index, found, with_subagents=every, limit=limit)


@click.command(short_help="Print the messages of a session.")
@click.argument("session", metavar="SESSION")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["acontext", "openai", "anthropic", "gemini"]),
    help="Print JSON in this shape.  [default: acontext, with --json]",
)
@click.option("--humans", is_flag=True, help="Only what people typed.")
@click.option("--thinking", is_flag=True, help="With what the agent thought.")
@click.option("--no-tools", is_flag=True, help="Without calls of tools and their results.")
@click.option("--full", is_flag=True, help="Cut and fold nothing.")
@click.option("--tail", type=click.IntRange(1), metavar="N", help="Only the last N things said.")
@show.at_option
@show.json_option
@click.pass_obj
def messages(
    store_path: str | None,
    /,
    session: str,
    format_name: str | None,
    at: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Print SESSION as a conversation, or its messages in the shape of a provider's API.

    Times are UTC. What a shape cannot hold (docs/conversions.md) is named on stderr.
    """
    from acontext_fs.errors import SessionError
    from acontext_fs.store import find_session

    found = find_session(wiring.open_store(store_path, at), session)
    if format_name or as_json:
        show.print_json(_converted(found, format_name or "acontext"))
        return
    _print_conversation(found, options)
    try:
        before = found.progress().facts.get("continues")
    except SessionError as error:
        show.note(f"what it continues is not known: {error}")
        return
    if before:
        show.note(f"its beginning is in session {show.plain(str(before))}")


def _print_conversation(session: Session, options: dict[str, Any]) -> None:
    from acontext_fs import sessions as sessions_of
    from acontext_fs.cli.conversation import View, conversation

    def blob_bytes(name: str) -> int | None:
        stamp = session.store.source.stamp(f"{blobs}/{name[:2]}/{name}")
        return stamp[0] if stamp is not None and isinstance(stamp[0], int) else None

    blobs = f"spaces/{session.place.space}/blobs"
    view = View(
        is_full=options["full"],
        has_thinking=options["thinking"],
        has_tools=not options["no_tools"],
        only_human=options["humans"],
        tail=options["tail"],
        blob_bytes=blob_bytes,
    )
    records = sessions_of.read(session.store.source, session.place, lenient=True)
    for text, look in conversation(records, view):
        click.echo(click.style(text, **{look: True}) if look else text)


def _converted(session: Session, format_name: Any) -> list[dict[str, Any]]:
    from acontext_fs import json_shapes
    from acontext_fs.formats.convert import convert
    from acontext_fs.store import public_ids
    from acontext_fs.transcripts import load

    # Only our own shape tells what became of a message.
    is_ours = format_name == "acontext"
    found = load(session.store.source, session.place, lenient=not is_ours)
    if is_ours:
        items = json_shapes.messages(
            found.messages,
            session_id=public_ids(session.store)[session.place],
            every=found.messages,
            tasks=found.tasks,
            progress=found.progress,
            is_tracked=found.facts.get("disable_task_tracking") is not True,
        )
        pairs = zip(items, found.messages, strict=True)
        return [{**item, "author": message.author or None} for item, message in pairs]
    converted = convert(found.messages, format_name)
    for loss in converted.lost:
        where = f", part {loss.part + 1} ({loss.type})" if loss.part >= 0 else ""
        what = f"{loss.key}: " if loss.key else ""
        show.note(f"not in {format_name}: message {loss.message_id}{where}: {what}{loss.why}")
    return converted.items


@click.command(short_help="Print the tasks of a session, or of all.")
@click.argument("session", required=False, metavar="[SESSION]")
@click.option("--planning", is_flag=True, help="With the planning section (order 0).")
@show.at_option
@show.json_option
@click.pass_obj
def tasks(
    store_path: str | None, session: str | None, planning: bool, at: str | None, as_json: bool
) -> None:
    """Print the tasks of SESSION in order, with what was done for each; or those of all."""
    from acontext_fs.store import find_session, public_ids

    store = wiring.open_store(store_path, at)
    chosen = [find_session(store, session)] if session else store.sessions()
    found = [(one, task) for one in chosen for task in one.all_tasks()]
    found = [(one, task) for one, task in found if planning or not task.is_planning]
    if as_json:
        names = public_ids(store)
        ids = {one: _ids_by_line(one) for one in dict(found)}
        show.print_json([_task_json(one, task, names[one.place], ids[one]) for one, task in found])
        return
    for one, task in found:
        click.echo(
            f"{one.place}  {task.order}. [{task.status}] {show.one_line(task.description, 200)}"
        )
        for text in task.progresses:
            click.echo(f"    - {show.one_line(text, 200)}")
        for text in task.preferences:
            click.echo(f"    * {show.one_line(text, 200)}")
        if task.learning is not None:
            reason = f": {show.one_line(task.learning.reason, 160)}" if task.learning.reason else ""
            click.echo(f"    {task.learning.status}{reason}")


def _ids_by_line(session: Session) -> dict[int, list[str]]:
    """The ids of the session's messages by line; empty when its file is gone."""
    from acontext_fs import json_shapes
    from acontext_fs.errors import SessionError

    try:
        return json_shapes.ids_by_line(session.messages())
    except SessionError:
        return {}


def _task_json(
    session: Session, task: Task, public_id: str, ids: dict[int, list[str]]
) -> dict[str, Any]:
    from acontext_fs import json_shapes

    return json_shapes.task(
        task,
        session_id=public_id,
        space=session.place.space,
        message_ids=json_shapes.message_ids(task.lines, ids),
    )
