"""The documents say what the program does: commands, options, and the README's own examples."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from acontext_fs.cli import cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = ROOT / "docs" / "commands.md"


def help_of(name: str, command: click.Command) -> str:
    program = click.Context(cli, info_name="acontext-fs", **cli.context_settings)
    context = click.Context(command, info_name=name, parent=program, terminal_width=100)
    return f"## {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"


def test_the_page_of_commands_is_what_help_prints() -> None:
    pages = [help_of(name, command) for name, command in sorted(cli.commands.items())]
    text = (
        "# Commands\n\nWhat `acontext-fs COMMAND --help` prints. Data goes to stdout, everything "
        "else to stderr.\nExit codes: 0 done, 1 a clear error, 2 wrong usage. `--store PATH` "
        "stands in front of the command.\n\n" + "\n".join(pages)
    )
    if os.environ.get("ACONTEXT_FS_UPDATE_DOCS"):
        COMMANDS.write_text(text)
    assert COMMANDS.read_text() == text, "run this test with ACONTEXT_FS_UPDATE_DOCS=1"


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_is_named_in_the_readme_and_has_help(name: str) -> None:
    assert cli.commands[name].help
    assert f"`{name}" in README or f"acontext-fs {name}" in README


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", README, re.M | re.S)


def test_the_readme_begins_with_two_commands() -> None:
    first = re.search(r"^```\w*\n(.*?)^```", README, re.M | re.S)
    assert first is not None
    lines = [line for line in first.group(1).split("\n") if line.strip()]
    assert len(lines) == 2
    assert "acontext-fs demo" in lines[0]
    assert "pytest" in lines[1]


def shown(text: str) -> list[str]:
    """Output with what differs from run to run taken out: ids, times, places."""
    text = re.sub(r"\b[0-9a-f]{7,40}\b", "<commit>", text)
    text = re.sub(r"\d{4}-\d\d-\d\d(T[\d:.]+Z)?|\b\d\d:\d\d:\d\d\b|\d{4}/\d\d/\d\d", "<time>", text)
    text = re.sub(r"\S*/memory\b", "<place>", text)
    return [" ".join(line.split()) for line in text.split("\n") if line.strip()]


def test_the_readmes_examples_run_and_print_what_it_shows(tmp_path: Path) -> None:
    """Every `$ ` line of the README's console blocks, in order, in one shell session."""
    story = [line for block in blocks("console") for line in block.split("\n") if line]
    commands = [line[2:] for line in story if line.startswith("$ ")]
    assert len(commands) >= 6
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name, arguments in (("acontext-fs", "-m acontext_fs"), ("python", "")):
        program = bin_folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    printed = shown(done.stdout + "\n" + done.stderr)
    for line in shown("\n".join(line for line in story if not line.startswith("$ "))):
        assert line == "..." or line in printed, f"the README shows {line!r}"
