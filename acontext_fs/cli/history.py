"""Commands about what was learned: undo, review."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from acontext_fs.cli import naming, run, show, wiring
from acontext_fs.errors import SessionError, StoreError, UsageError

if TYPE_CHECKING:
    from acontext_fs.commits import Commit
    from acontext_fs.daemon.undoing import Undoing
    from acontext_fs.proposals import Proposal
    from acontext_fs.revisions import Revisions
    from acontext_fs.store import Store


@click.command(short_help="Take a learning back; it is not learned again.")
@click.argument("commit")
@click.option("--dry-run", is_flag=True, help="Show the change of the skills, and make none.")
@click.option(
    "--timeout", "timeout_seconds", type=float, default=60, show_default=True, metavar="SECONDS"
)
@click.pass_obj
def undo(store_path: str | None, commit: str, dry_run: bool, timeout_seconds: float) -> None:
    """Take back the learning COMMIT (the beginning of an id, a tag, HEAD~2) in a commit of its own.

    What was learned or written since stays, and so do edits that are not committed. Where these
    overlap, nothing is changed and it is said what overlaps. `log --kind skills` lists learnings.
    """
    from acontext_fs.revisions import Revisions

    store = wiring.open_store(store_path)
    if store.commit:
        raise StoreError(f"{store.root} is a bare repository: take the learning back in a clone")
    revisions = Revisions(store.root)
    learning = revisions.commit(revisions.resolve(commit))
    if dry_run:
        _show_plan(store, learning)
        return
    reply = run.take_back(store, learning.id, timeout_seconds)
    if reply.problems:
        raise StoreError("; ".join(reply.problems))
    if not reply.commit:
        _note_done(learning)
        return
    _show_made(store, revisions, learning, reply.commit)


@click.command(short_help="See what could not be merged, and accept or reject it.")
@click.argument("proposal", required=False)
@click.option("--accept", is_flag=True, help="Merge the proposal into the skills now.")
@click.option("--reject", is_flag=True, help="Drop the proposal; it is not learned again.")
@show.json_option
@click.option(
    "--timeout", "timeout_seconds", type=float, default=60, show_default=True, metavar="SECONDS"
)
@click.pass_obj
def review(
    store_path: str | None,
    proposal: str | None,
    accept: bool,
    reject: bool,
    as_json: bool,
    timeout_seconds: float,
) -> None:
    """List the proposals, or show the change of one (or the beginning of its id), or decide.

    A proposal is something learned that changes the very text a person changed meanwhile.
    """
    from acontext_fs.proposals import Proposals

    if accept and reject:
        raise UsageError("--accept and --reject do not go together: give one of them")
    if (accept or reject) and not proposal:
        raise UsageError("say which proposal: `acontext-fs review` lists them")
    store = wiring.open_store(store_path)
    proposals = Proposals(store.root, store.clock)
    if store.commit and (accept or reject):
        raise StoreError(
            f"{store.root} is a bare repository: fetch refs/acontext/proposals/* into a clone, and "
            "decide there"
        )
    if accept or reject:
        chosen = proposals.get(proposal or "")
        reply = run.decide(store, chosen.id, timeout_seconds, accept=accept)
        if reply.problems:
            raise StoreError("; ".join(reply.problems))
        done = "accepted" if accept else "rejected"
        where = f" in {reply.commit[:10]}" if reply.commit else ""  # Its session may be gone.
        click.echo(f"{done} {_named(chosen.commit)}{where}")
        return
    found = [proposals.get(proposal)] if proposal else proposals.all()
    if as_json:
        show.print_json([_proposal_json(one) for one in found])
    elif proposal:
        _show_proposal(found[0])
    elif found:
        rows = [(one.id, one.commit.when[:10], _where(one), one.commit.subject) for one in found]
        show.table(("proposal", "day", "skill files", "what"), rows)
    else:
        show.note("no proposal waits")
    for other in [] if proposal else proposals.foreign():
        show.note(other)


def _where(proposal: Proposal) -> str:
    return ", ".join(edit.path.partition("/skills/")[2] for edit in proposal.edits)


def _show_proposal(proposal: Proposal) -> None:
    click.echo(show.plain(f"{proposal.commit.subject}\n\n{proposal.commit.body}\n"))
    for edit in proposal.edits:
        for line in _diff(edit.path, edit.base, edit.content):
            click.echo(show.visible(line))
    show.note(f"`acontext-fs review {proposal.id} --accept` merges it, --reject drops it")


def _proposal_json(proposal: Proposal) -> dict[str, object]:
    return {
        "id": proposal.id,
        "subject": proposal.commit.subject,
        "session": proposal.commit.trailer("Acontext-Session"),
        "tasks": list(proposal.commit.trailers.get("Acontext-Task", ())),
        "files": [
            {"path": edit.path, "diff": "\n".join(_diff(edit.path, edit.base, edit.content))}
            for edit in proposal.edits
        ],
    }


def _note_done(learning: Commit) -> None:
    show.note(f"{_named(learning)} is taken back already; nothing was changed")


def _named(learning: Commit) -> str:
    return f"{show.one_line(learning.subject, 100)} ({learning.id[:10]})"


def _show_plan(store: Store, learning: Commit) -> None:
    from acontext_fs.daemon.undoing import undoing

    found = undoing(store.root, learning.id)
    if found is None:
        _note_done(learning)
        return
    for edit in found.edits:
        for line in _diff(edit.path, edit.base, edit.content):
            click.echo(show.visible(line))
    _show_notes(found)
    show.note(f"would take back {_named(learning)}; nothing was changed")


def _show_notes(found: Undoing) -> None:
    for note in found.notes:
        show.note(note)


def _show_made(store: Store, revisions: Revisions, learning: Commit, commit: str) -> None:
    """Print what a commit took back, and how to have it learned again."""
    click.echo(f"took back {_named(learning)} in {commit[:10]}")
    made = revisions.commit(commit)
    before, after = revisions.files(made.parents[0]), revisions.files(commit)
    for path in revisions.skill_paths(commit):
        lines = _diff(path, before.read(path), after.read(path))[2:]
        added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
        click.echo(f"  {show.plain(path)}  +{added} -{removed}")
    for line in _marked(store, made):
        click.echo(line)


def _marked(store: Store, made: Commit) -> list[str]:
    """What is not learned again, in a line each."""
    from acontext_fs.store import find_session

    try:
        session = find_session(store, made.trailer("Acontext-Session"))
    except SessionError:
        return ["no task is left to mark: its session is gone"]
    if made.trailers.get("Acontext-Preference"):
        return [f"these preferences of {session.place} are not learned again"]
    ids = made.trailers.get("Acontext-Task", ())
    names = [(naming.label(session, t), t.description) for t in session.tasks() if t.id in ids]
    return [
        f"{name} ({show.one_line(description, 80)}) is not learned again, unless by "
        f"`acontext-fs learn --again {name}`"
        for name, description in names
    ] or [f"no task is left to mark: {session.place} does not have it any more"]


def _diff(path: str, old: bytes | None, new: bytes | None) -> list[str]:
    """A unified diff of one file, as lines without their ends."""
    import difflib

    before, after = (
        (data or b"").decode("utf-8", errors="replace").split("\n") for data in (old, new)
    )
    name_before = "/dev/null" if old is None else f"a/{path}"
    name_after = "/dev/null" if new is None else f"b/{path}"
    return list(difflib.unified_diff(before, after, name_before, name_after, lineterm=""))
