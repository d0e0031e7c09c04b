"""`git merge` of another branch of a simulated store, with the merge drivers that git would run."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from acontext_fs import git_merge, layout, merging, union_merge
from acontext_fs.errors import AcontextError, CommitConflict
from acontext_fs.layout import SessionPlace
from tests.faults import simulation_steps
from tests.faults.simulation_history import Node, Refused

if TYPE_CHECKING:
    from tests.faults.simulation import World


def merge(world: World) -> str:
    """Merge what another branch has, or else go there; mostly all is committed first."""
    repository = world.repository
    others = [name for name in sorted(repository.branches) if name != repository.branch]
    if repository.under_way or repository.detached:
        raise Refused("not now")
    if world.random.random() < 0.8:
        with contextlib.suppress(Refused):
            simulation_steps.commit_all(world, everything=True)
    ahead = {node.id for node in repository.chain()}
    others = [name for name in others if repository.branches[name] not in ahead]
    if not others:
        return simulation_steps.switch(world)
    other, ours = world.random.choice(others), repository.nodes[repository.tip]
    theirs = repository.nodes[repository.branches[other]]
    bases: list[Node] = []

    def join(base: Node, mine: Node, yours: Node) -> dict[str, bytes]:
        bases.append(base)
        return _joined(base, mine, yours)

    node = repository.merge(theirs.id, int(world.clock.now()), join)
    if bases:
        world.checker.merged(node, (bases[0], ours, theirs))
    simulation_steps.synced(world)
    return f"{other} {node.id[:8]}{'' if bases else ' fast-forward'}"


def _joined(base: Node, ours: Node, theirs: Node) -> dict[str, bytes]:
    sides = (base, ours, theirs)
    found: dict[str, bytes] = {}
    for path in sorted(base.tree.keys() | ours.tree.keys() | theirs.tree.keys()):
        was, mine, other = (one.tree.get(path) for one in sides)
        if mine == other or was == other:
            text = mine
        elif was == mine:
            text = other
        elif mine is None or other is None:
            raise Refused(f"{path} is removed on one side")
        else:
            text = _text(path, (was or b"", mine, other), sides)
        if text is not None:
            found[path] = text
    return found


def _text(path: str, versions: tuple[bytes, bytes, bytes], sides: Sequence[Node]) -> bytes:
    """What git and its drivers make of three versions of a file."""
    place = layout.place_of(path)
    try:
        if place is None:
            return merging.merge(*versions) or b""
        if path != place.session_path:
            return _by_driver(path, place, versions, sides)
    except (CommitConflict, AcontextError) as error:
        raise Refused(f"{path}: {error}") from error
    united = union_merge.united(*versions)
    if united is None:
        raise Refused(f"{path}: git's own union is not modelled")
    return united


def _by_driver(
    path: str, place: SessionPlace, versions: tuple[bytes, bytes, bytes], sides: Sequence[Node]
) -> bytes:
    from tests.faults.simulation import replaced

    names = (place.session_path, place.tasks_path, place.progress_path)
    found = [
        git_merge._Files("", place, *(one.tree.get(name, b"") for name in names)) for one in sides
    ]
    with replaced(
        (git_merge, "_commits", lambda *_: git_merge._Commits(*found)),
        (git_merge, "_git", _git),
    ):
        return git_merge.merged(path, git_merge.Versions(*versions), {})


def _git(arguments: Sequence[str], stdin: str = "") -> bytes:
    if arguments[0] != "config":
        raise Refused("git's own union is not modelled")
    return b"python -m acontext_fs.union_merge"
