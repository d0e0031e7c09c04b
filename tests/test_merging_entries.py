"""Pages of entries that two sides add to, take from and correct: all of it is there, once."""

from __future__ import annotations

from random import Random

import pytest

from acontext_fs import merging
from acontext_fs.errors import CommitConflict

LIVES = 300
TITLES = ("Fix the build", "Mend the export", "Rename foo")


class Page:
    """A page as a list of entries; what is done to it is remembered by what it leads to."""

    def __init__(self, entries: list[str], kind: str) -> None:
        self.entries = list(entries)
        self.kind = kind

    def text(self) -> bytes:
        between = "" if self.kind == "list" else "\n"
        body = [between.join(self.entries)] if self.entries else []
        return "\n".join(["# Page\n", *body]).encode()


def entry(random: Random, kind: str, number: str) -> str:
    if kind == "list":
        return f"- {number}\n" + ("  more\n" if random.random() < 0.3 else "")
    title = random.choice(TITLES)
    if kind == "paragraphs":
        return f"{title}: {number}.\n"
    said = f"Status: success, 00:00 UTC, session s, task {random.getrandbits(32):08x}\n\n"
    return f"## {title}\n\n{said if random.random() < 0.5 else ''}It was {number}.\n"


def change(random: Random, page: Page, mine: set[str], name: str, removed: float) -> None:
    """Add entries, and take out or correct some of those that are `mine` to change."""
    for old in [one for one in page.entries if one in mine]:
        at = page.entries.index(old)
        if random.random() < removed:
            del page.entries[at]
        elif random.random() < 0.3:
            page.entries[at] = old.rstrip("\n") + f" as {name} says\n"
    for number in range(random.randrange(4)):
        at = random.choice((len(page.entries), random.randrange(len(page.entries) + 1)))
        page.entries.insert(at, entry(random, page.kind, f"{name} {number}"))


@pytest.mark.parametrize(
    ("kind", "removed"),
    [(kind, removed) for kind in ("list", "paragraphs", "sections") for removed in (0, 0.3)],
)
def test_all_that_two_sides_did_to_different_entries_is_there(kind: str, removed: float) -> None:
    refused = 0
    for seed in range(LIVES):
        random = Random(seed)
        base = [entry(random, kind, f"base {n}") for n in range(random.randrange(1, 7))]
        ours, theirs = Page(base, kind), Page(base, kind)
        mine = {one for one in base if random.random() < 0.5}
        change(random, ours, mine, "ours", removed)
        change(random, theirs, set(base) - mine, "theirs", removed)
        try:
            text = merging.merge(Page(base, kind).text(), ours.text(), theirs.text())
        except CommitConflict:
            refused += 1
        else:
            check(seed, base, (ours, theirs), (text or b"").decode())
    # Between two entries that one side took out there is no place for what the other put there.
    assert refused <= (LIVES // 20 if removed else 0)


def check(seed: int, base: list[str], sides: tuple[Page, Page], said: str) -> None:
    """Every entry is there once and whole, nothing else is, and those of before are in order."""
    kept = [one for one in base if all(one in page.entries for page in sides)]
    new = [one for page in sides for one in page.entries if one not in base]
    for one in kept + new:
        assert said.count(one) == 1, (seed, one, said)
    assert len(said.split()) == len(("# Page " + "".join(kept + new)).split()), (seed, said)
    places = [said.index(one) for one in kept]
    assert places == sorted(places), seed
    assert "\n\n\n" not in said, (seed, said)


HEADINGS = ("## Do\n", "## Never\n", "## Later\n")


def rewritten(random: Random, base: list[str], name: str) -> list[str]:
    """The lines of a page without some sections and entries, with other headings and new ones."""
    kept: list[str] = []
    is_out = False
    for line in base:
        if line.startswith("#"):
            is_out = random.random() < 0.2
            line = line.replace("\n", f" ({name})\n") if random.random() < 0.1 else line
        if not is_out and (random.random() > 0.1 or line.startswith("#")):
            kept.append(line)
    for number in range(random.randrange(1, 4)):
        kept.insert(random.randrange(1, len(kept) + 1) if kept else 0, f"- {name} {number}\n")
    return kept


def headed(lines: list[str]) -> dict[str, str]:
    """The heading that each entry stands below, as it was in the beginning."""
    found, heading = {}, ""
    for line in lines:
        heading = line.split(" (")[0].rstrip() if line.startswith("#") else heading
        found[line] = heading
    return found


def test_what_one_side_adds_stays_below_its_heading() -> None:
    merged = 0
    for seed in range(2 * LIVES):
        random = Random(seed)
        base = ["# Page\n"]
        for at, heading in enumerate(HEADINGS):
            base += [heading, *(f"- {at}{n}\n" for n in range(random.randrange(1, 4)))]
        sides = [rewritten(random, base, name) for name in ("ours", "theirs")]
        try:
            text = merging.merge(*("".join(one).encode() for one in (base, *sides)))
        except CommitConflict:
            continue
        merged += 1
        both = headed([f"{line}\n" for line in (text or b"").decode().split("\n")[:-1]])
        for side in sides:
            for line, heading in headed(side).items():
                if line not in base and not line.startswith("#"):
                    assert both[line] == heading, (seed, line)
    assert merged > LIVES // 4
