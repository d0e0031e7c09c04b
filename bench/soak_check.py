"""The end of the soak: what was written against what is there, and git against itself."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from harness import until
from soak_git import Git
from soak_history import Repository, Step
from soak_lines import SECRET_START
from soak_person_git import DAEMONS, own_status
from soak_stage import BOT, Actor, Stage, entries

MARK = re.compile(rb"mark-[a-z]\d+-\d+")
LEFT_SECONDS = 60.0
SHIFTED = "Note where the lines of "
"""How the commit begins that moves a cursor past lines that come between those it was behind."""
TOLD = re.compile(r"^\d\d:\d\d:\d\d  .*  ([0-9a-f]{7})$", re.MULTILINE)
RANGES = re.compile(r"(\d+)(?:-(\d+))?$")


@dataclass(slots=True)
class Found:
    """What is wrong: how often, and the first of each in words."""

    counts: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)

    def add(self, what: str, text: str, count: int = 1) -> None:
        self.counts[what] += count
        if self.counts[what] <= 10 * count or count > 1:
            self.said.append(f"{what}: {text}")


class Check:
    """Looks at one store after everything has ended."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.found = Found()
        self._actor = Actor(stage, "check")
        self._git = Git(self._actor, stage.store)
        self._repository = Repository(stage)
        self._person = orjson.loads(stage.left.read_bytes())
        self.counts: Counter[str] = Counter()
        self.dropped: dict[bytes, str] = {}
        """Lines, by their marks, that are in no session file after a rough run."""
        self._states: dict[str, str] = {}
        """In a rough run how each session stands."""
        self._held: set[str] = set()
        """Sessions that git took read lines from when nobody could save them, and that say so."""
        self._owed = 0
        """Lines that came between others that were read, and are in no batch yet."""
        self._lines: dict[str, int] = {}
        """Lines of each session's progress file's path, as appended."""

    def all(self) -> None:
        self.files()
        self.batches()
        self.edits()
        self.brought_back()
        self.reverts()
        self.git()
        self.commands()
        self.secrets()
        self.deaths()

    # -- sessions ---------------------------------------------------------------------------------

    def files(self) -> None:
        """Every appended line is in its file, once and in order."""
        if self.stage.rough:
            self._states = self._asked_states()
        for shadow in sorted((self.stage.folder / "shadow").glob("*/*.jsonl")):
            space, name = shadow.parent.name, shadow.name
            paths = list((self.stage.store / "spaces" / space / "sessions").rglob(name))
            wanted = shadow.read_bytes()
            if not wanted:
                continue
            data = paths[0].read_bytes() if paths else b""
            where = f"{space}/{name.removesuffix('.jsonl')}"
            if data != wanted:
                self._tell_lines(where, wanted, data)
            if paths and where not in self._held:
                inside = paths[0].relative_to(self.stage.store).as_posix()
                place = inside.replace("/sessions/", "/progress/", 1).removesuffix("l")
                self._lines[place] = (data if self.stage.rough else wanted).count(b"\n")

    def _asked_states(self) -> dict[str, str]:
        told = orjson.loads(self._actor.acontext("status", "--json").stdout)
        return {f"{one['space']}/{one['session_id']}": one["state"] for one in told["sessions"]}

    def drained(self, code: int, said: str) -> None:
        """All was done at the end, but for what says that it waits for a person."""
        self.counts["sessions that git damaged, and that say so"] = len(self._held)
        if code and not self._held:
            self.found.add("not drained", said)

    def _tell_lines(self, where: str, wanted: bytes, data: bytes) -> None:
        want, have = _marked(wanted), _marked(data)
        if self.stage.rough and (set(want) - set(have)):
            # What git took away before the daemon could read it; what that saved is in git.
            for mark in set(want) - set(have):
                self.dropped[mark] = where
            want = [mark for mark in want if mark in set(have)]
            if where in self._states and self._states[where] == "held":
                self._held.add(where)
        if self.stage.rough:
            # Of a line in two pieces git took the first away, before the second was there.
            torn = [line for line in have if not MARK.fullmatch(line)]
            self.counts["pieces of lines"] += len(torn)
            have = [line for line in have if MARK.fullmatch(line)]
            want = [line for line in want if MARK.fullmatch(line)]
        lost, more = Counter(want) - Counter(have), Counter(have) - Counter(want)
        for mark, count in lost.items():
            self.found.add("lines lost", f"{where}: {mark.decode()}", count)
        for mark, count in more.items():
            self.found.add("lines duplicated", f"{where}: {mark.decode()}", count)
        taken = self.stage.rough or any(self._notes("person", "calm"))
        if not lost and not more and want != have:
            if not taken:
                self.found.add("lines reordered", where)
            # What was appended before the daemon had brought the others back stands before them.
            self.counts["sessions in another order"] += 1
        if not taken and want == have:
            # Where git took files away secrets are: it puts them back in their clean form.
            self.found.add("lines changed", where)

    def batches(self) -> None:
        """Each line is in exactly one batch: the cursors of every session go on without a gap."""
        steps = list(self._repository.steps())
        of_ours = {
            item
            for step in self._repository.steps("--all", "--reflog")
            if step.author == BOT
            for item in step.progress
        }
        blobs = self._cursors({blob for step in steps for _, blob in step.progress if blob})
        at: dict[str, int] = defaultdict(int)
        seen: Counter[str] = Counter()
        for step in steps:
            seen.update(step.trailers["Acontext-Batch"])
            moved = []
            for path, blob in step.progress:
                before, now = at[path], blobs.get(blob, 0)
                if now != before:
                    moved.append((path, before, now))
                at[path] = now
            if step.author != BOT:
                # `git switch` left commits behind that were made at that moment, but not their
                # files; who committed next committed them. A merge brings those of others.
                theirs = {path for path, _ in set(step.progress) - of_ours}
                moved = [one for one in moved if one[0] in theirs]
            self._check_moves(step, moved)
        if self._owed:
            kind = "lines in no batch" if self._owed > 0 else "lines in two batches"
            self.found.add(kind, "of those that came between others", abs(self._owed))
        for batch, count in seen.items():
            if count > 1:
                self.found.add("batches twice", f"{batch} {count} times", count - 1)
        for path, lines in self._lines.items():
            if at[path] != lines:
                kind = "lines in no batch" if at[path] < lines else "lines in two batches"
                self.found.add(kind, f"{path}: {at[path]} of {lines}", abs(lines - at[path]))
        self.counts.update({"commits": len(steps), "batches": len(seen)})

    def _check_moves(self, step: Step, moved: list[tuple[str, int, int]]) -> None:
        if step.author != BOT:
            for path, before, now in moved:
                text = f"{step.commit[:10]} {path}: {before} -> {now}"
                self.found.add("cursors moved by a person", text)
            return
        batches = len(step.trailers["Acontext-Batch"])
        if not batches and step.body.startswith(SHIFTED):
            # Lines came between those that were read; each of them is owed a batch.
            self._owed += sum(now - before for _, before, now in moved)
            return
        if len(moved) > batches:
            self.found.add("batches unclear", f"{step.commit}: {moved}, {batches} batches")
            return
        if not batches:
            return
        ranges = step.trailers["Acontext-Lines"] if batches == 1 else _body_ranges(step.body)
        told = Counter(map(_range, ranges))
        real = Counter((before + 1, now) for _, before, now in moved)
        if real - told:
            self.found.add("batches not contiguous", f"{step.commit[:10]}: {told}, moved {moved}")
        for (first, last), count in (told - real).items():
            self._owed -= (last - first + 1) * count

    def _cursors(self, blobs: set[str]) -> dict[str, int]:
        """The line each progress file had read up to."""
        found = {}
        for blob, data in self._repository.blobs(sorted(blobs)):
            found[blob] = int(orjson.loads(data)["read"]["line"])
        return found

    # -- the person -------------------------------------------------------------------------------

    def edits(self) -> None:
        """Every sentence of the person's stands once, in the file where it was left."""
        places: dict[str, list[str]] = defaultdict(list)
        for path in sorted(self.stage.store.rglob("*")):
            inside = path.relative_to(self.stage.store).as_posix()
            if inside.startswith((".git/", ".acontext/")) or "/sessions/" in inside:
                continue
            if path.is_file() and "/tasks/" not in inside and "/progress/" not in inside:
                for sentence in re.findall(
                    rb"Remember hx-\d+x, said a person\.", path.read_bytes()
                ):
                    places[sentence.decode()].append(inside)
        for entry in self._notes("person", "taken back"):
            if places.get(entry["sentence"]):
                self.found.add("edits came back", f"{entry}: {places[entry['sentence']]}")
        for sentence, path in self._person["sentences"].items():
            have = places.get(sentence, [])
            if path not in have:
                self.found.add("edits lost", f"{sentence} of {path}, found in {have}")
            elif len(have) > 1:
                self.found.add("edits duplicated", f"{sentence} in {have}")
        for line in sorted(set(self._person["left"]) ^ set(own_status(self._git))):
            self.found.add("status changed", line)
        self._swept()

    def _swept(self) -> None:
        """No commit of the daemon's holds what a person wrote."""
        said = self._repository.said(
            "log", f"--author={BOT}", "-p", "-U0", "--format=%x1d%H", "--", "spaces/*/skills"
        )
        for text in said.decode("utf-8", "replace").split("\x1d")[1:]:
            net: Counter[str] = Counter()
            for line in text.split("\n"):
                for sentence in re.findall(r"hx-\d+x", line):
                    net[sentence] += {"+": 1, "-": -1}.get(line[:1], 0)
            for sentence, count in net.items():
                if count:
                    what = "edits swept up" if count > 0 else "edits removed by the daemon"
                    self.found.add(what, f"{sentence} in {text[:40]}")

    def _notes(self, actor: str, *what: str) -> Iterator[dict[str, Any]]:
        return (entry for entry in entries(self.stage, actor) if entry["what"] in what)

    def brought_back(self) -> None:
        """What git took away while a daemon lived came back."""
        for entry in self._notes("person", "not brought back"):
            self.found.add("not brought back", f"{entry['action']}: {str(entry['gone'])[:400]}")

    def reverts(self) -> None:
        """What was taken back stays so: its tasks are rejected, and no later commit learns them."""
        steps = list(self._repository.learnings())
        order = {commit: number for number, (commit, _, _) in enumerate(steps)}
        taken_back = [
            entry["commit"]
            for actor, what in (("person", "reverted"), ("commands", "undone"))
            for entry in entries(self.stage, actor)
            if entry["what"] == what and entry["commit"] in order
        ]
        again = tuple(entry["task"] for entry in self._notes("commands", "again"))
        for commit in dict.fromkeys(taken_back):
            _, named, session = steps[order[commit]]
            tasks = [task for task in named if not task.startswith(again)]
            for later, same, _ in steps[order[commit] + 1 :]:
                if set(tasks) & set(same):
                    self.found.add(
                        "learned again", f"{commit[:10]} was taken back, then {later[:10]}"
                    )
            for task in tasks:
                status = self._learning(session, task)
                if status not in ("rejected", "gone"):
                    self.found.add("not rejected", f"{session} {task}: {status}")

    def _learning(self, session: str, task: str) -> str:
        space, _, inside = session.partition("/")
        path = self.stage.store / "spaces" / space / "tasks" / f"{inside}.jsonl"
        for line in path.read_bytes().split(b"\n") if path.exists() else ():
            value: dict[str, Any] = orjson.loads(line) if line else {}
            if value.get("id") == task:
                return str((value.get("learning") or {}).get("status"))
        return "gone"

    # -- git and our own checks -------------------------------------------------------------------

    def git(self) -> None:
        """The repository is whole, and nothing was left lying about."""
        outcome = self._git.run("fsck", "--strict", "--no-dangling")
        if not outcome.ok or outcome.said:
            self.found.add("fsck", outcome.said[-2000:])
        for line in self._git.lines("status", "--porcelain", "-uall"):
            if not DAEMONS.match(line[3:]) or self._is_held(line[3:]):
                continue
            if line[:2] == " M" and not self._git.run("diff", "--", line[3:]).said:
                # A commit of the person's read the file as it grew: git has its content and the
                # size of a moment before, and takes that for a change.
                self.counts["files that git calls changed, and are not"] += 1
            else:
                self.found.add("not clean", line)
        with contextlib.suppress(TimeoutError):  # A `git commit` packs behind its back.
            until(lambda: not self._left(), LEFT_SECONDS, pause=0.2)
        for path in self._left():
            self.found.add("left lying", path.relative_to(self.stage.store).as_posix())

    def _is_held(self, path: str) -> bool:
        parts = path.split("/")
        return f"{parts[1]}/{parts[-1].partition('.')[0]}" in self._held if parts[1:] else False

    def _left(self) -> list[Path]:
        """Locks and temporary files."""
        gitdir = self.stage.store / ".git"
        packing = [gitdir / "gc.pid"] if (gitdir / "gc.pid").exists() else []
        ours = self.stage.store.glob("spaces/**/.acontext-*")
        locks = [
            Path(folder, name)
            for folder, _, names in os.walk(gitdir)  # Passes over what goes away meanwhile.
            for name in names
            if name.endswith(".lock")
        ]
        return [*locks, *ours, *packing]

    def commands(self) -> None:
        """Our own checks find nothing but the lines that nobody can read."""
        done = self._actor.acontext("index", "--check")
        if done.returncode:
            self.found.add("index", (done.stdout + done.stderr)[-1000:])
        done = self._actor.acontext("doctor", "--json")
        expected = {"damage", "unknown", "unfinished"}
        try:
            findings = orjson.loads(done.stdout)
        except orjson.JSONDecodeError:
            self.found.add("doctor", f"exit {done.returncode}: {done.stderr[-500:]}")
            return
        for one in findings if isinstance(findings, list) else findings["findings"]:
            if one["kind"] not in expected and not self._is_held(one["path"]):
                self.found.add("doctor", f"{one['kind']} {one['path']}: {one['text']}")

    def secrets(self) -> None:
        """No key that stood in a transcript is in a git object."""
        needle = SECRET_START.encode()
        saved: set[bytes] = set()
        for kind, data in self._repository.objects():
            if needle in data:
                self.found.add("secrets in git", f"in a {kind}")
            if self.dropped and kind == "blob":
                saved.update(MARK.findall(data))
        self.counts["lines that git took away, saved in git"] = len(saved & set(self.dropped))
        self.counts["lines that git took away unread"] = len(set(self.dropped) - saved)

    def deaths(self) -> None:
        """No program of ours broke."""
        for entry in entries(self.stage, "daemon"):
            # SIGTERM ends a process that is only beginning at once; 1 says who owns the store.
            if entry["what"] == "ended by itself" or entry.get("code", 0) not in (0, 1, -15):
                self.found.add("daemon broke", f"{entry}")
        log = (self.stage.folder / "daemon.log").read_text(encoding="utf-8", errors="replace")
        told = set(TOLD.findall(log))
        for commit in sorted(told - self._repository.known()):
            self.found.add("commits lost", f"{commit}, which the daemon had made")
        for piece in log.split("Traceback")[1:]:
            self.found.add("tracebacks of the daemon", piece[:1500])
        for entry in entries(self.stage, "commands"):
            if entry["what"] in ("broke", "hung"):
                self.found.add(f"commands {entry['what']}", f"{entry}")


def _marked(data: bytes) -> list[bytes]:
    """The marks of the lines, in order; of a line without one the line."""
    found = (MARK.search(line) or line for line in data.split(b"\n")[:-1])
    return [one if isinstance(one, bytes) else one[0] for one in found]


def _range(text: str) -> tuple[int, int]:
    found = RANGES.search(text)
    assert found is not None, text
    return int(found[1]), int(found[2] or found[1])


def _body_ranges(body: str) -> list[str]:
    paragraphs = body.strip().split("\n\n")
    return [line.rpartition(": ")[2] for line in paragraphs[1].split("\n")]
