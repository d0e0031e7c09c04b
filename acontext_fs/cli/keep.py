"""Commands that keep a store in order: prune, doctor."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from acontext_fs.cli import show, wiring
from acontext_fs.cli.phases import counted
from acontext_fs.errors import AcontextError, HistoryError, StoreError, UsageError

if TYPE_CHECKING:
    from acontext_fs.finding import Finding
    from acontext_fs.layout import SessionPlace
    from acontext_fs.pruning_choice import Candidate, Family, Wanted
    from acontext_fs.store import Session, Store

_AT_ONCE = ("set up", "put away", "finish", "rebuild")
"""What mends all findings of its kind in one go."""
LISTED_MAX = 20
"""So many sessions are listed one by one; more are summed up by space."""


@click.command(short_help="Check all of the store, and mend what is safe with --fix.")
@click.argument("sessions", nargs=-1, metavar="[SESSION]...")
@click.option("--fix", is_flag=True, help="Mend what loses nothing, after showing what that is.")
@click.option("--yes", is_flag=True, help="Do not ask before --fix mends.")
@show.json_option
@click.pass_context
def doctor(
    context: click.Context, /, sessions: tuple[str, ...], fix: bool, yes: bool, as_json: bool
) -> None:
    """List what is not as it should be in the store (or in the named SESSIONs), and what to do.

    Every damaged place with its file and line, sessions of an unknown format, files too large for
    git hosts, progress and tasks that do not fit, missing blobs, what git has and the disk has not,
    invalid skills and settings, git's own check, the index. Exit code 1 when something is left.
    Reads everything; without --fix it changes nothing.
    """
    from acontext_fs.store import find_session

    if fix and as_json:
        raise UsageError("--fix and --json do not go together: --fix asks, and says what it does")
    store = wiring.open_store(context.obj)
    if fix and store.commit:
        raise StoreError(f"{store.root} is a bare repository, which is only read: mend a clone")
    chosen = [find_session(store, name) for name in sessions] or None
    found = _examined(store, chosen, quiet=as_json)
    if as_json:
        show.print_json([_finding_json(finding) for finding in found])
    wrong = "1 thing is not as it should be"
    if len(found) > 1:
        wrong = f"{len(found):,} things are not as they should be"
    show.note(wrong if found else "nothing is wrong")
    if fix and _fix(store, found, yes=yes):
        show.note("looking again:")
        found = _examined(store, chosen, quiet=False)
        show.note(f"{len(found)} left, for you" if found else "nothing is wrong any more")
    context.exit(1 if found else 0)


def _examined(store: Store, chosen: Sequence[Session] | None, *, quiet: bool) -> list[Finding]:
    """What is found, printed as it is."""
    from acontext_fs.doctor import examine, of_index

    found = []
    whole = chosen is None and not store.commit
    for finding in itertools.chain(examine(store, chosen), of_index(store) if whole else ()):
        found.append(finding)
        if not quiet:
            _print_finding(finding)
    return found


def _fix(store: Store, found: Sequence[Finding], *, yes: bool) -> int:
    """Mend what can be mended, if that is wanted; return how many findings are dealt with."""
    from acontext_fs.mending import WHAT, mend
    from acontext_fs.owning import own

    several = {(f.mend, f.path if f.mend not in _AT_ONCE else ""): f for f in found if f.mend}
    if not several:
        show.note("nothing of it can be mended without you" if found else "nothing is to be mended")
        return 0
    with own(store.layout, "doctor", store.clock):
        for (what, path), _ in several.items():
            show.note(show.plain(f"would {WHAT[what]}{f': {path}' if path else ''}"))
        if not yes and not click.confirm("Do that?", err=True):
            return 0
        done = set()
        for key, finding in several.items():
            try:
                why = mend(store, finding)
            except AcontextError as error:
                why = str(error)  # The others can be mended all the same.
            said = f"not done ({why})" if why else "done"
            show.note(show.plain(f"{said}: {WHAT[key[0]]}{f': {key[1]}' if key[1] else ''}"))
            if not why:
                done.add(key)
    keys = [(f.mend, f.path if f.mend not in _AT_ONCE else "") for f in found]
    return sum(key in done for key in keys)


def _finding_json(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind,
        "path": finding.path,
        "line": finding.line or None,
        "text": finding.text,
        "remedy": finding.remedy,
    }


def _print_finding(finding: Finding) -> None:
    line = f":{finding.line}" if finding.line else ""
    said = finding.text.removeprefix(finding.path).removeprefix(",").strip()
    click.echo(show.plain(f"{finding.kind:10} {finding.path}{line}: {said}"))
    click.echo(show.plain(f"{'':10} -> {finding.remedy}"))


@click.command(short_help="Remove old or large sessions, after asking.")
@click.argument("sessions", nargs=-1, metavar="[SESSION]...")
@click.option("--older-than", metavar="AGE", help="Whose last line is older: 180d, 26w, 6m, 1y.")
@click.option("--before", metavar="DATE", help="Whose last line is from before DATE (UTC).")
@click.option("--larger-than", metavar="SIZE", help="That are larger: 500KB, 10MB, 1GB.")
@click.option("--space", help="Only in this space.")
@click.option("--also-unfinished", is_flag=True, help="Also what is not read, committed, learned.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def prune(store_path: str | None, /, sessions: tuple[str, ...], **options: Any) -> None:
    """Remove sessions for good, in one commit: transcripts, tasks, progress, and their blobs.

    Give SESSIONs, an age, a size, or several of these: what all of them say goes. A session goes
    with its subagents and continuations, and counts as old as the youngest of them. What was
    learned stays; the agents' own files are not touched; capture does not bring a pruned session
    back. Git's history keeps it: `git revert` of the commit brings everything back.
    """
    from acontext_fs.layout import check_name
    from acontext_fs.owning import own
    from acontext_fs.store import find_session

    store = wiring.open_store(store_path)
    if store.commit:
        raise StoreError(f"{store.root} is a bare repository, which is only read: prune a clone")
    wanted = _wanted(store, options, bool(sessions))
    if options["space"]:
        check_name("space", options["space"])
    named = [find_session(store, name).place for name in sessions]
    if options["dry_run"]:
        _show(store, _families(store, options, wanted, named), options)
        return
    with own(store.layout, "prune", store.clock):
        going = _show(store, _families(store, options, wanted, named), options)
        if going and (options["yes"] or click.confirm("Remove them?", err=True)):
            _prune(store, going, options)


def _families(
    store: Store, options: dict[str, Any], wanted: Wanted, named: Sequence[SessionPlace]
) -> list[Family]:
    from acontext_fs import pruning_choice

    found = pruning_choice.survey(store, options["space"])
    return pruning_choice.with_unfinished(store, pruning_choice.select(found, wanted, named))


def _wanted(store: Store, options: dict[str, Any], has_names: bool) -> Wanted:
    from acontext_fs import pruning_choice

    age, date, size = options["older_than"], options["before"], options["larger_than"]
    if age and date:
        raise UsageError("--older-than and --before say the same: give one of them")
    if not (age or date or size or has_names):
        raise UsageError("say what to prune: SESSIONs, --older-than 180d, --larger-than 10MB")
    before = pruning_choice.before_of_age(age, store.clock.now()) if age else ""
    before = pruning_choice.before_of_date(date) if date else before
    return pruning_choice.Wanted(before, pruning_choice.bytes_of_size(size) if size else 0)


def _show(store: Store, families: Sequence[Family], options: dict[str, Any]) -> Sequence[Candidate]:
    """Show what goes and what stays; return what goes."""
    from acontext_fs.pruning import history_bytes

    going: list[Candidate] = []
    stays = False
    for family in families:
        is_open = any(one.unfinished for one in family)
        stays |= is_open and not options["also_unfinished"]
        what = "goes although" if options["also_unfinished"] else "stays, with what belongs to it"
        for one in family:
            if one.unfinished:
                show.note(f"{one.place} {what}: {show.one_line(one.unfinished, 200)}")
        if options["also_unfinished"] or not is_open:
            going += family
    if stays:
        show.note("`acontext-fs flush` finishes them; --also-unfinished removes them as they are")
    if not going:
        show.note("there is nothing to prune")
        return []
    show.table(("what", "sessions", "size", "oldest", "newest"), _rows(going))
    try:
        kept = _size(history_bytes(store, going))
        show.note(f"git's history keeps them, in {kept} or more")
    except HistoryError as error:
        show.note(f"git's history keeps them; how large that is cannot be said: {error}")
    return going


def _rows(going: Sequence[Candidate]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    if len(going) <= LISTED_MAX:
        rows += [(one.place, 1, _size(one.bytes), one.last[:10], one.last[:10]) for one in going]
    spaces = sorted({one.place.space for one in going})
    groups = [(space, [one for one in going if one.place.space == space]) for space in spaces]
    if len(groups) > 1 or not rows:
        rows += [_sum(f"space {space}", group) for space, group in groups]
    return [*rows, _sum("all", going)]


def _sum(what: str, group: Sequence[Candidate]) -> tuple[object, ...]:
    days = [one.last[:10] for one in group]
    return (what, len(group), _size(sum(one.bytes for one in group)), min(days), max(days))


def _prune(store: Store, going: Sequence[Candidate], options: dict[str, Any]) -> None:
    from acontext_fs import pruning
    from acontext_fs.history import History

    done = pruning.prune(store, History(store.root, store.clock), going, _why(options))
    extra = (
        f" and {counted(len(done.blobs), 'blob')} ({_size(done.blob_bytes)})" if done.blobs else ""
    )
    size = _size(sum(one.bytes for one in going))
    show.note(
        f"pruned {counted(len(going), 'session')} ({size}){extra} in commit {done.commit[:10]}"
    )
    them = "it" if len(going) == 1 else "them"
    show.note(f"`git revert {done.commit[:10]}` brings {them} back")


def _why(options: dict[str, Any]) -> str:
    names = {"older_than": "older than", "before": "before", "larger_than": "larger than"}
    said = [f"{text} {options[name]}" for name, text in names.items() if options[name]]
    return f"By `acontext-fs prune`: {', '.join(said) or 'named by a person'}."


def _size(count: int) -> str:
    for unit, size in (("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
