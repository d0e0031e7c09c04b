"""Commands that ask the index: sql, index."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from acontext_fs.cli import show, wiring
from acontext_fs.cli.phases import counted
from acontext_fs.errors import StoreError, UsageError

if TYPE_CHECKING:
    from acontext_fs.index.finding import Found
    from acontext_fs.index.index import Index
    from acontext_fs.store import Store

FORMATS = ("table", "json", "jsonl", "csv", "parquet", "markdown")


@click.command(short_help="Ask a question in SQL.")
@click.argument("query", metavar="QUERY")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="How the rows are printed.  [default: table]",
)
@show.at_option
@show.json_option
@click.pass_obj
def sql(
    store_path: str | None, query: str, format_name: str | None, at: str | None, as_json: bool
) -> None:
    """Run QUERY (DuckDB's SQL; `-` reads it from stdin) on the tables sessions, messages, tasks,
    progresses, preferences, events, skills, skill_files, commits and learnings (docs/sql.md).

    Rows come sorted by all columns unless the query says ORDER BY. Files can be read as well:
    read_json('spaces/*/tasks/**/*.jsonl'), with paths inside the store.
    """
    if as_json and format_name not in (None, "json"):
        raise UsageError(f"--json and --format {format_name} do not go together: give one of them")
    name = "json" if as_json else format_name or "table"
    if name == "parquet" and sys.stdout.isatty():
        raise UsageError("parquet is no text for a terminal: redirect the output to a file")
    store = wiring.open_store(store_path, at)
    if query == "-":
        query = _from_stdin()
    if not query.strip():
        raise UsageError("the query is empty: ask `select count(*) from messages`, for example")
    with _opened(store) as index:
        from acontext_fs.cli import results

        if name == "parquet":
            index.write_parquet(query, sys.stdout.buffer)
        else:
            with index.stream(query) as found:
                results.write(name, found, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        index.publish()


def _from_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"the query on stdin is not UTF-8 at byte {error.start}") from error


@click.command(
    short_help="Search messages, tasks and skills.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("question", nargs=-1, required=True, metavar="QUESTION...")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@show.at_option
@show.json_option
@click.pass_obj
def search(
    store_path: str | None, question: tuple[str, ...], limit: int, at: str | None, as_json: bool
) -> None:
    """Print what fits QUESTION, best first: words, "phrases", prefix*, -without, OR, and filters
    such as space:default is:human role:assistant kind:task status:failed after:2026-05-01
    (docs/search.md).
    """
    from acontext_fs import json_shapes
    from acontext_fs.store import public_ids

    store = wiring.open_store(store_path, at)
    with _opened(store) as index:
        found = index.search(" ".join(question), limit=limit)
        index.publish()
    if as_json:
        names = {(place.space, place.session_id): name for place, name in public_ids(store).items()}
        show.print_json(
            [
                json_shapes.hit(hit, session_id=names.get((hit.space, hit.session_id or "")))
                for hit in found
            ]
        )
        return
    if not found:
        show.note("nothing was found")
    for hit in found:
        where = f"{hit.space}/{hit.session_id}" if hit.session_id else f"{hit.id}/{hit.path}"
        line = f":{hit.line}" if hit.line else ""
        click.echo(f"{hit.kind:7}  {where}{line}  {_marked(hit)}")


def _marked(hit: Found) -> str:
    """The line that shows why, the words in bold on a terminal."""
    text, end, pieces = hit.snippet.text, 0, []
    for start, stop in hit.snippet.hits:
        pieces += [text[end:start], click.style(text[start:stop], bold=True)]
        end = stop
    return "".join([*pieces, text[end:]])


@click.command(short_help="Bring the index up to date, build it again, or check it.")
@click.option("--rebuild", is_flag=True, help="Build it from nothing.")
@click.option("--check", is_flag=True, help="Compare it with one that is built from nothing.")
@show.json_option
@click.pass_obj
def index(store_path: str | None, rebuild: bool, check: bool, as_json: bool) -> None:
    """Bring the index (.acontext/index) up to date and tidy it up.

    Never necessary: whoever asks brings it up to date. It holds nothing that is not in the files.
    """
    if rebuild and check:
        raise UsageError("--rebuild and --check do not go together: give one of them")
    store = wiring.open_store(store_path)
    with _opened(store, anew=rebuild) as opened:
        opened.publish(thorough=True)
        found = opened.query("select count(*) from sessions").rows[0][0]
        told = opened.query("select count(*) from messages").rows[0][0]
        summary = opened.summary()
        problems = _check(store, opened) if check else []
    value = {
        "sessions": found,
        "messages": told,
        "layers": summary.layers,
        "size_bytes": summary.size_bytes,
        **({"differences": problems} if check else {}),
    }
    if as_json:
        show.print_json(value)
    else:
        size = f"{summary.size_bytes / 1e6:.1f} MB in {counted(summary.layers, 'layer')}"
        click.echo(f"{counted(found, 'session')}, {counted(told, 'message')}, {size}")
        if check and not problems:
            click.echo("the same as an index built from nothing")
    if problems:
        advice = "build it again with `acontext-fs index --rebuild`"
        raise StoreError(f"the index differs from the files: {'; '.join(problems)}: {advice}")


def _check(store: Store, opened: Index) -> list[str]:
    from acontext_fs.index.checking import differences
    from acontext_fs.index.index import Index

    with Index.open(store, anew=True, private=True) as fresh:
        with show.counted("sessions checked") as done:
            fresh.refresh(report=done)
        opened.refresh()
        return differences(opened, fresh)


def _opened(store: Store, *, anew: bool = False) -> Index:
    from acontext_fs.index.index import Index

    wiring.check_settings(store)
    opened = Index.open(store, anew=anew)
    with show.counted("sessions indexed") as done:
        opened.refresh(report=done)
    return opened
