"""What is found in real transcripts of coding agents, against the counts that came with them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

from acontext_fs import folding, jsonl
from acontext_fs.formats import sources
from acontext_fs.formats.human import human_text
from acontext_fs.formats.reader import Reader
from acontext_fs.records import Line, Message, Record

WHAT = ("user_turns", "assistant_messages", "tool_calls", "tool_results")
BESIDE = ("queue", "rejection", "answer", "command")
"""Words of a person that the reference does not count as turns: listed beside them."""
KNOWN = {
    ("interrupts-slash-440k.jsonl", "assistant_messages"): (
        "one of them is a notice of the program itself (model <synthetic>)"
    ),
    ("claude__valid_session.jsonl", "assistant_messages"): (
        "neither answer has an id; a person speaks between them, so they are two"
    ),
    ("hook-continue.json", "user_turns"): "'System: Please continue.' is written by the program",
    ("edge_cases.jsonl", "user_turns"): (
        "the program's caveat in front of a command is no person's, the command counts beside"
    ),
    ("sample_session.json", "user_turns"): "the sixth is the summary of a compaction",
    ("traex__rollout_subagent.jsonl", "user_turns"): "the prompt is a parent's, to its subagent",
    ("github_issue.traj.json", "user_turns"): "what commands print comes in the role of the user",
    ("github_issue.traj.json", "tool_calls"): "commands in the text of an answer are calls",
    ("local.traj.json", "user_turns"): "what commands print comes in the role of the user",
    ("local.traj.json", "tool_calls"): "commands in the text of an answer are calls",
    ("airline-t00-r1.jsonl", "user_turns"): "a bare ###STOP### ends a simulation; nobody says it",
    ("airline-t33-r1.jsonl", "user_turns"): "a bare ###STOP### ends a simulation; nobody says it",
}
"""Why a count is not the reference's, by the end of the file's name."""


def sessions_of(path: Path) -> list[list[bytes]]:
    """The lines of each session of a file; none if its format is not known."""
    data = sources.read_file(path)
    kind = sources.identify(data, whole=True)
    if kind is None:
        return []
    if kind.is_whole:
        return [one.lines for one in sources.sessions_in(data, kind)]
    return [data.split(b"\n")]


def read(lines: list[bytes]) -> tuple[list[Record], str]:
    """The records of a session as they are at its end, and the format it is in."""
    reader = Reader("bench", "session")
    found: list[Record] = []
    for number, data in enumerate(lines, start=1):
        found.extend(reader.read(Line(number, 0, data)))
    return folding.patched(found), reader.dialect


def count(records: list[Record], dialect: str) -> dict[str, int]:
    """How much of each kind is in a session."""
    messages = [one for one in records if isinstance(one, Message)]
    said = [one for one in messages if human_text(one)]
    beside = [one for one in said if one.meta.get("channel") in BESIDE]
    return {
        "user_turns": len(said) - len(beside),
        "beside": len(beside),
        "assistant_messages": sum(_is_answer(one, dialect) for one in messages),
        "tool_calls": sum(len(one.parts_of("tool-call")) for one in messages),
        "tool_results": sum(len(one.parts_of("tool-result")) for one in messages),
    }


def _is_answer(message: Message, dialect: str) -> bool:
    """Codex's calls stand in records of their own, which the reference counts as calls alone."""
    return message.role == "assistant" and (dialect != "codex" or bool(message.text))


def measure(root: Path) -> None:
    """Print recall and precision by format, and every file that differs, with the reason."""
    index = json.loads((root / "INDEX.json").read_bytes())["files"]
    totals: dict[str, dict[str, _Total]] = defaultdict(lambda: {what: _Total() for what in WHAT})
    differ: list[str] = []
    unread: list[str] = []
    for entry in index:
        counts = entry.get("counts") or {}
        if not any(counts.get(what) for what in WHAT):
            continue
        got = _found_in(root / entry["file"], unread)
        for what in WHAT:
            if what in counts:
                total = totals[entry["format"].partition(" (")[0]][what]
                total.add(counts[what], got[what])
                if counts[what] != got[what]:
                    differ.append(_difference(entry["file"], what, counts[what], got))
    print("what is found in transcripts (recall / precision against the reference counts)")
    print(f"  {'format':34}" + "".join(f"{what:>24}" for what in WHAT))
    for kind, by_what in sorted(totals.items()):
        print(f"  {kind:34}" + "".join(f"{by_what[what].text():>24}" for what in WHAT))
    every = {what: _Total() for what in WHAT}
    for by_what in totals.values():
        for what in WHAT:
            every[what].join(by_what[what])
    print(f"  {'all':34}" + "".join(f"{every[what].text():>24}" for what in WHAT))
    for title, lines in (("counts that differ", differ), ("files of no known format", unread)):
        print(f"  {title}: {len(lines)}")
        for line in lines:
            print(f"    {line}")
    _damage(root, [entry["file"] for entry in index])


def _found_in(path: Path, unread: list[str]) -> Counter[str]:
    """How much of each kind is in the sessions of a file."""
    got: Counter[str] = Counter()
    found = sessions_of(path)
    if not found:
        unread.append(path.name)
    for lines in found:
        got.update(count(*read(lines)))
    return got


def _difference(name: str, what: str, wanted: int, got: Counter[str]) -> str:
    beside = f", {got['beside']} beside" if what == "user_turns" and got["beside"] else ""
    why = next((why for (end, one), why in KNOWN.items() if one == what and name.endswith(end)), "")
    return f"{name}: {got[what]} {what} of {wanted}{beside}: {why or 'NOT EXPLAINED'}"


class _Total:
    """Counts of one kind over files; `both` is what the reference and we have in common."""

    def __init__(self) -> None:
        self.wanted = self.found = self.both = 0

    def add(self, wanted: int, found: int) -> None:
        self.wanted += wanted
        self.found += found
        self.both += min(wanted, found)

    def join(self, other: _Total) -> None:
        self.wanted += other.wanted
        self.found += other.found
        self.both += other.both

    def text(self) -> str:
        """Recall, precision, and how many the reference counts."""
        if not self.wanted and not self.found:
            return "-"
        recall = self.both / self.wanted if self.wanted else 1.0
        precision = self.both / self.found if self.found else 1.0
        return f"{recall:.3f} / {precision:.3f} ({self.wanted})"


def _damage(root: Path, names: list[str]) -> None:
    """Lines that are no JSON as a whole, and what was recovered of them."""
    broken = recovered = 0
    places = []
    for name in names:
        if not name.endswith(".jsonl"):
            continue
        for number, line in enumerate((root / name).read_bytes().split(b"\n"), start=1):
            decoded = jsonl.decode(line) if line.strip() else None
            if decoded is not None and decoded.problem:
                broken += 1
                recovered += len(decoded.values)
                places.append(f"{name}:{number}: {len(decoded.values)} from {decoded.problem}")
    print(f"\ndamaged lines: {broken}, objects recovered from them: {recovered}")
    for place in places[:20]:
        print(f"    {place}")
    print()
