"""The commands. Reads argv and the environment, wires the parts together, and prints.

Nothing heavy is imported here or at the top of the modules beside it: help has to be instant.
Data goes to stdout, everything else to stderr. Exit 0 done, 1 a clear error, 2 wrong usage.
"""

from __future__ import annotations

import io
import os
import sys

import click

from acontext_fs import __version__
from acontext_fs.cli import (
    capture,
    demo,
    history,
    keep,
    learned,
    read,
    run,
    serve,
    show,
    sql,
    write,
)
from acontext_fs.errors import AcontextError, UsageError


class _Commands(click.Group):
    """A group that ends quietly, with 0, when the reader of its output goes away (`| head`)."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # What is still buffered has to go somewhere when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command works on --store PATH, else $ACONTEXT_FS_STORE, else the store around "
    "the current directory.",
)
@click.version_option(__version__, prog_name="acontext-fs")
@click.option("--store", "store_path", metavar="PATH", help="The store to work on.")
@click.pass_context
def cli(context: click.Context, store_path: str | None) -> None:
    """Agent memory that is a git repository.

    Append lines to session files; a daemon turns them into tasks and skills and commits the result.
    """
    context.obj = store_path or os.environ.get("ACONTEXT_FS_STORE") or None
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":  # See no-color.org.
        context.color = False


for command in (
    demo.demo,
    run.init,
    serve.up,
    run.daemon,
    serve.serve,
    write.append,
    capture.attach,
    capture.detach,
    capture.sources_,
    capture.import_,
    run.flush,
    run.learn,
    history.undo,
    history.review,
    read.status,
    read.sessions,
    read.messages,
    read.tasks,
    learned.skills,
    learned.log,
    sql.search,
    sql.sql,
    sql.index,
    keep.prune,
    keep.doctor,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; errors we raise on purpose end it with one sentence."""
    try:
        if sys.stdout is None:
            raise UsageError("there is nowhere to print to: standard output is closed")
        _print_anything()
        cli(prog_name="acontext-fs")
    except UsageError as error:
        sys.exit(_complain(error, 2))
    except AcontextError as error:
        sys.exit(_complain(error, 1))
    except OSError as error:
        sys.exit(_complain(f"cannot write the output: {error.strerror or error}", 1))


def _print_anything() -> None:
    """Let what an encoding other than UTF-8 has no sign for be a question mark, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _complain(error: AcontextError | str, code: int) -> int:
    # A name in it may hold anything, and must not look like a second message of ours.
    text = show.plain(" ".join(str(error).split("\n")))
    print(f"acontext-fs: {text}", file=sys.stderr)
    return code
