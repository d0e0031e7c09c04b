"""How well real transcripts are read, and what redaction finds in them and in made-up lines.

    python bench/quality.py --corpus DIR        (or ACONTEXT_FS_CORPUS=DIR)

DIR holds transcripts and INDEX.json, `{"files": [{"file", "format", "counts"}]}`: what is found in
each is compared with its counts (`user_turns`, `assistant_messages`, `tool_calls`, `tool_results`;
any of them may be missing). Where DIR also holds tau/{open,open_anthropic,open_gemini}, the same
tau-bench airline conversations in three message formats, with tau/open/labels.json, then what the
rules engine finds in those comes first. Nothing is judged here by a model; the tables say how far
plain rules get.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import captured
import redaction

from acontext_fs.daemon.extract.rules import RulesExtractor
from acontext_fs.formats import read_line
from acontext_fs.formats.human import human_text
from acontext_fs.records import Criteria, ExtractWork, Line, Message, Task, TaskStatus
from acontext_fs.redact import Redactor
from tests.redact_samples import remains, samples

FOLDERS = ("open", "open_anthropic", "open_gemini")
KINDS = ("success_wrote", "success_no_write", "fail_wrote", "fail_no_write")
SEED = 1
SHOWN = 20
STATUSES: tuple[TaskStatus, ...] = ("success", "failed", "running", "pending")
TIME = "2026-01-01T00:00:00.000000Z"

CAVEAT = (
    "The label compares the airline's database with the expected one; it is no verdict on the\n"
    "conversation. Many failures wrote something wrong and end with a thankful user, many\n"
    "successes are correct refusals. Whoever sees only the transcript, rules, model or person,\n"
    "cannot reproduce it: read the table as what users were told, not as accuracy."
)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Quality of the rules engine on real transcripts.")
    parser.add_argument("--corpus", default=os.environ.get("ACONTEXT_FS_CORPUS"))
    corpus = parser.parse_args(argv).corpus
    if not corpus or not (Path(corpus) / "INDEX.json").is_file():
        print("no corpus: give --corpus DIR or set ACONTEXT_FS_CORPUS", file=sys.stderr)
        return 2
    root = Path(corpus)
    if (root / "tau" / "open" / "labels.json").is_file():
        measure_rules(root)
    captured.measure(root)
    print_secrets(root)
    return 0


def measure_rules(root: Path) -> None:
    """Print what the rules engine finds in the conversations below tau/."""
    labels = json.loads((root / "tau" / "open" / "labels.json").read_bytes())
    conversations = {
        name: [read(root / "tau" / one / name) for one in FOLDERS] for name in names(root)
    }
    started = time.process_time()
    found = {name: [extract(one) for one in versions] for name, versions in conversations.items()}
    spent = time.process_time() - started
    print_turns(root, conversations)
    print_tasks(found)
    print_formats(found)
    print_confusion("the first task", labels, {name: one[0][:1] for name, one in found.items()})
    print_confusion("the last task", labels, {name: one[0][-1:] for name, one in found.items()})
    print_confusion("all tasks", labels, {name: one[0] for name, one in found.items()})
    print(CAVEAT)
    messages = sum(len(one) for versions in conversations.values() for one in versions)
    print(f"\n{messages} messages in {spent:.2f} s: {messages / spent:,.0f} messages a second\n")


def print_secrets(root: Path) -> None:
    """Print which made-up secrets are found, and what is taken for one in the transcripts."""
    redactor = Redactor()
    tried = random.Random(SEED).sample(samples(SEED, rounds=5), redaction.SECRETS)
    missed = [one for one in tried if remains(one, redactor.clean(one.line).data)]
    drawn, lost = (Counter(one.kind for one in some) for some in (tried, missed))
    found_count = len(tried) - len(missed)
    print(f"made-up secrets in lines of transcripts: {found_count} of {len(tried)} found")
    kinds = [f"{kind} {drawn[kind] - lost[kind]}/{drawn[kind]}" for kind in sorted(drawn)]
    for start in range(0, len(kinds), 6):
        print("  " + "".join(f"{kind:30}" for kind in kinds[start : start + 6]).rstrip())
    for one in missed:
        print(f"  missed {one.kind} ({one.place})")
    found, size = redaction.alarms(redactor, root)
    rate = found.total() / max(size, 1) * 1e6
    print(
        f"taken out of {size / 1e6:.1f} MB of transcripts: {found.total()}, {rate:.2f} a MB "
        "(false alarms at most: whether one was a secret is for a person to judge)"
    )
    for (name, around), times in found.most_common(SHOWN):
        print(f"  {times} x {name}: {around!r}")


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "tau" / "open").glob("*.jsonl"))


def read(path: Path) -> tuple[Message, ...]:
    lines = (Line(n, 0, data) for n, data in enumerate(path.read_bytes().split(b"\n"), start=1))
    records = (
        record
        for line in lines
        for record in read_line(line, space="bench", session_id=path.stem, time=TIME)
    )
    return tuple(record for record in records if isinstance(record, Message))


def extract(messages: tuple[Message, ...]) -> list[Task]:
    """The requests found, and the planning section's preferences on the first of them."""
    work = ExtractWork("bench", "session", messages, (), (), {}, Criteria())
    return [task for task in RulesExtractor().extract(work).tasks if not task.is_planning]


