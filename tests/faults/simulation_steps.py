"""What can happen in a simulated store, one function a step; and how all is healed at the end.

A step takes the world and returns a word for the trace. What does not fit just then raises
`Refused` and nothing happened.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import orjson

from acontext_fs import layout, progress, requests, tasks
from acontext_fs.errors import ModelMisbehaved, ModelUnavailable
from acontext_fs.progress import Progress
from acontext_fs.records import LearnWork, Task
from tests.faults.simulation_checks import (
    Transcript,
    Violation,
    hands,
    numbers_of,
)
from tests.faults.simulation_decisions import send
from tests.faults.simulation_history import Refused, changed
from tests.faults.simulation_model import COUNTED, LEARNED, SKILLS, VERBS, serials_in

if TYPE_CHECKING:
    from tests.faults.simulation import World

Step: TypeAlias = "Callable[[World], str]"
SESSIONS_MAX = 6
LINES_MAX = 150
"""How long a session gets; then another one begins."""


# -- writers ----------------------------------------------------------------------------------


def _line(world: World) -> bytes:
    """The next line of a writer: mostly a message, now and then something else."""
    world.serial += 1
    number, kind = world.serial, world.random.random()
    if kind < 0.04:
        return b'{"role": broken %d\n' % number
    if kind < 0.08:
        return b'{"weird": %d}\n' % number
    if kind < 0.10:
        return b"\n"
    if kind < 0.12:
        return b'{"type":"session","user":"p%d"}\n' % number
    verb = world.random.choice(VERBS)
    more = " sk-SECRET" if kind > 0.97 else ""
    return orjson.dumps({"role": "user", "content": f"{verb} {number}{more}"}) + b"\n"


def written(transcript: Transcript, content: bytes) -> None:
    """Note what a session file holds now."""
    from tests.faults.simulation import clean

    whole = content[: content.rfind(b"\n") + 1]
    old, transcript.content = transcript.content, content
    cut = old.rfind(b"\n") + 1
    if whole.startswith(old[:cut]):
        more = whole[cut:]
        transcript.clean += clean(more)
        transcript.serials += [numbers_of(line) for line in more.split(b"\n")[:-1]]
        return
    transcript.lineages.append(transcript.clean)
    transcript.clean = clean(whole)
    transcript.serials = [numbers_of(line) for line in whole.split(b"\n")[:-1]]


def _put(world: World, transcript: Transcript, content: bytes, *, fresh: bool = False) -> None:
    """Make the file hold `content`; `fresh` as another file."""
    path = world.root / transcript.path
    if fresh or not transcript.exists:
        world.repository.put(transcript.path, content)
    else:
        path.write_bytes(content)
        world.stamp(path)
    transcript.exists = True
    written(transcript, content)


def _any(world: World) -> Transcript:
    found = [one for one in world.transcripts.values() if one.exists]
    if not found:
        raise Refused("there is no session")
    return world.random.choice(found)


def _add(world: World, transcript: Transcript, data: bytes) -> str:
    if len(transcript.serials) > LINES_MAX:
        raise Refused("it is long enough")
    path = world.root / transcript.path
    with open(path, "ab", buffering=0) as file:
        file.write(data)
    world.stamp(path)
    written(transcript, transcript.content + data)
    return f"{transcript.path[7:]} to line {len(transcript.serials)}"


def begin(world: World) -> str:
    if sum(one.exists for one in world.transcripts.values()) >= SESSIONS_MAX:
        raise Refused("there are enough")
    world.serial += 1
    space = world.random.choice(("default", "default", "second"))
    folder = world.random.choice(("", "2026/01/01/"))
    path = f"spaces/{space}/sessions/{folder}s{world.serial}.jsonl"
    transcript = world.transcripts[path] = Transcript(path, exists=False)
    _put(world, transcript, _line(world) if world.random.random() < 0.8 else b"")
    return path


def append(world: World) -> str:
    count = world.random.choice((1, 1, 2, 4))
    return _add(world, _any(world), b"".join(_line(world) for _ in range(count)))


def burst(world: World) -> str:
    return _add(world, _any(world), b"".join(_line(world) for _ in range(40)))


def half(world: World) -> str:
    line = _line(world)
    return _add(world, _any(world), line[: world.random.randrange(1, len(line) + 1) - 1])


def end_line(world: World) -> str:
    transcript = _any(world)
    if not transcript.content or transcript.content.endswith(b"\n"):
        raise Refused("no line is open")
    return _add(world, transcript, b"\n")


def touch(world: World) -> str:
    transcript = _any(world)
    world.stamp(world.root / transcript.path)
    return transcript.path


def rewrite(world: World) -> str:
    """A line that may have been read becomes another of the same length."""
    transcript = _any(world)
    near = range(max(0, len(transcript.serials) - 12), len(transcript.serials))
    if not near:
        raise Refused("it is empty")
    lines = transcript.content.split(b"\n")
    at = world.random.choice(near)
    lines[at] = b"#" * len(lines[at])
    _put(world, transcript, b"\n".join(lines), fresh=world.random.random() < 0.5)
    return f"{transcript.path} line {at + 1}"


def truncate(world: World) -> str:
    transcript = _any(world)
    size = world.random.randrange(len(transcript.content) + 1)
    _put(world, transcript, transcript.content[:size])
    return f"{transcript.path} to {size}"


def replace(world: World) -> str:
    transcript = _any(world)
    _put(world, transcript, _line(world) + _line(world), fresh=True)
    return transcript.path


def delete(world: World) -> str:
    transcript = _any(world)
    world.repository.put(transcript.path, None)
    transcript.exists = False
    written(transcript, b"")
    return transcript.path


def rename(world: World) -> str:
    transcript = _any(world)
    return f"{transcript.path} to {_moved(world, transcript)}"


def _moved(world: World, transcript: Transcript) -> str:
    """Give a session file another name, by which it is another session; return that."""
    world.serial += 1
    folder = transcript.path.rpartition("/")[0]
    path = f"{folder}/r{world.serial}.jsonl"
    os.rename(world.root / transcript.path, world.root / path)
    renamed = world.transcripts[path] = transcript.moved_to = Transcript(path)
    written(renamed, transcript.content)
    transcript.exists = False
    written(transcript, b"")
    return path


def restore(world: World) -> str:
    """A person puts back what a file lost, in front of what was written to it since."""
    several = [t for t in world.transcripts.values() if t.lineages]
    if not several:
        raise Refused("nothing is lost")
    return put_back(world, world.random.choice(several))


def put_back(world: World, transcript: Transcript) -> str:
    """The longest the file ever was that fits what git and the progress file say of it."""
    from tests.faults.simulation import clean

    repository = world.repository
    have = repository.tree.get(transcript.path, b"")
    place = layout.place_of(transcript.path)
    assert place is not None
    noted = repository.raw(place.progress_path)
    state = Progress() if noted is None else progress.decode(noted, place.progress_path)
    texts = [*transcript.lineages, transcript.clean]
    fitting = [text for text in texts if text.startswith(have) and _holds(text, state)]
    if not fitting:
        raise Refused(f"nothing fits {transcript.path}")
    text = max(fitting, key=len)
    there = set(text.split(b"\n"))
    open_line = transcript.content[transcript.content.rfind(b"\n") + 1 :]
    lines = transcript.content.split(b"\n")[:-1]
    more = [line for line in lines if numbers_of(line) and clean(line) not in there]
    if text + open_line == transcript.content and not more:
        raise Refused("it is whole")
    if not text and not more and not transcript.exists:
        raise Refused("there is nothing to put back")
    _put(world, transcript, text + b"".join(line + b"\n" for line in more) + open_line, fresh=True)
    return transcript.path


def _holds(text: bytes, state: Progress) -> bool:
    from acontext_fs.daemon.tail import WINDOW_BYTES, fingerprint

    lines = text.split(b"\n")[:-1]
    before = b"".join(line + b"\n" for line in lines[: state.cursor.line])
    return (
        len(lines) >= state.cursor.line
        and fingerprint(before[-WINDOW_BYTES:]) == state.cursor.fingerprint
    )


# -- a person's editor ------------------------------------------------------------------------


def _hand(world: World) -> bytes:
    world.serial += 1
    return b"hand %d" % world.serial


def save(world: World, path: str, data: bytes | None) -> None:
    """An editor saves a file, in place or by a rename."""
    place = world.root / path
    if data is not None and place.exists() and world.random.random() < 0.5:
        place.write_bytes(data)
        world.stamp(place)
    else:
        world.repository.put(path, data)
    world.hands[path] = hands(data)


def _skill_files(world: World) -> list[str]:
    found = sorted(world.root.glob("spaces/*/skills/*/*.md"))
    return [path.relative_to(world.root).as_posix() for path in found]


def edit_skill(world: World) -> str:
    found = _skill_files(world)
    if not found:
        raise Refused("there is no skill")
    path = world.random.choice(found)
    lines = (world.repository.raw(path) or b"").split(b"\n")
    at = world.random.randrange(4, len(lines)) if len(lines) > 5 else len(lines) - 1
    if world.random.random() < 0.25 and LEARNED.search(lines[at]):
        del lines[at]
    else:
        lines.insert(at, b"- " + _hand(world))
    save(world, path, b"\n".join(lines))
    return f"{path} at {at + 1}"


def meddle(world: World) -> str:
    """A person changes what a learner is about to change, and mostly once more."""
    done = _meddle(world)
    while world.random.random() < 0.6 and world.is_up:
        done = _meddle(world)
    return done


def _meddle(world: World) -> str:
    for _ in range(8):
        found = [job.work for job in world.executor.running if isinstance(job.work, LearnWork)]
        if found:
            break
        for job in list(world.executor.running):
            world.executor.finish(job)
        world.clock.advance(max(world.turn(), 0.01))
    else:
        raise Refused("nothing is being learned")
    path = f"spaces/{found[0].space}/skills/{COUNTED}/entries.md"
    head, _, rest = (world.repository.raw(path) or b"").partition(b"\n")
    if not head:
        raise Refused("it is not there")
    save(world, path, b"# " + _hand(world) + b"\n- " + head.lstrip(b"# ") + b"\n" + rest)
    for job in list(world.executor.running):
        world.executor.finish(job)
    world.clock.advance(2.0)  # Files that were just saved are left alone.
    world.turn()
    return path


def new_skill(world: World) -> str:
    space, name = world.random.choice(("default", "second")), world.random.choice(SKILLS)
    path = f"spaces/{space}/skills/{name}/{world.random.choice(('entries', 'mine'))}.md"
    if (world.root / path).exists():
        raise Refused("it is there")
    save(world, path, b"# Mine\n- " + _hand(world) + b"\n")
    return path


def remove_skill(world: World) -> str:
    found = [path for path in _skill_files(world) if not path.endswith("/SKILL.md")]
    if not found:
        raise Refused("there is none")
    path = world.random.choice(found)
    save(world, path, None)
    return path


def edit_task(world: World) -> str:
    """A person puts a word into the description of a task."""
    _not_halfway(world)
    found = sorted(world.root.glob("spaces/*/tasks/**/*.jsonl"))
    if not found:
        raise Refused("there are no tasks")
    path = world.random.choice(found).relative_to(world.root).as_posix()
    lines = (world.repository.raw(path) or b"").split(b"\n")
    at = world.random.randrange(len(lines))
    if not lines[at]:
        raise Refused("no task on that line")
    value = orjson.loads(lines[at])
    value["data"]["task_description"] += f" ({_hand(world).decode()})"
    lines[at] = orjson.dumps(value)
    save(world, path, b"\n".join(lines))
    return path


def touch_progress(world: World) -> str:
    found = sorted(world.root.glob("spaces/*/progress/**/*.json"))
    if not found:
        raise Refused("there is none")
    path = world.random.choice(found)
    world.stamp(path)
    return path.name


def toggle_learning(world: World) -> str:
    path = f"spaces/{world.random.choice(('default', 'second'))}/space.toml"
    data = world.repository.raw(path)
    save(world, path, None if data is not None else b"learn = false\n")
    return path


# -- a person's git ---------------------------------------------------------------------------


def synced(world: World) -> None:
    """Take from disk what git made of the files."""
    for transcript in world.transcripts.values():
        content = world.repository.raw(transcript.path)
        transcript.exists = content is not None
        if content != transcript.content:
            written(transcript, content or b"")
    for path in [*world.hands, *world.repository.tree]:
        if "/sessions/" not in path and "/progress/" not in path:
            world.hands[path] = hands(world.repository.raw(path))


def _not_halfway(world: World) -> None:
    if world.repository.journal is not None:
        raise Refused("a commit is not finished")


def add(world: World) -> str:
    dirty = world.repository.dirty() + [
        path for path in world.hands if path not in world.repository.index
    ]
    path = world.random.choice(dirty) if dirty else ""
    if not path:
        raise Refused("nothing to add")
    world.repository.add(path)
    return path


def _commit(world: World, message: str) -> str:
    repository = world.repository
    if repository.detached:
        raise Refused("HEAD is detached")
    parent = repository.nodes[repository.tip]
    node = repository.commit_index(message, int(world.clock.now()))
    for path in changed(parent.tree, node.tree):
        if "/sessions/" in path:
            world.checker.keep(node.tree.get(path, b""))
    world.checker.theirs(node, parent)
    return node.id[:8]


def commit(world: World) -> str:
    return _commit(world, "By hand\n")


def commit_all(world: World, *, everything: bool = False) -> str:
    """`git add --all` and a commit; with a chance of only what is tracked already."""
    _not_halfway(world)
    both = {*world.repository.dirty()}
    if world.random.random() < 0.7 and not everything:
        both |= {path for path in world.hands if (world.root / path).exists()}
    else:
        both |= {path for path, one in world.transcripts.items() if one.exists}
    for path in sorted(both):
        world.repository.add(path)
    return _commit(world, "All by hand\n")


def revert(world: World) -> str:
    """`git revert` of one of the last commits: mostly of a learning."""
    repository = world.repository
    found = [node for _, node in zip(range(12), repository.chain(), strict=False)]
    found = [node for node in found if len(node.parents) == 1]
    learned = [node for node in found if "Acontext-Kind: skills" in node.message]
    if world.random.random() < 0.7:
        found = learned
    if not found or repository.under_way or repository.detached:
        raise Refused("there is none")
    node = found[0] if world.random.random() < 0.5 else world.random.choice(found)
    is_learning = node in learned
    parent = repository.nodes[repository.tip]
    made = repository.revert(
        node.id, int(world.clock.now()), lambda path: is_learning and "/skills/" not in path
    )
    world.checker.theirs(made, parent, node)
    synced(world)
    return f"{node.id[:8]} {node.message[:40]!r}"


def reset(world: World) -> str:
    chain = [node for _, node in zip(range(6), world.repository.chain(), strict=False)]
    node = world.random.choice(chain)
    if world.repository.under_way:
        raise Refused("not now")
    world.repository.reset_hard(node.id)
    synced(world)
    return node.id[:8]


def switch(world: World) -> str:
    repository = world.repository
    if repository.under_way:
        raise Refused("not now")
    others = [name for name in sorted(repository.branches) if name != repository.branch]
    if others and world.random.random() < 0.7:
        repository.switch(world.random.choice(others))
    elif len(repository.branches) < 4:
        repository.switch(f"branch{len(repository.branches)}", create=True)
    synced(world)
    return repository.branch


def detach(world: World) -> str:
    repository = world.repository
    if repository.detached:
        repository.switch(repository.branch)
        synced(world)
        return "no more"
    repository.detach()
    return "now"


def stash(world: World) -> str:
    found = world.repository.stash()
    world.stashes.append(found)
    for path, (data, _) in found.items():
        if "/sessions/" in path:
            world.checker.keep((data or b"")[: (data or b"").rfind(b"\n") + 1])
    synced(world)
    return f"{len(found)} files"


def pop(world: World) -> str:
    if not world.stashes:
        raise Refused("nothing is stashed")
    repository = world.repository
    found = world.stashes[-1]
    for path, (_, base) in found.items():
        if not repository.on_disk(path) == repository.tree.get(path) == base:
            raise Refused("it would overwrite something")
    world.stashes.pop()
    for path, (data, _) in found.items():
        repository.put(path, data)
    synced(world)
    return f"{len(found)} files"


def under_way(world: World) -> str:
    world.repository.under_way = "" if world.repository.under_way else "a merge"
    return world.repository.under_way or "over"


def lock(world: World) -> str:
    world.repository.is_locked = not world.repository.is_locked
    return str(world.repository.is_locked)


# -- machines ---------------------------------------------------------------------------------


def full(world: World) -> str:
    world.repository.is_full = not world.repository.is_full
    return str(world.repository.is_full)


def packing(world: World) -> str:
    world.paused = "" if world.paused else "git is packing"
    return world.paused


def hint(world: World) -> str:
    transcript = _any(world)
    place = layout.place_of(transcript.path)
    assert place is not None
    paths = (transcript.path, transcript.path, place.progress_path, "a.txt", transcript.path + "x")
    for _ in range(world.random.randrange(1, 3)):
        world.service.hints.add(str(world.root / world.random.choice(paths)))
    return ""


def overflow(world: World) -> str:
    world.service.hints.overflow()
    return ""


def jump(world: World) -> str:
    seconds = world.random.choice((-900000.0, -90000.0, -3600.0, -1.0, 1.0, 3600.0, 90000.0))
    world.clock.jump(seconds)
    return f"{seconds}"


def turn(world: World) -> str:
    return f"{world.turn():.2f}"


def wait(world: World) -> str:
    """Time passes up to what the daemon said, or for a while, and it takes its turn."""
    rest = world.turn()
    seconds = world.random.choice((rest, rest, 0.2, 1.0, 9.0, 40.0))
    world.clock.advance(seconds)
    return f"{seconds:.2f}"


def quiet(world: World) -> str:
    """For a while nothing is in the way, nobody writes, and what the daemon starts is done."""
    repository = world.repository
    repository.is_full = repository.is_locked = world.is_model_dead = False
    repository.under_way = world.paused = ""
    if repository.detached:
        detach(world)
    for _ in range(world.random.randrange(3, 20)):
        for one in list(world.executor.running):
            world.executor.finish(one)
        world.clock.advance(max(world.turn(), 0.01))
    return f"{len(world.executor.running)} jobs run"


def hours(world: World) -> str:
    world.clock.advance(world.random.choice((600.0, 7200.0, 90000.0)))
    return ""


def finish_job(world: World) -> str:
    if not world.executor.running:
        raise Refused("nothing runs")
    one = world.random.choice(world.executor.running)
    kind = world.random.random()
    if world.is_model_dead or kind < 0.05:
        after = world.random.choice((None, None, 30.0, 4000.0))
        world.executor.finish(one, ModelUnavailable("nothing answers", after))
        return f"{one.number} unavailable"
    if kind < 0.15:
        world.executor.finish(one, ModelMisbehaved("nonsense"))
        return f"{one.number} misbehaved"
    world.executor.finish(one)
    return f"{one.number}"


def model(world: World) -> str:
    world.is_model_dead = not world.is_model_dead
    return "dead" if world.is_model_dead else "alive"


def ask(world: World) -> str:
    chosen = [] if world.random.random() < 0.5 else [_any(world).path]
    action = world.random.choice(("flush", "flush", "learn"))
    return send(world, action, chosen, failed=world.random.random() < 0.4)


def crash(world: World) -> str:
    world.start()
    return ""


def crash_in_commit(world: World) -> str:
    if world.repository.is_full:
        raise Refused("no commit is made")
    kinds = ("before", "moved", "indexed", "half", "full")
    world.repository.crash_at = world.random.choice(kinds)
    where = world.repository.crash_at
    world.turn()
    world.repository.crash_at = ""
    return where


def stop(world: World) -> str:
    world.stop()
    world.start()
    return ""


# -- the end ----------------------------------------------------------------------------------


def heal(world: World, turns_max: int) -> None:
    """End all faults, let time pass, and see that everything is done that can be."""
    repository = world.repository
    repository.is_full = repository.is_locked = world.is_model_dead = False
    repository.under_way = repository.crash_at = world.paused = ""
    if repository.detached:
        world.start()  # What is unfinished is finished first.
        repository.detached = ""
        repository.reset_hard(repository.tip)
        synced(world)
    _go_on(world, 30)
    for _ in range(2):
        _tidy(world)
        _go_on(world, 30)
    _tidy(world)
    if not _go_on(world, turns_max):
        raise Violation(f"not at rest after {turns_max} turns: {_busy(world)}")
    for transcript in world.transcripts.values():
        if transcript.exists:
            _check_read(world, transcript)
    folder = requests.folder(world.store.layout)
    left = [path.name for path in folder.glob("*.request")] if folder.is_dir() else []
    if left:
        raise Violation(f"requests have no reply: {left}")


def _tidy(world: World) -> None:
    """A person puts things in order: commits, and puts back what is lost."""
    repository = world.repository
    for path in sorted({*repository.dirty(), *world.hands}):
        if "/sessions/" in path and path in repository.tree:
            repository.index[path] = repository.tree[path]
        elif "/sessions/" in path:
            repository.index.pop(path, None)
        else:
            if path.endswith("/space.toml"):
                save(world, path, None)
            repository.add(path)
    for path, transcript in world.transcripts.items():
        have, there = repository.tree.get(path, b""), transcript.clean
        if transcript.exists and not (there.startswith(have) or have.startswith(there)):
            repository.add(path)  # Rewritten where nobody had read yet: so it shall be.
    if repository.index != repository.tree:
        _commit(world, "In order\n")
    for transcript in list(world.transcripts.values()):
        known = world.service.pipeline.roster.all.get(transcript.path)
        if known is None or not (known.lost or known.archive_held):
            continue
        try:
            put_back(world, transcript)
        except Refused:
            _give_up(world, transcript)


def _give_up(world: World, transcript: Transcript) -> None:
    """What cannot be as it was: its lines go on under another name, and git forgets it."""
    if transcript.exists:
        world.transcripts[_moved(world, transcript)].lineages += transcript.lineages
    place = layout.place_of(transcript.path)
    assert place is not None
    for path in (transcript.path, place.tasks_path, place.progress_path):
        world.repository.put(path, None)
        world.repository.add(path)
    if world.repository.index != world.repository.tree:
        _commit(world, "Begin anew\n")


def _go_on(world: World, turns: int) -> bool:
    """Let time pass; True as soon as nothing is left to do."""
    for _ in range(turns):
        rest = world.turn()
        for one in list(world.executor.running):
            world.executor.finish(one)
        world.clock.advance(max(rest, 0.01))
        found = world.service.pipeline
        lost = [s for s in found.roster.active() if not s.lost]
        if not (lost or found.committer.finished or world.executor.running):
            return True
    return False


def _busy(world: World) -> list[str]:
    """What keeps a daemon from being at rest."""
    found = world.service.pipeline
    return [f"held result: {job.held}" for job in found.committer.finished] + [
        f"{s.place}: stuck {found.why_stuck(s)!r}, error {s.last_error!r}, running {s.running}, "
        f"lines {s.pending_lines}, unread {s.unread}, kept {len(s.kept)}, aside {len(s.aside)}, "
        f"learning {s.progress.learning_pending}"
        for s in found.roster.active()
        if not s.lost
    ]


def _check_read(world: World, transcript: Transcript) -> None:
    """All of a session is read, once, committed and learned from."""
    tree, place = world.repository.tree, layout.place_of(transcript.path)
    assert place is not None
    if transcript.path not in world.service.pipeline.roster.all:
        raise Violation(f"{place}: nobody knows of it")
    known = world.service.pipeline.roster.all[transcript.path]
    if known.lost or known.held:
        raise Violation(f"{place}: {known.lost or known.held}")
    data = tree.get(place.progress_path)
    state = Progress() if data is None else progress.decode(data, place.progress_path)
    text = tree.get(place.tasks_path)
    found: tuple[Task, ...] = () if text is None else tasks.decode(text, place.tasks_path)
    if state.cursor.line != len(transcript.serials):
        raise Violation(f"{place}: read {state.cursor.line} of {len(transcript.serials)} lines")
    failed = {n for one in state.failures for n in range(one.lines[0], one.lines[1] + 1)}
    numbered = enumerate(transcript.serials, start=1)
    wanted = [n for at, several in numbered if at not in failed for n in several]
    if sorted(wanted) != serials_in(found) and len(set(wanted)) == len(wanted):
        raise Violation(f"{place}: lines hold {sorted(wanted)}, tasks {serials_in(found)}")
    have = tree.get(transcript.path, b"")
    open_line = transcript.content[transcript.content.rfind(b"\n") + 1 :]
    if not have.startswith(transcript.clean) or not open_line.startswith(
        have.removeprefix(transcript.clean)
    ):
        raise Violation(f"{place}: git has not all of it")
    waits = [t.order for t in found if t.learning is not None and t.learning.status == "pending"]
    if waits or state.learning_pending:
        raise Violation(f"{place}: tasks {waits} wait to be learned from")
