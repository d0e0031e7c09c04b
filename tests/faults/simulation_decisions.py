"""What a person decides about learnings in a simulated store: as commands ask it of the daemon."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import orjson

from acontext_fs import layout, requests, tasks
from acontext_fs.daemon.verdicts import status_of
from acontext_fs.history import BOT_NAME
from acontext_fs.layout import SessionPlace
from acontext_fs.records import Task
from tests.faults.simulation_history import Refused

if TYPE_CHECKING:
    from tests.faults.simulation import World

_LOOK_BACK = 40
"""Among so many commits a person chooses one to undo."""


def send(
    world: World, action: str, chosen: list[str], *, failed: bool = False, about: str = ""
) -> str:
    """Put a request where the daemon sees it, once it is up."""
    world.serial += 1
    folder = requests.folder(world.store.layout)
    folder.mkdir(parents=True, exist_ok=True)
    value = {"action": action, "sessions": chosen, "failed": failed, "about": about}
    (folder / f"{world.serial:06}.request").write_bytes(orjson.dumps(value))
    return f"{action} {chosen} {'failed' if failed else ''}{about[:10]}"


def undo(world: World) -> str:
    last = zip(range(_LOOK_BACK), world.repository.chain(), strict=False)
    ours = [node for _, node in last if node.author == BOT_NAME]
    found = [node for node in ours if "Acontext-Kind: skills" in node.message]
    if not found:
        raise Refused("nothing is learned")
    return send(world, "undo", [], about=world.random.choice(found).id)


def want_again(world: World) -> str:
    """`learn --again` of a task that is not learned from."""
    if world.repository.journal is not None:
        raise Refused("a commit is not finished")
    found = [
        (place.session_path, task.id)
        for place, several in _tasks(world)
        for task in several
        if status_of(task) in ("rejected", "skipped", "failed", "proposed")
    ]
    if not found:
        raise Refused("there is none")
    path, task_id = world.random.choice(found)
    return send(world, "again", [path], about=task_id)


def _tasks(world: World) -> list[tuple[SessionPlace, tuple[Task, ...]]]:
    found = []
    for path in sorted(world.transcripts):
        place = layout.place_of(path)
        assert place is not None
        data = world.repository.raw(place.tasks_path)
        found.append((place, tasks.decode(data or b"", place.tasks_path)))
    return found


def decide(world: World) -> str:
    """`review`: a proposal is accepted, or declined."""
    found = list(world.repository.proposals)
    if not found:
        raise Refused("nothing is proposed")
    chosen, action = world.random.choice(found), world.random.choice(("accept", "reject"))
    if action == "accept" and world.random.random() < 0.7:
        for edit in world.repository.proposals[chosen].edits:
            make_way(world, edit.path, edit.base)
    return send(world, action, [], about=chosen)


def make_way(world: World, path: str, read: bytes | None) -> None:
    """A person gives up their own change of a file, and commits that."""
    from tests.faults import simulation_steps

    simulation_steps.save(world, path, read)
    with contextlib.suppress(Refused):
        world.repository.add(path)
        simulation_steps.commit(world)
