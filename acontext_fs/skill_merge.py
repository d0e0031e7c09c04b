"""The merge driver that git runs on the Markdown of skills, which two clones learn into.

Git's own merge refuses lines that both sides add at one place, and every learner adds to the same
lists. Here what `merging` can merge is merged, front matter key by key; what both changed in two
ways is left to git, with markers around that and nothing else. A SKILL.md that was a valid skill on
both sides and is none when merged is a conflict too.

Git runs `python -P -m acontext_fs.skill_merge %O %A %B %L %P %X %Y` (gitattributes(5), "Defining a
custom merge driver"; git older than 2.44 knows no names of the sides). Where that cannot run, the
command goes on with what git would have done by itself.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from acontext_fs import front_matter_merge, git_settings, merging
from acontext_fs.errors import SkillInvalid

NAME = "acontext-fs-skills"
MERGE_BYTES_MAX = 1024 * 1024
"""Files larger than that are merged by git alone."""
_CONFLICT = 3
"""What the program ends with on a conflict: any other failure leaves the file to git."""
_BINARY_BYTES = 8000
"""So far git looks for a NUL byte."""
_SKILL = ("spaces", "skills", "SKILL.md")
"""As `layout` has it, which git would wait for: it starts this for every file."""


class Outcome(NamedTuple):
    """The versions of a file after merging; all the same if there was no conflict.

    `problem` tells why the outcome must not be taken nevertheless.
    """

    base: bytes
    ours: bytes
    theirs: bytes
    problem: str = ""


def install(root: Path) -> bool:
    """Have the repository at `root` run the driver with this Python; whether that is news to it.

    Raises:
        StoreError: its configuration cannot be read or written.
    """
    ours = f"{git_settings.program('skill_merge')} %O %A %B %L %P %X %Y"
    git = "git merge-file -q --marker-size=%L -L HEAD -L base -L theirs %A %O %B || exit 1"
    command = f"{ours}; case $? in 0) exit 0;; {_CONFLICT}) exit 1;; esac; {git}"
    wanted = {f"merge.{NAME}.name": "skills", f"merge.{NAME}.driver": command}
    return git_settings.tell(root, wanted)


def merged(path: str, base: bytes, ours: bytes, theirs: bytes) -> Outcome:
    """What the file at `path` (in the store, with `/`) becomes."""
    if base.strip() and not (ours.strip() and theirs.strip()):
        return Outcome(base, ours, theirs)  # Somebody emptied it, and somebody wrote on.
    folder = _skill_of(path)
    take = _by_key if folder else merging.partly
    found = Outcome(*take(base, ours, theirs))
    if not folder or not found.base == found.ours == found.theirs:
        return found
    problem = _problem(found.ours, folder)
    if not problem or _problem(ours, folder) or _problem(theirs, folder):
        return found
    return Outcome(base, ours, theirs, problem)


def _skill_of(path: str) -> str:
    """The skill whose SKILL.md a path names; "" if none."""
    parts = path.split("/")
    is_one = len(parts) == 5 and (parts[0], parts[2], parts[4]) == _SKILL
    return parts[3] if is_one else ""


def _by_key(base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, bytes, bytes]:
    """The three with everything merged that can be, front matter key by key if that can be done."""
    texts = [merging.with_ends_of(ours, text) for text in (base, ours, theirs)]
    halves = [front_matter_merge.cut(merging.lines_of(text)) for text in texts]
    if not base.strip():
        halves[0] = [], []
    fronts, bodies = ([half[part] for half in halves if half] for part in (0, 1))
    found = front_matter_merge.partly(*fronts) if None not in halves else None
    if found is None:
        return merging.partly(base, ours, theirs)
    rests = merging.partly(*(b"".join(lines) for lines in bodies))
    fence = merging.lines_of(ours)[:1]
    one, two, three = (
        b"".join((*fence, *front, *fence, rest)) for front, rest in zip(found, rests, strict=True)
    )
    return one, two, three


def _problem(data: bytes, folder: str) -> str:
    """The rule of skills that a SKILL.md breaks, "" if none."""
    from acontext_fs.skill_file import validate  # Here, because few calls need it and it is slow.

    try:
        validate(data, folder, any_line_ends=True)
    except SkillInvalid as error:
        return str(error)
    return ""


def main(arguments: Sequence[str]) -> int:
    """Merge as git asks: into the second file; 0 if that could be done."""
    base, ours, theirs, size, path, *names = arguments
    places = [Path(name) for name in (base, ours, theirs)]
    if any(place.stat().st_size > MERGE_BYTES_MAX for place in places):
        return _left_to_git(places, size, names)
    texts = [place.read_bytes() for place in places]
    if any(b"\0" in text[:_BINARY_BYTES] for text in texts):
        sys.stderr.write(f"acontext-fs: {path} is no text: it is left as it is here\n")
        return _CONFLICT
    found = merged(path, *texts)
    if found.base == found.ours == found.theirs:
        places[1].write_bytes(found.ours)
        return 0
    if found.problem:
        sys.stderr.write(f"acontext-fs: {path} is left to you, since merged it is no skill: ")
        sys.stderr.write(f"{found.problem}\n")
    import tempfile  # Here, and no class is a dataclass, because each takes its milliseconds.

    with tempfile.TemporaryDirectory(prefix="acontext-fs-") as folder:
        reduced = [Path(folder) / name for name in ("base", "ours", "theirs")]
        for place, data in zip(reduced, (found.base, found.ours, found.theirs), strict=True):
            place.write_bytes(data)
        _left_to_git(reduced, size, names)
        places[1].write_bytes(reduced[1].read_bytes())
    return _CONFLICT


def _left_to_git(places: Sequence[Path], size: str, names: Sequence[str]) -> int:
    """Git's own merge of base, ours and theirs, into ours; 0 if there is no conflict."""
    base, ours, theirs = map(str, places)
    mine, other = names if names and names != ["%X", "%Y"] else ("HEAD", "theirs")
    words = ["git", "merge-file", "-q", f"--marker-size={size}"]
    words += ["-L", mine, "-L", "base", "-L", other, ours, base, theirs]
    return _CONFLICT if subprocess.run(words, check=False).returncode else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
