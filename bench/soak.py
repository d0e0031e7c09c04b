"""Everybody at once: agents append, a person edits and uses git, the daemon is killed, for minutes.

    python bench/soak.py --minutes 10 --seed 1

At the end every appended line has to be in its file once and in one batch, every hand edit where it
was left, and the repository whole. While the person's git takes files away, the agents are quiet
and the daemon lives, so that what is missing afterwards is a loss (`soak_calm`). With `--rough` git
does so at any other moment, too: then a session may lack lines where `status` says that it is held.

Prints a table and, last, what was lost; exit code 1 if anything was, and then the store is kept. A
seed fixes what each of the actors does; how they meet is up to the machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import orjson
import soak_agents
import soak_commands
import soak_daemon
import soak_person
from harness import Spent, bytes_below, machine
from soak_check import Check
from soak_stage import Actor, Stage, entries

from acontext_fs import setup

ACTORS: dict[str, Callable[[Stage], None]] = {
    "agents": soak_agents.run,
    "person": soak_person.run,
    "daemon": soak_daemon.run,
    "commands": soak_commands.ask,
    "editor": soak_commands.poll,
}
SETTLE_SECONDS = 300.0
"""How long the actors may take to come to an end once the time is over."""
FLUSHES_MAX = 10
"""How often to ask until all is done: who left a file a moment ago is waited for."""
LOST = ("not brought back", "lines lost", "lines in no batch", "lines reordered", "lines changed")
TWICE = ("lines duplicated", "batches twice", "lines in two batches", "edits duplicated")
EDITS = ("edits lost", "edits removed by the daemon", "edits came back")


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parse(arguments)
    folder = Path(asked.store or tempfile.mkdtemp(prefix="acontext-soak-")).resolve()
    for name in ("journal", "shadow"):
        (folder / name).mkdir(parents=True)
    setup.init(folder / "store")
    stage = Stage(
        folder=folder,
        seed=asked.seed,
        ends_at=time.monotonic() + asked.minutes * 60,
        sessions=asked.sessions,
        rate=asked.rate,
        kill_seconds=asked.kill_seconds,
        rough=asked.rough,
        without=frozenset(filter(None, asked.without.split(","))),
    )
    spent = Spent()
    broken = play(stage)
    drained = drain(stage)
    check = Check(stage)
    for text in broken:
        check.found.add("actors", text)
    check.all()
    check.drained(int(str(drained["code"])), str(drained["said"]))
    rows = table(stage, check, drained)
    print("\n".join(f"{name:<44}{value}" for name, value in rows))
    print(f"\n{machine(spent)}\n")
    return tell(stage, check, rows, asked)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--rate", type=float, default=200.0, help="lines a second, of all together")
    parser.add_argument("--kill-seconds", type=float, default=3.0, help="between two kills")
    parser.add_argument("--store", help="a new folder to work in")
    parser.add_argument("--keep", action="store_true", help="keep it, also if all is well")
    parser.add_argument("--rough", action="store_true", help="git takes session files away too")
    parser.add_argument("--without", default="", help="actions to leave out, by commas")
    parser.add_argument("--json", help="write what was found to this file")
    return parser.parse_args(arguments)


def play(stage: Stage) -> list[str]:
    """Let all of them act until the time is over; what broke in one of them."""
    context = multiprocessing.get_context("spawn")
    processes: dict[str, BaseProcess] = {
        name: context.Process(target=act, args=(stage,)) for name, act in ACTORS.items()
    }
    for process in processes.values():
        process.start()
    deadline = stage.ends_at + SETTLE_SECONDS
    broken = []
    for name, process in processes.items():
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            broken.append(f"{name} did not come to an end")
        elif process.exitcode:
            broken.append(f"{name} ended with {process.exitcode}")
        if name == "person" and not stage.is_settled():
            # The last daemon waits for this.
            stage.left.write_bytes(orjson.dumps({"sentences": {}, "left": [], "counts": {}}))
    return broken


def drain(stage: Stage) -> dict[str, object]:
    """Let everything that waits be done; how that went."""
    begun = time.monotonic()
    actor = Actor(stage, "drain")
    tries = 0
    for _ in range(FLUSHES_MAX):
        done = actor.acontext("flush", "--timeout", "600", seconds=900)
        tries += 1
        if done.returncode == 0:
            break
    return {
        "seconds": round(time.monotonic() - begun, 1),
        "tries": tries,
        "code": done.returncode,
        "said": done.stderr.strip().split("\n")[-1][-500:],
    }


def table(stage: Stage, check: Check, drained: dict[str, object]) -> list[tuple[str, object]]:
    """What was tried, and what came of it."""
    notes = {name: list(entries(stage, name)) for name in ACTORS}
    nothing = {"lines": 0, "seconds": 1, "quiet_seconds": 0, "kinds": {}}
    ended: dict[str, Any] = notes["agents"][-1] if notes["agents"] else nothing
    counts = orjson.loads(stage.left.read_bytes())["counts"]
    rows: list[tuple[str, object]] = [
        ("seed", stage.seed),
        ("lines appended", f"{ended['lines']:,}"),
        ("lines a second", f"{ended['lines'] / ended['seconds']:.0f} of {stage.rate:.0f} asked"),
        ("  asked to be quiet for", f"{ended['quiet_seconds']:.0f} of {ended['seconds']:.0f} s"),
        *((f"  {kind} lines", f"{n:,}") for kind, n in sorted(ended["kinds"].items())),
        ("  refused to a program, the file was short", ended.get("refused", 0)),
        *((f"daemon: {what}", n) for what, n in sorted(_count(notes["daemon"][:-1]).items())),
        ("peak memory of a daemon", f"{notes['daemon'][-1].get('bytes', 0) / 1e6:.0f} MB"),
        ("hand edits", counts.get("sentence", 0)),
        ("git commands of the person", counts.get("git commands", 0)),
        ("  tried again because of a lock", counts.get("git tried again", 0)),
    ]
    for name in ("did", "refused"):
        done = _count([one for one in notes["person"] if one["what"] == name], "action")
        rows += [(f"person {name}: {what}", n) for what, n in sorted(done.items())]
    told = (
        "reverted", "conflict resolved", "never merged", "editor lost", "stash cut off", "calm",
        "all back", "taken back", "typed again", "stash not popped", "switched back",
        "took the name back",
    )  # fmt: skip
    rows += [(f"person: {what}", counts[what]) for what in told if what in counts]
    rows += [(f"commands {what}", n) for what, n in sorted(_count(notes["commands"]).items())]
    rows += [(f"editor {what}", n) for what, n in sorted(_count(notes["editor"]).items())]
    git, raw = (bytes_below(stage.store / one) for one in (".git", "spaces"))
    rows += [
        ("drained in", f"{drained['seconds']} s and {drained['tries']} flushes"),
        *((what, f"{n:,}") for what, n in check.counts.items()),
        (".git and what is in spaces", f"{git / 1e6:.1f} MB and {raw / 1e6:.1f} MB"),
        *((f"WRONG: {what}", n) for what, n in sorted(check.found.counts.items())),
    ]
    return rows


def _count(notes: Sequence[dict[str, object]], key: str = "what") -> dict[str, int]:
    found: dict[str, int] = {}
    for one in notes:
        found[str(one[key])] = found.get(str(one[key]), 0) + 1
    return found


def tell(
    stage: Stage, check: Check, rows: Sequence[tuple[str, object]], asked: argparse.Namespace
) -> int:
    """Say what is wrong, and the last line; 0 if all is well."""
    counts = check.found.counts
    print("".join(f"{text}\n" for text in check.found.said), end="")
    if asked.json:
        found = {"rows": dict(rows), "wrong": dict(counts), "said": check.found.said}
        Path(asked.json).write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if counts or asked.keep:
        print(f"kept in {stage.folder}")
    else:
        shutil.rmtree(stage.folder, ignore_errors=True)
    lost, twice, edits = (sum(counts[name] for name in names) for names in (LOST, TWICE, EDITS))
    print(f"lost {lost}, duplicated {twice}, edits lost {edits}")
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main())
