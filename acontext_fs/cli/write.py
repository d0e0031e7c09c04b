"""The command that writes: append."""

from __future__ import annotations

import sys
from typing import Any

import click

from acontext_fs.cli import show, wiring
from acontext_fs.errors import UsageError


@click.command(short_help="Append messages to a session, stamped.")
@click.argument("session", metavar="SESSION")
@click.option("--space", default=None, help="The session's space.  [default: default]")
@click.option("--role", default="user", show_default=True, help="Who says it.")
@click.option("--content", "-m", help="What is said; without it JSON lines are read from stdin.")
@click.option(
    "--format",
    "message_format",
    type=click.Choice(["openai", "anthropic", "gemini", "acontext"]),
    help="The shape of the messages.  [default: recognised]",
)
@click.option("--meta", help="A JSON object to keep with the messages.")
@click.option("--user", help="Whose session it is.")
@click.option("--config", "configs", multiple=True, metavar="KEY=VALUE", help="A session config.")
@click.option("--disable-task-tracking", is_flag=True, help="Take no tasks from this session.")
@click.pass_obj
def append(store_path: str | None, /, session: str, **options: Any) -> None:
    """Append to SESSION: one message from --role and --content, or JSON lines from stdin.

    A line of stdin is a message of OpenAI, Anthropic or Gemini shape, or one of our own kinds of
    line (docs/formats.md). All of them are written at once, or none. SESSION is an id in the space
    `default` or in --space, or SPACE/ID; a new one starts a session.
    """
    store = wiring.open_store(store_path)
    space, slash, name = session.rpartition("/")
    if slash and options["space"]:
        raise UsageError(f"{session!r} names a space already: leave --space out")
    # Always that space: a session of the same id elsewhere must not catch the lines.
    target = store.space(space or options["space"] or "default").session(name)
    lines = _facts(options) + _messages(options)
    if not lines:
        raise UsageError("nothing to append: give --content TEXT, or JSON lines on stdin")
    meta = _object("--meta", options["meta"]) if options["meta"] else None
    ids = target.append(lines, format=options["message_format"], meta=meta)
    noun = "line" if len(lines) == 1 else "lines"
    show.note(f"appended {len(lines)} {noun} to {target.path.relative_to(store.root)}")
    for message_id in ids:
        click.echo(message_id)


def _facts(options: dict[str, Any]) -> list[dict[str, Any]]:
    facts: dict[str, Any] = {}
    if options["user"]:
        facts["user"] = options["user"]
    if options["configs"]:
        pairs = [text.partition("=") for text in options["configs"]]
        if any(not equals for _, equals, _ in pairs):
            raise UsageError("--config takes KEY=VALUE")
        facts["configs"] = {key: value for key, _, value in pairs}
    if options["disable_task_tracking"]:
        facts["disable_task_tracking"] = True
    return [{"type": "session", **facts}] if facts else []


def _messages(options: dict[str, Any]) -> list[dict[str, Any]]:
    if options["content"] is not None:
        return [{"role": options["role"], "content": options["content"]}]
    if sys.stdin.isatty():
        return []
    lines = []
    for number, data in enumerate(sys.stdin.buffer.read().split(b"\n"), start=1):
        if data.strip():
            lines.append(_object(f"line {number} of stdin", data))
    return lines


def _object(where: str, data: str | bytes) -> dict[str, Any]:
    import orjson

    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{where} is not JSON ({error}); nothing was appended") from error
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a JSON object; nothing was appended")
    return value
