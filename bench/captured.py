"""What is found in real transcripts of coding agents, against the counts that came with them."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from acontext_fs import folding, jsonl
from acontext_fs.formats import sources
from acontext_fs.formats.human import human_text
from acontext_fs.formats.reader import Reader
from acontext_fs.records import Line, Message, Record

WHAT = ("user_turns", "assistant_messages", "tool_calls", "tool_results")
BESIDE = ("queue", "rejection", "answer", "command")
"""Words of a person that the reference does not count as turns: listed beside them."""


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
    """Print recall and precision by format, and every file that differs."""
    index = json.loads((root / "INDEX.json").read_bytes())["files"]
    wanted: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(WHAT, 0))
    found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(WHAT, 0))
    both: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(WHAT, 0))
    differ: list[str] = []
    for entry in index:
        counts = entry.get("counts") or {}
        if not any(counts.get(what) for what in WHAT):
            continue
        got = dict.fromkeys((*WHAT, "beside"), 0)
        for lines in sessions_of(root / entry["file"]):
            for what, number in count(*read(lines)).items():
                got[what] += number
        kind = entry["format"].partition(" (")[0]
        for what in WHAT:
            if what not in counts:
                continue
            wanted[kind][what] += counts[what]
            found[kind][what] += got[what]
            both[kind][what] += min(counts[what], got[what])
            if counts[what] != got[what]:
                beside = f", {got['beside']} beside" if what == "user_turns" else ""
                differ.append(f"{entry['file']}: {got[what]} {what} of {counts[what]}{beside}")
    print("what is found in transcripts (recall / precision against the reference counts)")
    print(f"  {'format':34}" + "".join(f"{what:>22}" for what in WHAT))
    for kind in sorted(wanted):
        cells = [_share(both[kind][w], wanted[kind][w], found[kind][w]) for w in WHAT]
        print(f"  {kind:34}" + "".join(f"{cell:>22}" for cell in cells))
    print(f"  files that differ: {len(differ)}")
    for line in differ:
        print(f"    {line}")
    _damage(root, [entry["file"] for entry in index])


def _share(both: int, wanted: int, found: int) -> str:
    if not wanted and not found:
        return "-"
    recall = both / wanted if wanted else 1.0
    precision = both / found if found else 1.0
    return f"{recall:.3f} / {precision:.3f} ({wanted})"


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
