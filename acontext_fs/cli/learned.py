"""Commands that show what was learned: skills, log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from acontext_fs.cli import show, wiring

if TYPE_CHECKING:
    from acontext_fs.commits import Commit
    from acontext_fs.skill_file import Skill
    from acontext_fs.store import Store

CHANGES_LISTED_MAX = 6
"""So many changed files of a commit are named in its row; of more, how many."""
DIFF_CHARS_MAX = 200_000
"""So much of one commit's diff is printed."""
KINDS = ("archive", "tasks", "skills", "undo")
_SKILLS = ":(glob)spaces/*/skills/**"


@click.command(short_help="List the skills, or print the files of one.")
@click.argument("skill", required=False, metavar="[SKILL]")
@click.option("--space", default=None, help="Only those of one space.")
@show.at_option
@show.json_option
@click.pass_obj
def skills(
    store_path: str | None, skill: str | None, space: str | None, at: str | None, as_json: bool
) -> None:
    """List the skills of every space; or print the files of SKILL (`name` or `space.name`).

    Characters that cannot be seen are printed like <U+202E>. Skills that break a rule of the
    format are named on stderr, with the rule; no learner touches them.
    """
    from acontext_fs import skills as skill_files
    from acontext_fs.errors import StoreError

    store = wiring.open_store(store_path, at)
    rows = []
    for name in [store.space(space).name] if space else store.source.space_names():
        files = store.space(name).skill_files()
        for problem in skill_files.problems(files):
            show.note(f"{name}: {problem} (learners leave it alone)")
        for one in skill_files.catalogue(files):
            if skill in (None, one.folder, f"{name}.{one.folder}", f"{name}/{one.folder}"):
                own = {p: d for p, d in files.items() if p.split("/")[0] == one.folder}
                rows.append((name, one, own))
    if skill and not rows:
        raise StoreError(f"there is no skill {skill!r}: `acontext-fs skills` lists them")
    if as_json:
        show.print_json([_skill_json(name, one, own, bool(skill)) for name, one, own in rows])
    elif skill:
        for _, _, own in rows:
            for path, data in sorted(own.items()):
                text = data.decode("utf-8", errors="replace").replace("\r\n", "\n")
                click.echo(f"== {show.visible(path)}\n{show.visible(text)}")
    else:
        if not rows:
            show.note(f"no skill is there; spaces: {', '.join(store.source.space_names()) or '-'}")
        show.table(
            ("skill", "files", "description"),
            [(f"{name}.{one.folder}", len(own), one.description) for name, one, own in rows],
        )


def _skill_json(
    space: str, skill: Skill, files: Mapping[str, bytes], full: bool
) -> dict[str, object]:
    from acontext_fs.skills import closed

    value: dict[str, object] = {
        "id": f"{space}.{skill.folder}",
        "name": skill.name,
        "description": skill.description,
        "space": space,
        "files": sorted(path.partition("/")[2] for path in files),
        "left_alone": closed(files, skill.folder) or None,
    }
    if full:
        value["content"] = {
            path.partition("/")[2]: data.decode("utf-8", errors="replace")
            for path, data in sorted(files.items())
        }
    return value


