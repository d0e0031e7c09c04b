"""A change merged into a text that somebody else changed too."""

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import line_diff, merging
from acontext_fs.errors import CommitConflict

BASE = b"a\nb\nc\n"


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        (BASE, BASE, b"a\nb\nc\nd\n", b"a\nb\nc\nd\n"),
        (BASE, b"A\nb\nc\n", BASE, b"A\nb\nc\n"),
        (BASE, b"A\nb\nc\n", b"a\nb\nC\n", b"A\nb\nC\n"),
        # Changes that touch.
        (BASE, b"A\nb\nc\n", b"a\nB\nc\n", b"A\nB\nc\n"),
        (BASE, b"a\nb\n", b"a\nb\nc\nd\n", b"a\nb\nd\n"),
        # Lines that both add at one place are both kept, once.
        (BASE, b"a\nb\nc\nmine\n", b"a\nb\nc\ntheirs\n", b"a\nb\nc\nmine\ntheirs\n"),
        (BASE, b"a\nb\nc\nd\n", b"a\nb\nc\nd\n", b"a\nb\nc\nd\n"),
        (BASE, b"a\nb\nc\nd\n", b"a\nb\nc\nd\ne\n", b"a\nb\nc\nd\ne\n"),
        (BASE, b"a\nb\nc\nd\ne\n", b"a\nb\nc\ne\n", b"a\nb\nc\nd\ne\n"),
        # What a learning added is taken out of what grew since.
        (b"a\nnew\n", b"a\nnew\nlater\n", b"a\n", b"a\nlater\n"),
        (b"new\n", b"new\nlater\n", b"", b"later\n"),
        # Also where the blank line in between is the later one's, or the one's that goes.
        (b"a\n\nnew\n", b"a\n\nlater\n\nnew\n", b"a\n", b"a\n\nlater\n"),
        (b"a\n\nnew\n", b"a\n", b"a\n\nlater\n\nnew\n", b"a\n\nlater\n"),
        (b"new\n\nz\n", b"new\n\nlater\n\nz\n", b"z\n", b"later\n\nz\n"),
        # Entries that begin alike.
        (
            b"## A\n\none\n\n## Z\n",
            b"## A\n\none\n\n## A\n\ntwo\n\n## Z\n",
            b"## A\n\nthree\n\n## A\n\none\n\n## Z\n",
            b"## A\n\nthree\n\n## A\n\none\n\n## A\n\ntwo\n\n## Z\n",
        ),
        # A section that goes does not take along what stands behind it, nor an entry its neighbour.
        (
            b"# T\n\n## A\n- x\n",
            b"# T\n",
            b"# T\n\n## A\n- x\n\n## B\n- y\n",
            b"# T\n\n## B\n- y\n",
        ),
        (b"# T\n- x\n- y\n", b"# T\n- x\n", b"# T\n- x\n- y\n- z\n", b"# T\n- x\n- z\n"),
        (
            b"## A\n- x\n- y\n",
            b"## B\n- x\n- y\n",
            b"## A\n- x\n- y\n- z\n",
            b"## B\n- x\n- y\n- z\n",
        ),
        # A last line without an end.
        (b"a\nb", b"a\nb", b"a\nb\nc", b"a\nb\nc"),
        (b"a\nb\n", b"a\nb\nmine", b"a\nb\ntheirs\n", b"a\nb\nmine\ntheirs\n"),
        # Line ends are ours.
        (BASE, b"a\r\nb\r\nC\r\n", b"x\na\nb\nc\n", b"x\r\na\r\nb\r\nC\r\n"),
        (b"a\r\nb\r\n", b"a\nB\n", b"x\r\na\r\nb\r\n", b"x\na\nB\n"),
        # No file.
        (None, None, b"x", b"x"),
        (None, b"x", b"x", b"x"),
        (BASE, BASE, None, None),
        (BASE, None, None, None),
        (BASE, None, BASE, None),
    ],
)
def test_both_sides_are_there(base, ours, theirs, merged):
    assert merging.merge(base, ours, theirs) == merged


SAFE = b"# T\n\n## Safe\n\n- x\n"


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("base", "one", "other"),
    [
        # A section that one took out, and the other added to.
        (SAFE + b"\n## Never\n\n- y\n", SAFE, SAFE + b"\n## Never\n\n- y\n- z\n"),
        (
            SAFE + b"\n## Never\n\ny\n\n## End\n",
            SAFE + b"\n## End\n",
            SAFE + b"\n## Never\n\ny\n\nz\n\n## End\n",
        ),
        (SAFE + b"\n## Never\n\n- y\n", SAFE, SAFE + b"\n## Never\n\n- y\n\n### More\n\n- z\n"),
        (
            SAFE + b"\n## Never\n\n- y\n\n## End\n",
            SAFE + b"\n## End\n",
            SAFE + b"\n## Never\n\n- y\n\nz\n\n## The end\n",
        ),
        # An entry that one took out, and the other said more of.
        (b"- x\n- y\n", b"- x\n", b"- x\n- y\n  not here\n"),
        # Another heading, and more right below it.
        (b"## Do\n- x\n- y\n", b"## Never do\n- x\n- y\n", b"## Do\n- z\n- x\n- y\n"),
        (b"## Do\n\n- x\n- y\n", b"## Never do\n\n- x\n- y\n", b"## Do\n\n- z\n- x\n- y\n"),
        (b"## Do\n- x\n", b"## Never do\n- X\n", b"## Do\n- x\n- z\n"),
    ],
)
def test_what_is_added_to_what_the_other_took_away_or_named_anew_is_refused(
    base, one, other, turned
):
    with pytest.raises(CommitConflict):
        merging.merge(base, *((other, one) if turned else (one, other)))


