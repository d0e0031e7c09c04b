"""The merge driver that git runs in the place of its own where attributes say `merge=union`.

Git's own union writes a line twice where both sides have it and it stands between others that only
one has (up to three lines: xdiff takes them for a part of the conflict). So `git stash pop` would
double what a session had when it was stashed. Sessions only grow, so here what theirs has more is
put behind ours; any other file is merged by `git merge-file --union`, as without this.

Git runs `python -P -m acontext_fs.union_merge %O %A %B %P` (gitattributes(5), "Defining a custom
merge driver"); a driver of the name `union` in the configuration goes before the built-in one,
which still serves clones that know no driver.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

from acontext_fs import git_settings, layout

NAME = "union"


def install(root: Path) -> bool:
    """Have the repository at `root` run the driver with this Python; whether that is news to it.

    Raises:
        StoreError: its configuration cannot be read or written.
    """
    git = "git merge-file --union -q %A %O %B"  # As without us, where the program is gone.
    wanted = {
        f"merge.{NAME}.name": "the lines of both sides, each once",
        f"merge.{NAME}.driver": f"{git_settings.program('union_merge')} %O %A %B %P || {git}",
    }
    return git_settings.tell(root, wanted)


def united(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Both versions of a session: ours, and behind it what only theirs has; None where one of them
    does not begin with `base`, or ends in half a line. A run of lines that both have is the same.
    """
    if not (ours.startswith(base) and theirs.startswith(base)):
        return None
    if any(data and not data.endswith(b"\n") for data in (base, ours, theirs)):
        return None
    mine, yours = (data[len(base) :].split(b"\n")[:-1] for data in (ours, theirs))
    more, done = [], 0
    for _, start, size in SequenceMatcher(None, mine, yours, autojunk=False).get_matching_blocks():
        # One line alone may be said on both sides: "continue".
        if size > 1 or size == len(yours):
            more += yours[done:start]
            done = start + size
    more += yours[done:]
    return ours + b"".join(line + b"\n" for line in more)


def main(arguments: Sequence[str]) -> int:
    """Merge the files that git names (`%O %A %B %P`) into the second; returns what git is told."""
    base, ours, theirs = (Path(name) for name in arguments[:3])
    place = layout.place_of(arguments[3])
    if place is not None and place.session_path == arguments[3]:
        merged = united(base.read_bytes(), ours.read_bytes(), theirs.read_bytes())
        if merged is not None:
            ours.write_bytes(merged)
            return 0
    words = ["git", "merge-file", "--union", "-q", str(ours), str(base), str(theirs)]
    return subprocess.run(words, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
