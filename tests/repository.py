"""A store's repository as its tests see it: edits to commit, and what git says of the rest."""

from pathlib import Path

from acontext_fs.commits import FileEdit, message_of

A, B = "spaces/default/tasks/a.jsonl", "spaces/default/progress/a.json"
MESSAGE = message_of("Track tasks", "Why.", {"Acontext-Kind": "tasks"})


def edit(path: str, content: bytes | None = b"new\n", base: bytes | None = None) -> FileEdit:
    return FileEdit(path, content, base)


def tree(git) -> dict[str, str]:
    """Every path of HEAD with its mode and blob."""
    lines = git("ls-tree", "-r", "HEAD").rstrip("\n").split("\n")
    return {line.partition("\t")[2]: line.partition("\t")[0] for line in lines}


def person(git) -> tuple[str, str, str]:
    """What a person has in hand: staged, edited, and not in git."""
    return (git("diff", "--cached"), git("diff"), git("status", "--porcelain"))


def settled(git) -> None:
    """Nothing is damaged, left over or out of step."""
    assert git("fsck", "--strict", "--no-dangling") == ""
    assert git("status", "--porcelain") == ""
    gitdir = Path(git("rev-parse", "--absolute-git-dir").strip())
    assert not (gitdir / "index.lock").exists()