def test_a_conflict_over_two_additions_has_each_line_once():
    base, ours = b"# T\n## A\n- x\n\n- y\n", b"# T\n\n- y\n"
    theirs = b"# T\n## A\n- x\n- p\n\n- q\n- y\n"
    assert merging.partly(base, ours, theirs)[2] == theirs


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "why"),
    [
        (BASE, b"A\nb\nc\n", b"X\nb\nc\n", r"the same text was changed meanwhile \(line 1\)"),
        (BASE, b"a\nX\nY\n", b"a\nx\n", r"\(lines 2-3\)"),
        (BASE, b"", b"a\nb\nc\nd\n", "emptied"),
        (BASE, None, b"x\n", "removed or renamed"),
        (BASE, b"x\n", None, "changed meanwhile"),
        (None, b"x\n", b"y\n", "made it too"),
    ],
)
def test_what_overlaps_is_refused(base, ours, theirs, why):
    with pytest.raises(CommitConflict, match=why):
        merging.merge(base, ours, theirs)


texts = st.lists(st.sampled_from([b"", b"a", b"b", b"c", b"- d", b"e\xff"]), max_size=9).map(
    lambda lines: b"".join(line + b"\n" for line in lines)
)


@given(texts, texts)
def test_hunks_lead_from_one_text_to_the_other(old, new):
    before, after = merging.lines_of(old), merging.lines_of(new)
    made, done = [], 0
    for hunk in merging.hunks(before, after):
        assert hunk.start >= done
        made += [*before[done : hunk.start], *hunk.lines]
        done = hunk.end
    assert [*made, *before[done:]] == after


@given(texts, texts)
def test_an_addition_can_be_made_in_several_places(old, new):
    before = merging.lines_of(old)
    for hunk in merging.hunks(before, merging.lines_of(new)):
        for start in range(len(before) + 1):
            moved = line_diff.moved(before, hunk, start)
            if moved is not None:
                assert hunk.is_added
                assert made(before, moved) == made(before, hunk)


def made(before, hunk):
    return [*before[: hunk.start], *hunk.lines, *before[hunk.end :]]


@given(texts, texts, texts)
def test_what_is_merged_in_part_is_what_is_merged_as_a_whole(base, ours, theirs):
    parts = merging.partly(base, ours, theirs)
    try:
        merged = merging.merge(base, ours, theirs)
    except CommitConflict:
        assert not all(part == parts[0] for part in parts) or not ours.strip()
        return
    assert parts == (merged,) * 3


def test_a_long_text_of_which_all_was_changed_is_compared_at_once():
    """A search for every run that both have would take minutes."""
    count = line_diff.WORK_MAX // 100
    old, new = ([f"{name} {n // 2}\n".encode() for n in range(count)] for name in "ab")
    old[::3] = new[::3] = [b"\n"] * len(old[::3])
    begun = time.process_time()
    (hunk,) = merging.hunks(old, new)
    assert time.process_time() - begun < 2
    assert (hunk.start, hunk.end) == (1, count - 1)
    old[50:50] = [b"once\n"]
    new[70:70] = [b"once\n"]
    assert len(merging.hunks(old, new)) > 1


@given(texts, texts, texts)
def test_a_merge_has_what_each_side_says_or_is_refused(base, ours, theirs):
    assert merging.merge(base, base, theirs) == theirs
    assert merging.merge(base, ours, base) == ours
    assert merging.merge(base, ours, ours) == ours
    try:
        merged = merging.merge(base, ours, theirs)
    except CommitConflict:
        return
    lines = merging.lines_of(merged)
    for side in (ours, theirs):
        for hunk in merging.hunks(merging.lines_of(base), merging.lines_of(side)):
            assert set(filter(bytes.strip, hunk.lines)) <= set(lines)


@given(base=texts, ours=texts, theirs=texts)
def test_where_git_can_merge_so_can_we_and_to_the_same_text(merge_in_git, base, ours, theirs):
    by_git = merge_in_git(base, ours, theirs)
    if by_git is None:
        return
    try:
        merged = merging.merge(base, ours, theirs)
    except CommitConflict:
        return  # Other hunks were found, or it was emptied: then we are more careful.
    # What both added is there once, also where git has it twice.
    assert set(merging.lines_of(merged)) == set(merging.lines_of(by_git))


@pytest.fixture(scope="module")
def merge_in_git(tmp_path_factory):
    """`git merge-file` of three texts; None where it finds a conflict."""
    folder: Path = tmp_path_factory.mktemp("merge")

    def merge(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
        for name, text in (("base", base), ("ours", ours), ("theirs", theirs)):
            (folder / name).write_bytes(text)
        command = ["git", "merge-file", "-p", "-q", "ours", "base", "theirs"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else None

    return merge