def print_turns(root: Path, conversations: dict[str, list[tuple[Message, ...]]]) -> None:
    index = json.loads((root / "INDEX.json").read_bytes())
    reference = {entry["file"]: entry["counts"] for entry in index["files"]}
    print("human turns (the reference counts a bare ###STOP### as one, we do not)")
    print(f"  {'format':16} {'reference':>9} {'found':>6}  conversations that differ")
    for column, folder in enumerate(FOLDERS):
        expected, found, differ = 0, 0, []
        for name, versions in conversations.items():
            wanted = reference[f"tau/open/{name}"]["user_turns"]
            typed = sum(1 for message in versions[column] if human_text(message))
            expected, found = expected + wanted, found + typed
            if typed != wanted:
                differ.append(f"{Path(name).stem} ({typed} of {wanted})")
        print(f"  {folder:16} {expected:9} {found:6}  {', '.join(differ) or 'none'}")
    print()


def print_tasks(found: dict[str, list[list[Task]]]) -> None:
    counts = Counter(len(versions[0]) for versions in found.values())
    statuses = Counter(task.status for versions in found.values() for task in versions[0])
    print("tasks opened in a conversation (the scenarios hold one to three requests each)")
    for count, conversations in sorted(counts.items()):
        print(f"  {count:2} tasks: {conversations:2} conversations")
    total = sum(statuses.values())
    print(f"  {total} tasks: " + ", ".join(f"{statuses[one]} {one}" for one in STATUSES))
    lines = [len(task.progresses) for versions in found.values() for task in versions[0]]
    wanted = sum(len(task.preferences) for versions in found.values() for task in versions[0])
    print(f"  progress lines a task: {sum(lines) / max(total, 1):.1f}; preferences: {wanted}\n")


def print_formats(found: dict[str, list[list[Task]]]) -> None:
    def essence(tasks: list[Task]) -> list[tuple[object, ...]]:
        return [(t.description, t.status, t.progresses, t.preferences, t.lines) for t in tasks]

    differ = [
        Path(name).stem
        for name, (first, *others) in found.items()
        if any(essence(other) != essence(first) for other in others)
    ]
    same = len(found) - len(differ)
    print(f"the same tasks in all three formats: {same} of {len(found)} conversations")
    print(f"  differing: {', '.join(differ)}\n" if differ else "")


def print_confusion(
    title: str, labels: dict[str, dict[str, str]], found: dict[str, list[Task]]
) -> None:
    cells: Counter[tuple[str, str]] = Counter()
    for name, tasks in found.items():
        kind = labels[Path(name).stem]["kind"]
        cells.update((kind, task.status) for task in tasks)
    print(f"status of {title} against the label's kind")
    print(f"  {'':18}" + "".join(f"{status:>9}" for status in STATUSES))
    for kind in KINDS:
        print(f"  {kind:18}" + "".join(f"{cells[kind, status]:9}" for status in STATUSES))
    print()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
