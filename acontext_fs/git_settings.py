"""Telling git, in the settings of one repository, which programs of ours it is to run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from acontext_fs.errors import StoreError


def program(module: str) -> str:
    """The command that runs a module of ours with this Python."""
    # Without -P a file of the repository that is called like a module would be run for it.
    return f"{shlex.quote(Path(sys.executable).as_posix())} -P -m acontext_fs.{module}"


def tell(root: Path, wanted: Mapping[str, str]) -> bool:
    """Set what is `wanted` in the repository at `root`; whether any of it is news to it.

    Raises:
        StoreError: its configuration cannot be read or written.
    """
    import pygit2  # Here, because the programs that git runs have to start quickly.

    try:
        config = pygit2.Repository(str(root)).config
        changed = [
            key for key, value in wanted.items() if key not in config or config[key] != value
        ]
        for key in changed:
            config[key] = wanted[key]
    except (pygit2.GitError, OSError, ValueError) as error:
        raise StoreError(f"cannot configure git in {root}: {error}") from error
    return bool(changed)
