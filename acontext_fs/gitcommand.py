"""The `git` command, for what libgit2 cannot do: packing, and asking what git itself sees.

Never asks a person anything: it has no terminal and no input, and prompting is switched off.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from acontext_fs.errors import HistoryError

ANSWER_SECONDS_MAX = 60.0
"""How long a question to git may take."""
FSCK_SECONDS_MAX = 900.0
"""How long it may take to look at every object."""
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def environment_of(environment: Mapping[str, str] | None) -> dict[str, str] | None:
    """The environment git runs in: without variables that lead it to another repository."""
    if environment is None:
        return None
    return {k: v for k, v in environment.items() if not k.startswith("GIT_")} | _QUIET


def ask(
    root: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
) -> bytes:
    """What `git <arguments>` prints in the repository `root`.

    Raises:
        HistoryError: there is no git, it failed, or it took longer than ANSWER_SECONDS_MAX.
    """
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=root,
            env=environment_of(environment),
            input=stdin,
            capture_output=True,
            timeout=ANSWER_SECONDS_MAX,
            check=False,
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HistoryError(f"the git command cannot be used ({error}): install git") from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise HistoryError(f"`git {arguments[0]}` failed in {root}: {said[:300]}")
    return done.stdout


def fsck(root: Path, environment: Mapping[str, str] | None = None) -> list[str]:
    """What `git fsck` complains about in `root`, a line each.

    Raises:
        HistoryError: there is no git.
    """
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "fsck", "--strict", "--no-dangling", "--no-progress"],
            cwd=root,
            env=environment_of(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=FSCK_SECONDS_MAX,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return [f"it was not done after {FSCK_SECONDS_MAX:.0f} seconds"]
    except OSError as error:
        raise HistoryError(f"`git fsck` cannot be used ({error})") from error
    said = (done.stdout + done.stderr).decode("utf-8", "replace").split("\n")
    lines = [line for line in said if line]
    return lines or ([f"it ended with {done.returncode}"] if done.returncode else [])


def version(root: Path, environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """The version of git, as (2, 39).

    Raises:
        HistoryError: there is no git.
    """
    said = ask(root, ["--version"], environment).decode("utf-8", "replace")
    match = re.search(r"(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def config(root: Path, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """What git's settings say in `root`, by name (`gc.auto`); the last of several values.

    Raises:
        HistoryError: there is no git, or the settings cannot be read.
    """
    found = {}
    for entry in ask(root, ["config", "--list", "-z"], environment).split(b"\0"):
        name, _, value = entry.decode("utf-8", "surrogateescape").partition("\n")
        if name:
            found[name] = value
    return found


def is_false(value: str) -> bool:
    """Whether a value of git's settings says no (git-config, "Values")."""
    return value.lower() in ("false", "no", "off", "0", "")
