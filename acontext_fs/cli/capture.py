"""Commands that take in what coding agents write: attach, detach, sources, import."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acontext_fs.cli import phases, show, wiring
from acontext_fs.errors import UsageError

if TYPE_CHECKING:
    from acontext_fs.daemon.capture.agents import Agent
    from acontext_fs.daemon.capture.sources import Rule, Source
    from acontext_fs.daemon.capture.survey import Survey
    from acontext_fs.store import Store

_ALIASES = {"claude": "claude-code", "gemini-cli": "gemini", "qwen-code": "qwen"}

_space = click.option("--space", metavar="NAME", help="The space of the sessions.")
_rules = click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="FACT=GLOB:SPACE",
    help="Sessions whose project folder or git remote matches go to another space; "
    "FACT is project or remote. May be given several times, the first that fits counts.",
)
_tasks = click.option(
    "--tasks/--no-tasks",
    default=None,
    help="Whether to take tasks from the sessions, or keep them only.",
)
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, change nothing.")


_NOT_TAKEN_IN_SHOWN = 20


@click.command(short_help="Keep capturing a coding agent's own transcripts.")
@click.argument("agent", required=False)
@click.option("--path", metavar="DIR", help="Where they are, if not in the agent's usual place.")
@click.option("--format", "agent_format", metavar="AGENT", help="Whose they are, with --path.")
@_space
@_rules
@_tasks
@_dry_run
@click.pass_obj
def attach(
    store_path: str | None,
    agent: str | None,
    path: str | None,
    agent_format: str | None,
    space: str | None,
    rules: tuple[str, ...],
    tasks: bool | None,
    dry_run: bool,
) -> None:
    """Take in the transcripts of AGENT (claude-code, codex, gemini, pi, openclaw, qwen), the past
    now and the future while the daemon runs. They are only read, never changed.

    Secrets are replaced before anything is written. It can be stopped at any time; run it again to
    go on. What was said of it before (--space, --rule, --no-tasks) holds until it is said anew.
    """
    from acontext_fs.clock import format_time

    store = wiring.open_store(store_path)
    if agent and agent_format:
        raise UsageError("name the agent once: AGENT or --format")
    if not agent and not agent_format and not path:
        raise UsageError("name an agent (such as claude-code), or a folder with --path")
    known = _agent(agent or agent_format or "")
    options = _Options(store, space, rules, tasks, format_time(store.clock.now()))
    new = options.sources([path] if path else _usual_places(known), known, once=False)
    _go(store, new, dry_run=dry_run)
    if not dry_run:
        show.note("`acontext-fs up` follows what is written from now on")


@click.command("import", short_help="Take transcripts in once.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@_space
@_rules
@_tasks
@_dry_run
@click.pass_obj
def import_(
    store_path: str | None,
    paths: tuple[str, ...],
    space: str | None,
    rules: tuple[str, ...],
    tasks: bool | None,
    dry_run: bool,
) -> None:
    """Take in the files PATH, or all below the folders PATH, of whatever format, once.

    Doing it again takes in only what is new. The files are only read.
    """
    from acontext_fs.clock import format_time

    store = wiring.open_store(store_path)
    options = _Options(store, space, rules, tasks, format_time(store.clock.now()))
    _go(store, options.sources(paths, None, once=True), dry_run=dry_run)


@click.command(short_help="Stop capturing an agent; what was taken in stays.")
@click.argument("name", metavar="AGENT|PATH")
@click.pass_obj
def detach(store_path: str | None, name: str) -> None:
    """Take AGENT, or the folder PATH, out of what is captured. No session is removed."""
    from acontext_fs.daemon.capture import sources

    store = wiring.open_store(store_path)
    attached = sources.read(store.layout)
    kept = sources.without(attached, _ALIASES.get(name, name))
    sources.write(store.layout, kept)
    for one in attached:
        if one not in kept:
            show.note(f"detached {one.path}; its sessions stay in the store")


@click.command("sources", short_help="What is captured, and how far that is.")
@show.json_option
@click.pass_obj
def sources_(store_path: str | None, as_json: bool) -> None:
    """List the attached folders: files, sessions, what waits, and what cannot be taken in."""
    store = wiring.open_store(store_path)
    troubles = _troubles(store)
    found = _surveys(store, troubles)
    rows = [_row(one, troubles) for one in found]
    if as_json:
        show.print_json(rows)
        return
    if not rows:
        show.note("nothing is attached: `acontext-fs attach claude-code`, for example")
        return
    show.table(
        ("AGENT", "PATH", "SPACE", "FILES", "SESSIONS", "SIZE", "CHANGED", "WAITING", "OPTIONS"),
        [
            (
                row["agent"] or "any",
                row["path"],
                row["space"] or "by format",
                row["files"] if row["exists"] else "missing",
                row["sessions"],
                size_text(int(str(row["bytes"]))),
                row["changed_at"],
                row["waiting_files"] or "",
                _options_of(one.source),
            )
            for one, row in zip(found, rows, strict=True)
        ],
    )
    for one in found:
        say_not_taken_in(one.unknown)
    for path, reason in troubles.items():
        show.note(f"{path}: {reason}")
    _say_left_out(store)


def _options_of(source: Source) -> str:
    """What was said of a source, in words."""
    said = [*map(_rule_text, source.rules)]
    said += [] if source.tasks else ["no tasks"]
    said += ["imported, not all of it yet"] if source.once else []
    return ", ".join(said)


def _rule_text(rule: Rule) -> str:
    return f"{rule.fact}={rule.glob}:{rule.space}"


def _row(survey: Survey, troubles: dict[str, str]) -> dict[str, object]:
    source = survey.source
    prefix = source.path.rstrip(os.sep) + os.sep
    return {
        "agent": source.agent,
        "path": source.path,
        "space": source.space,
        "rules": list(map(_rule_text, source.rules)),
        "tasks": source.tasks,
        "since": source.since,
        "once": source.once,
        "exists": os.path.exists(source.path),
        "files": survey.files,
        "sessions": len(survey.sessions),
        "bytes": survey.bytes,
        "changed_at": survey.changed_at,
        "waiting_files": survey.waiting_files,
        "waiting_bytes": survey.waiting_bytes,
        "unknown": [
            {"path": path, "reason": reason} for path, reason in sorted(survey.unknown.items())
        ],
        "trouble": [
            {"path": path, "reason": reason}
            for path, reason in troubles.items()
            if f"{path}{os.sep}".startswith(prefix)
        ],
    }


class _Options:
    """What may be said of new sources, checked; what is not said stays as it was."""

    def __init__(
        self,
        store: Store,
        space: str | None,
        rules: Sequence[str],
        tasks: bool | None,
        since: str,
    ) -> None:
        from acontext_fs import layout
        from acontext_fs.daemon.capture import sources

        self._space = layout.check_name("space", space) if space else ""
        self._rules = tuple(map(sources.rule_of, rules))
        self._tasks = tasks
        self._attached = sources.read(store.layout)
        self._since = since

    def sources(
        self, paths: Sequence[str | Path], agent: Agent | None, *, once: bool
    ) -> list[Source]:
        """A source for each path.

        Raises:
            UsageError: there is nothing at one of them.
        """
        from acontext_fs.daemon.capture.sources import Source

        found = []
        for path in paths:
            place = Path(path).expanduser().resolve()
            if not place.exists():
                raise UsageError(f"there is nothing at {place}: name a folder of transcripts")
            name = agent.name if agent is not None else ""
            same = (one for one in self._attached if (one.path, one.once) == (str(place), once))
            before = next(same, Source(name, str(place), since=self._since, once=once))
            found.append(
                replace(
                    before,
                    agent=name or before.agent,
                    space=self._space or before.space,
                    rules=self._rules or before.rules,
                    tasks=before.tasks if self._tasks is None else self._tasks,
                )
            )
        return found


def _agent(name: str) -> Agent | None:
    """The agent of a name; None for none.

    Raises:
        UsageError: nobody knows it.
    """
    from acontext_fs.daemon.capture import agents

    if not name:
        return None
    found = agents.NAMED.get(_ALIASES.get(name, name))
    if found is None:
        near = difflib.get_close_matches(name, agents.NAMED, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(agents.NAMED)}"
        raise UsageError(f"{name!r} is no agent whose transcripts are known: {hint}")
    return found


def _usual_places(agent: Agent | None) -> list[Path]:
    from acontext_fs.daemon.capture import agents

    assert agent is not None
    places = agents.folders_of(agent, wiring.environment(), Path.home())
    there = [place for place in places if place.is_dir()]
    if not there:
        looked = " or ".join(map(str, places))
        raise UsageError(
            f"there are no transcripts of {agent.name} at {looked}: "
            f"name their folder with --path, or set {agent.variable}"
        )
    return there


def _go(store: Store, new: Sequence[Source], *, dry_run: bool) -> None:
    from acontext_fs.cli import taking_in
    from acontext_fs.daemon.capture import sources
    from acontext_fs.errors import StoreError

    if store.commit:
        raise StoreError(f"{store.root} is a bare repository: work in a clone of it")
    for one in new:
        if Path(one.path).is_relative_to(store.root / "spaces"):
            raise UsageError(f"{one.path} is in the store itself: its sessions are there already")
    if dry_run:
        taking_in.say_what_would_be_done(store, new)
        return
    attached = sources.read(store.layout)
    for one in new:
        attached = sources.with_source(attached, one)
    sources.write(store.layout, attached)
    names = ", ".join(one.path for one in new if not one.once)
    if names:
        show.note(f"attached {names}")
    taking_in.take_in(store, new)


def _surveys(store: Store, troubles: dict[str, str]) -> list[Survey]:
    """Every source, counted; folders that cannot be read are added to `troubles`."""
    from acontext_fs.daemon.capture import scanning, sources, survey
    from acontext_fs.daemon.capture.capture import ledger_file
    from acontext_fs.daemon.capture.ledger import Ledger

    entries = Ledger(ledger_file(store.layout)).entries
    return [
        survey.count(one, scanning.scan(one, store.root, troubles), entries)
        for one in sources.read(store.layout)
    ]


def _troubles(store: Store) -> dict[str, str]:
    """What a daemon could not take in when it last said so."""
    listed = daemon_state(store).get("trouble")
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {str(one.get("path")): str(one.get("reason")) for one in found}


def daemon_state(store: Store) -> dict[str, object]:
    """What a daemon last said of its capturing; nothing if it never did."""
    import orjson

    from acontext_fs import files

    try:
        state = orjson.loads(files.read_bytes(store.layout.local / "state.json") or b"{}")
    except orjson.JSONDecodeError:
        return {}
    found = state.get("capture") if isinstance(state, dict) else None
    return found if isinstance(found, dict) else {}


def say_not_taken_in(reasons: Mapping[str, str]) -> None:
    """Say which files are not taken in, and why."""
    for path, reason in sorted(reasons.items())[:_NOT_TAKEN_IN_SHOWN]:
        show.note(f"not taken in: {path}: {reason}")
    more = len(reasons) - _NOT_TAKEN_IN_SHOWN
    if more > 0:
        files = phases.counted(more, "more file")
        show.note(f"and {files}; `acontext-fs sources --json` lists those of attached folders")


def _say_left_out(store: Store) -> None:
    state = daemon_state(store)
    count, size = state.get("left_out"), state.get("left_out_bytes")
    if isinstance(count, int) and isinstance(size, int) and count:
        show.note(
            f"left out by the daemon since it began, as keep_blobs and blob_bytes_max say: "
            f"{phases.counted(count, 'part')} of transcripts, such as images, {size_text(size)}"
        )


def size_text(count: int) -> str:
    """A number of bytes for a person."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