@click.command(short_help="What was learned and tracked, and from where.")
@click.argument("session", required=False, metavar="[SESSION]")
@click.option("--kind", type=click.Choice(KINDS), help="Only this kind.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option("--diff", "-p", "as_diff", is_flag=True, help="With the lines of skills it changed.")
@show.json_option
@click.pass_obj
def log(store_path: str | None, /, session: str | None, as_json: bool, **options: Any) -> None:
    """Print the store's commits, newest first, with the sessions and lines they come from.

    Kinds: `skills` is a learning, `undo` takes one back, `tasks` notes what was read, `archive`
    holds transcripts; commits of people have none. Of the first two also the files of skills they
    changed, with the numbers of added and removed lines. With --diff characters that cannot be seen
    are printed like <U+202E>.
    """
    store = wiring.open_store(store_path)
    found = _chosen(store, session, options["kind"], options["limit"])
    changes = changed_lines(store, [c.id for c in found if kind_of(c) in ("skills", "undo")])
    if as_json:
        paths = store.revisions.changed_paths
        diffs = {c.id: _diff(store, c) for c in found} if options["as_diff"] else {}
        show.print_json([_commit_json(c, paths(c.id), changes.get(c.id, ()), diffs) for c in found])
    elif options["as_diff"]:
        for commit in found:
            _print_diff(store, commit)
    else:
        show.table(
            ("commit", "when", "kind", "session", "lines", "what", "changed"),
            [_row(commit, changes.get(commit.id, ())) for commit in found],
        )


def _chosen(store: Store, session: str | None, kind: str | None, limit: int) -> list[Commit]:
    from acontext_fs.store import find_session

    names = {str(find_session(store, session).place)} if session else set()
    found: list[Commit] = []
    for commit in store.revisions.log():
        is_of = bool(names.intersection(commit.trailers.get("Acontext-Session", ())))
        if is_of:
            names.update(commit.trailers.get("Acontext-Was", ()))  # What it was called before.
        if (kind is None or kind_of(commit) == kind) and (is_of or not session):
            found.append(commit)
            if len(found) >= limit:
                break
    return found


def kind_of(commit: Commit) -> str:
    """What a commit of ours is, to who reads the log; "" for one of a person."""
    is_undo = "Acontext-Undoes" in commit.trailers
    return "undo" if is_undo else commit.trailer("Acontext-Kind")


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit did to one file; None where lines cannot be counted."""

    path: str
    added: int | None
    removed: int | None


def changed_lines(store: Store, commits: Sequence[str]) -> dict[str, list[Change]]:
    """What each of the commits changed below `skills/`, in one question to git.

    Raises:
        HistoryError: git cannot be asked.
    """
    if not commits:
        return {}
    asked = "".join(f"{commit}\n" for commit in commits).encode()
    said = _git(store, ["--numstat", "-z", "--stdin"], asked)
    found: dict[str, list[Change]] = {}
    known, current = set(commits), ""
    for entry in said.split("\0"):
        name = entry.strip("\n")
        if name in known:
            current = name
            continue
        added, _, rest = name.partition("\t")
        removed, _, path = rest.partition("\t")
        if path:
            found.setdefault(current, []).append(Change(path, _count(added), _count(removed)))
    return found


def _git(store: Store, arguments: Sequence[str], stdin: bytes = b"") -> str:
    from acontext_fs import gitcommand

    # Neither settings nor attributes of the repository may bring a program of theirs in.
    quiet = ["-r", "--root", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color"]
    data = gitcommand.ask(
        store.root,
        ["diff-tree", *quiet, *arguments, "--", _SKILLS],
        wiring.environment(),
        stdin,
    )
    return data.decode("utf-8", "replace")


def _count(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _row(commit: Commit, changes: Sequence[Change]) -> tuple[object, ...]:
    told = [f"{change.path.split('/', 3)[-1]} {_signed(change)}" for change in changes]
    more = len(told) - CHANGES_LISTED_MAX
    shown = [*told[:CHANGES_LISTED_MAX], *([f"and {more} more"] if more > 0 else [])]
    return (
        commit.id[:7],
        f"{commit.when[:19]}Z",
        kind_of(commit),
        " ".join(commit.trailers.get("Acontext-Session", ())[:3]),
        commit.trailer("Acontext-Lines"),
        show.one_line(commit.subject, 200),
        ", ".join(shown),
    )


def _signed(change: Change) -> str:
    return "(no text)" if change.added is None else f"+{change.added} -{change.removed}"


def _diff(store: Store, commit: Commit) -> str:
    text = _git(store, ["-p", "--no-commit-id", "--full-index", commit.id])
    more = len(text) - DIFF_CHARS_MAX
    return f"{text[:DIFF_CHARS_MAX]}\n({more} more characters)\n" if more > 0 else text


def _print_diff(store: Store, commit: Commit) -> None:
    for line in _heading(commit):
        click.echo(click.style(show.visible(line), fg="yellow"))
    for line in _diff(store, commit).rstrip("\n").split("\n"):
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        text = show.visible(line)
        click.echo(click.style(text, fg=colour) if colour else text)
    click.echo()


def _heading(commit: Commit) -> Iterator[str]:
    from acontext_fs.tasks import named_lines

    sessions = ", ".join(commit.trailers.get("Acontext-Session", ())[:3])
    lines = commit.trailer("Acontext-Lines")
    yield f"commit {commit.id}  {commit.when[:19]}Z  {kind_of(commit)}".rstrip()
    if sessions:
        yield f"from {sessions}{f', {named_lines(lines)}' if lines else ''}"
    yield show.one_line(commit.subject, 200)


def _commit_json(
    commit: Commit, paths: Sequence[str], changes: Sequence[Change], diffs: Mapping[str, str]
) -> dict[str, Any]:
    value = {
        "id": commit.id,
        "subject": commit.subject,
        "body": commit.body,
        "author": commit.author,
        "created_at": commit.when,
        "trailers": {name: list(values) for name, values in commit.trailers.items()},
        "paths": [
            path.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for path in paths
        ],
        "changes": [asdict(change) for change in changes],
    }
    return {**value, "diff": diffs[commit.id]} if commit.id in diffs else value
