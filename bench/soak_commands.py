"""Somebody who asks the store for things all the time, and an editor that polls git."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import replace

import orjson
from soak_stage import LEARNINGS, SPACES, Actor, Stage

QUESTIONS: dict[str, tuple[float, tuple[str, ...]]] = {
    "status": (3, ("status",)),
    "status --json": (1, ("status", "--json")),
    "sessions": (1, ("sessions",)),
    "tasks": (2, ("tasks", "SESSION")),
    "messages": (1, ("messages", "SESSION")),
    "skills": (1, ("skills",)),
    "log": (2, ("log", "--json")),
    "sql": (2, ("sql", "select status, count(*) from tasks group by 1")),
    "search": (1, ("search", "backup")),
    "flush": (1, ("flush", "--timeout", "20")),
    "learn": (1, ("learn", "--timeout", "20")),
    "index": (0.3, ("index",)),
    "undo": (1, ("undo", "LEARNING")),
    "learn --again": (0.7, ("learn", "--again", "REJECTED", "--timeout", "20")),
    "review": (0.5, ("review",)),
    "review --accept": (0.5, ("review", "PROPOSAL", "--accept")),
    "review --reject": (0.3, ("review", "PROPOSAL", "--reject")),
}
MAY_OWN = frozenset(
    {"flush", "learn", "learn --again", "undo", "review --accept", "review --reject"}
)
"""What does the work of a daemon where none runs, and shares its fate."""
POLLS = (
    ("status", "--porcelain"),
    ("diff", "--stat"),
    ("log", "--oneline", "-5"),
    ("ls-files", "--others", "--exclude-standard"),
)


def ask(stage: Stage) -> None:
    """Run commands of ours until the end, and note how each ended."""
    actor = Actor(stage, "commands")
    if actor.acontext("undo", "--help").returncode:
        stage = actor.stage = replace(stage, without=stage.without | {"undo"})
    while not stage.is_over():
        actor.rest(1.5)
        name = actor.choose({name: weight for name, (weight, _) in QUESTIONS.items()})
        arguments = [_filled(actor, part) for part in QUESTIONS[name][1]]
        if name == "learn --again":
            actor.note("again", task=arguments[2])
        try:
            done = actor.acontext(*arguments)
        except subprocess.TimeoutExpired:
            actor.note("hung", command=name)
            continue
        said = done.stderr.strip()
        kind = "ran" if done.returncode == 0 else "refused"
        killed = done.returncode == -signal.SIGKILL and name in MAY_OWN
        if killed:
            kind = "killed"
        elif (
            done.returncode not in (0, 1, *([2] * (name in MAY_OWN)))
            or "Traceback" in said
            or (kind == "refused" and not said)
        ):
            kind = "broke"
        if name == "undo" and kind == "ran":
            actor.note("undone", commit=arguments[1])
        actor.note(kind, command=name, code=done.returncode, said=said[-1500:] * (kind != "ran"))


def _filled(actor: Actor, part: str) -> str:
    if part == "LEARNING":
        return actor.rng.choice([*_learnings(actor), "HEAD"])
    if part == "REJECTED":
        return actor.rng.choice(_rejected(actor.stage) or ["0000"])
    if part == "PROPOSAL":
        return actor.rng.choice(_proposals(actor) or ["0000"])
    if part != "SESSION":
        return part
    number = actor.rng.randrange(actor.stage.sessions)
    return f"{SPACES[number % len(SPACES)]}/s{number:03}"


def _rejected(stage: Stage) -> list[str]:
    """The tasks whose learning was taken back, or a proposal that was."""
    found = []
    for path in sorted(stage.store.glob("spaces/*/tasks/**/*.jsonl")):
        for line in path.read_bytes().split(b"\n") if path.exists() else ():
            if b'"rejected"' in line:
                found.append(str(orjson.loads(line)["id"]))
    return found


def _proposals(actor: Actor) -> list[str]:
    done = actor.acontext("review", "--json")
    return [str(one["id"]) for one in orjson.loads(done.stdout)] if done.returncode == 0 else []


def _learnings(actor: Actor) -> list[str]:
    """The last commits that changed skills."""
    done = subprocess.run(
        ["git", "log", "-400", f"--format={LEARNINGS}"],
        cwd=actor.stage.store,
        env=actor.stage.environment(),
        capture_output=True,
        text=True,
        errors="replace",
    )
    return [line.split()[0] for line in done.stdout.split("\n") if line.endswith(" skills")]


def poll(stage: Stage) -> None:
    """Look at the repository again and again, as editors do, with and without optional locks."""
    actor = Actor(stage, "editor")
    while not stage.is_over():
        actor.rest(1.0)
        arguments = actor.rng.choice(POLLS)
        locks = actor.rng.choice(["0", "1"])
        done = subprocess.run(
            ["git", *arguments],
            cwd=stage.store,
            env={**stage.environment(), "GIT_OPTIONAL_LOCKS": locks},
            capture_output=True,
            text=True,
            errors="replace",
        )
        kind = "polled" if done.returncode == 0 else "poll failed"
        actor.note(kind, command=arguments[0], said=done.stderr[-500:] * (kind != "polled"))
