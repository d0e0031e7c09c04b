"""The merge driver: its rules, and as git itself runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import git_merge, ids, progress, session_merge, tasks
from acontext_fs.daemon import batches, tail
from acontext_fs.progress import Failure, Progress
from acontext_fs.records import Cursor, Learning, Task
from acontext_fs.session_merge import AS_THEY_ARE, Joint, Side, join, merge_progress, merge_tasks
from tests.conftest import run_git

ATTRIBUTES = (
    "spaces/*/sessions/**/*.jsonl merge=union -text\n"
    "spaces/*/tasks/**/*.jsonl -text merge=acontext-fs\n"
    "spaces/*/progress/**/*.json -text merge=acontext-fs\n"
)
TASKS = "spaces/default/tasks/s.jsonl"
PROGRESS = "spaces/default/progress/s.json"
SESSION = "spaces/default/sessions/s.jsonl"
MOVED = (1, 2, *range(7, 20))
"""Behind the second line, theirs stand four further back."""
Git = Callable[..., str]


def task(serial: int, **more: object) -> Task:
    """A request at order `serial` with two lines."""
    made = Task(
        id=ids.task_id("default", "s", serial),
        session_id="s",
        order=serial,
        status="running",
        description=f"Do {serial}.",
        created_at=f"2026-01-01T00:00:{serial:02}.000000Z",
        updated_at=f"2026-01-01T00:00:{serial:02}.000000Z",
        lines=((2 * serial - 1, 2 * serial),),
    )
    return replace(made, **more)


def lines(*names: str) -> bytes:
    return "".join(f'{{"role":"user","content":"{name}"}}\n' for name in names).encode()


def read_to_end(transcript: bytes, **more: object) -> Progress:
    """The progress of a session all of which was read."""
    cursor = Cursor(len(transcript), transcript.count(b"\n"), tail.fingerprint(transcript))
    return Progress(cursor=cursor, archived_bytes=len(transcript), **more)


# -- the rules --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "base", "ours", "theirs", "result"),
    [
        ("status", "running", "running", "success", "success"),
        ("status", "pending", "running", "success", "success"),
        ("status", "running", "success", "failed", "success"),
        ("description", "a", "a", "b", "b"),
        ("description", "a", "b", "c", "b"),
        ("progresses", ("a",), ("a", "b"), ("a", "c"), ("a", "b", "c")),
        ("preferences", ("a", "b"), ("b", "c"), ("a", "b", "d"), ("b", "c", "d")),
        ("lines", ((1, 4),), ((1, 6),), ((1, 4), (9, 9)), ((1, 6), (9, 9))),
        ("learning", "learned", "learned", "pending", "pending"),
        ("learning", "pending", "learned", "rejected", "rejected"),
        ("learning", "pending", "rejected", "learned", "rejected"),
        ("learning", "pending", "skipped", "learned", "learned"),
        ("learning", "pending", "learned", "learned", "learned"),
    ],
)
def test_a_field_is_merged_three_ways(field, base, ours, theirs, result) -> None:
    def made(value: object) -> tuple[Task]:
        value = Learning(value) if field == "learning" else value
        return (task(1, **{"lines": ((1, 4),), field: value}),)

    (found,) = merge_tasks(made(base), made(ours), made(theirs), AS_THEY_ARE, "d")
    value = getattr(found, field)
    assert (value.status if field == "learning" else value) == result


def test_tasks_that_two_machines_gave_one_id_are_two() -> None:
    both = (task(1),)
    ours = (*both, task(2, created_at="2026-01-02T00:00:00.000000Z", lines=((3, 6),)))
    theirs = (*both, task(2, description="Theirs.", lines=((3, 4),)), task(3, lines=((5, 5),)))
    found = merge_tasks(both, ours, theirs, Joint(None, MOVED, Cursor(), 0), "default")
    assert found[:2] == ours
    assert [(one.order, one.description, one.lines) for one in found[2:]] == [
        (3, "Theirs.", ((7, 8),)),
        (4, "Do 3.", ((9, 9),)),
    ]
    # Ids count up, so that the next task gets one that nobody has.
    assert {one.id for one in found} == {ids.task_id("default", "s", n) for n in range(1, 5)}


def test_what_is_merged_twice_is_there_once() -> None:
    both = (task(1),)
    ours = (*both, task(2, lines=((3, 6),)))
    theirs = (*both, task(2, description="Theirs.", created_at="x", lines=((3, 4),)))
    once = merge_tasks(both, ours, theirs, Joint(None, MOVED, Cursor(), 0), "default")
    more = (*theirs[:1], replace(theirs[1], learning=Learning("learned", "so")))
    again = merge_tasks(theirs, once, more, Joint(None, MOVED, Cursor(), 0), "default")
    assert [one.description for one in again] == ["Do 1.", "Do 2.", "Theirs."]
    assert [one.learning for one in again] == [None, None, Learning("learned", "so")]


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_session_that_one_side_gave_another_name_has_the_ids_of_that(is_ours: bool) -> None:
    def named(name: str, found: tuple[Task, ...]) -> tuple[Task, ...]:
        return tuple(
            replace(one, id=ids.task_id("default", name, one.order), session_id=name)
            for one in found
        )

    base = (task(1, learning=Learning("pending")), task(2))
    more = (*learn(base, 1, "learned"), task(3))
    sides = map(
        tasks.encode, (named("moved", base), more) if is_ours else (more, named("moved", base))
    )
    path = TASKS.replace("s.jsonl", "moved.jsonl")
    merged = git_merge.merged(path, git_merge.Versions(tasks.encode(base), *sides), {})
    assert tasks.decode(merged, path) == named("moved", more)


LONG = [f"{n}" for n in range(300)]


def joined(ours: Side, theirs: Side, *names: str) -> Joint | None:
    return join(ours, theirs, lines(*names))


def side(*names: str, unread: int = 0) -> Side:
    return Side(lines(*names), read_to_end(lines(*names[: len(names) - unread])))


@pytest.mark.parametrize("theirs", ["learned", "skipped"])
def test_a_task_that_both_made_and_one_renamed_by_hand_is_one_and_learned_once(theirs: str) -> None:
    """Each machine says when it read the lines, so only the line it begins in is the same."""
    ours = task(1, description="By hand.", learning=Learning("pending"))
    other = task(1, created_at="later", lines=((1, 1),), learning=Learning(theirs))
    (found,) = merge_tasks((), (ours,), (other,), AS_THEY_ARE, "default")
    assert (found.id, found.description, found.learning) == (ours.id, "By hand.", other.learning)


def test_tasks_of_one_id_that_begin_in_other_lines_stay_two() -> None:
    ours = task(1, description="By hand.")
    other = task(1, created_at="later", lines=((2, 2),))
    found = merge_tasks((), (ours,), (other,), AS_THEY_ARE, "default")
    assert [one.description for one in found] == ["By hand.", "Do 1."]


def test_a_task_whose_lines_and_id_are_others_since_is_no_new_one() -> None:
    first = task(2, learning=Learning("learned"), description="Theirs.", created_at="x")
    waits = replace(first, learning=Learning("pending"))
    ours = (task(1), task(2), replace(first, id=ids.task_id("default", "s", 3), lines=((7, 8),)))
    ours = tuple(replace(one, order=at) for at, one in enumerate(ours, start=1))
    found = merge_tasks((task(1), first), ours, (task(1), waits), AS_THEY_ARE, "default")
    assert [one.learning for one in found] == [None, None, Learning("pending")]
    assert [replace(one, learning=None) for one in found] == [
        replace(one, learning=None) for one in ours
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        (["a", "b", "o"], ["a", "b", "t"], ["a", "b", "o", "t"]),
        (["a", "o"], ["a", *LONG], ["a", "o", *LONG]),
        (["a", *LONG], ["a", "t"], ["a", *LONG, "t"]),
        # What both wrote comes out once, and where git puts it.
        (["a", "o", "same", "p"], ["a", "t", "same"], ["a", "o", "t", "same", "p"]),
    ],
)
def test_a_cursor_behind_the_lines_of_both_is_one_that_the_daemon_can_resume(
    ours, theirs, merged, tmp_path: Path
) -> None:
    joint = joined(side(*ours), side(*theirs), *merged)
    assert joint is not None
    union = tmp_path / "union"
    union.write_bytes(lines(*merged))
    assert isinstance(tail.read(union, joint.cursor), tail.Unchanged)
    assert joint.cursor.line == len(merged)
    assert joint.size_bytes == len(lines(*merged))
    for places, names in ((joint.ours, ours), (joint.theirs, theirs)):
        assert [merged[at - 1] for at in places or range(1, len(names) + 1)] == names


def test_lines_that_came_out_as_one_are_found_in_another_order() -> None:
    joint = joined(side("a", "o", "same"), side("a", "same", "t"), "a", "o", "same", "t")
    assert (joint.ours, joint.theirs) == (None, [1, 3, 4])
    joint = joined(side("a", "same"), side("a", "t", "same"), "a", "same", "t")
    assert (joint.ours, joint.theirs, joint.cursor.line) == (None, [1, 3, 2], 3)


def test_of_two_that_read_the_same_lines_the_further_one_counts() -> None:
    far, near = side("a", "b", "c"), side("a", "b", "c", unread=2)
    for ours, theirs in ((far, near), (near, far), (far, side("a")), (side("a"), far)):
        joint = joined(ours, theirs, "a", "b", "c")
        assert joint == Joint(None, None, far.progress.cursor, len(far.transcript))


def test_what_is_not_read_in_one_piece_has_no_cursor() -> None:
    theirs = side("a", "t")
    assert joined(side("a", "o", unread=1), theirs, "a", "o", "t") is None
    assert joined(side("a", "o"), theirs, "a", "o", "t") is not None
    assert joined(side("a", "o"), side("a", "t", "u", unread=1), "a", "o", "t", "u") is not None
    assert joined(side("a", "o"), theirs, "a", "o") is None
    ahead = Side(lines("a", "o"), read_to_end(lines("a", "o", "p")))
    assert joined(ahead, theirs, "a", "o", "t") is None
    assert joined(ahead, side("a"), "a", "o").cursor == ahead.progress.cursor


def test_progress_is_counted_together() -> None:
    base = Progress(Cursor(1, 2, "b"), messages=2, learning_pending=1, facts={"a": 1, "b": 1})
    ours = replace(
        base,
        cursor=Cursor(2, 4, "o"),
        messages=4,
        preferences_done=("p",),
        failures=(Failure((3, 3), "o", 5),),
        facts={"a": 2, "b": 1},
    )
    theirs = replace(
        base,
        cursor=Cursor(2, 5, "t"),
        messages=5,
        unreadable=1,
        problems=((4, "no"),),
        preferences_done=("q",),
        failures=(Failure((5, 5), "t", 5),),
        learning_pending=3,
        facts={"a": 1, "c": 1},
    )
    joint = Joint(None, (1, 2, 5, 6, 7), Cursor(9, 7, "j"), 99)
    assert merge_progress(base, ours, theirs, joint) == Progress(
        cursor=joint.cursor,
        archived_bytes=99,
        messages=7,
        unreadable=1,
        problems=((6, "no"),),
        failures=(Failure((3, 3), "o", 5), Failure((7, 7), "t", 5)),
        preferences_done=("p", "q"),
        learning_pending=3,
        facts={"a": 2, "c": 1},
    )


LEARNINGS = st.sampled_from([None, *map(Learning, ("pending", "learned", "rejected", "skipped"))])
SIDES = st.lists(
    st.builds(
        task,
        st.integers(1, 5),
        status=st.sampled_from(["pending", "running", "success", "failed"]),
        description=st.sampled_from(["a", "b"]),
        created_at=st.sampled_from(["1", "2"]),
        progresses=st.lists(st.sampled_from("abc"), unique=True).map(tuple),
        lines=st.sampled_from([(), ((1, 2),), ((1, 4),), ((3, 3), (5, 9))]),
        learning=LEARNINGS,
    ),
    max_size=5,
).map(
    lambda made: tuple(
        replace(one, order=at, id=ids.task_id("default", "s", at))
        for at, one in enumerate(made, start=1)
    )
)


MOVES = st.none() | st.sets(st.integers(1, 20), min_size=9, max_size=9).map(sorted)


@given(SIDES, SIDES, SIDES, MOVES)
def test_whatever_is_merged_can_be_read_and_lacks_nothing_of_ours(base, ours, theirs, moved):
    found = merge_tasks(base, ours, theirs, Joint(None, moved, Cursor(), 0), "default")
    assert tasks.decode(tasks.encode(found), "x") == found
    assert [one.order for one in found] == list(range(1, len(found) + 1))
    assert {one.id for one in found} == {
        ids.task_id("default", "s", n) for n in range(1, len(found) + 1)
    }
    assert [one.id for one in found[: len(ours)]] == [one.id for one in ours]
    assert merge_tasks(base, ours, base, AS_THEY_ARE, "default")[: len(ours)] == ours


@given(SIDES, SIDES)
def test_tasks_of_which_nobody_else_knows_are_all_kept(ours, theirs) -> None:
    theirs = tuple(replace(one, created_at="3", lines=one.lines or ((1, 1),)) for one in theirs)
    ours = tuple(replace(one, lines=one.lines or ((1, 1),)) for one in ours)
    moved = range(101, 110)
    found = merge_tasks((), ours, theirs, Joint(None, moved, Cursor(), 0), "default")
    assert found[: len(ours)] == ours
    assert [one.lines[0][0] for one in found[len(ours) :]] == [
        one.lines[0][0] + 100 for one in theirs
    ]


@given(SIDES, st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_what_waits_is_counted_as_the_daemon_counts_it(found, voiced, done) -> None:
    planning = task(0, preferences=tuple(voiced))
    state = Progress(preferences_done=tuple(map(progress.preference_key, done)))
    all_tasks = (planning, *found)
    assert session_merge.waiting(all_tasks, state) == batches.waiting(all_tasks, state)


def test_a_window_is_as_long_as_the_daemons() -> None:
    assert session_merge.WINDOW_BYTES == tail.WINDOW_BYTES


# -- as git runs it ---------------------------------------------------------------------------


@pytest.fixture
def driven(store, git: Git) -> Git:
    """The store's repository, with the driver, and without the filter, which takes its time."""
    (store.root / ".gitattributes").write_text(ATTRIBUTES)
    git_merge.install(store.root)
    git("commit", "-qam", "the driver")
    return git


def put(root: Path, found: tuple[Task, ...], state: Progress, transcript: bytes = b"") -> None:
    """Write a session's files as the daemon does."""
    files = {TASKS: tasks.encode(found), PROGRESS: progress.encode(state), SESSION: transcript}
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    run_git(root, "add", "-A")
    run_git(root, "commit", "-qm", "more")


def session_of(root: Path) -> tuple[tuple[Task, ...], Progress]:
    found = tasks.decode((root / TASKS).read_bytes(), TASKS)
    return found, progress.decode((root / PROGRESS).read_bytes(), PROGRESS)


def learn(found: tuple[Task, ...], at: int, status: str) -> tuple[Task, ...]:
    return tuple(
        replace(one, learning=Learning(status)) if one.order == at else one for one in found
    )


def test_an_older_learning_is_reverted_without_a_conflict(store, driven: Git) -> None:
    both = lines(*"abcd")
    waits = tuple(task(n, learning=Learning("pending")) for n in (1, 2))
    put(store.root, waits, read_to_end(both, learning_pending=2), both)
    first = learn(waits, 1, "learned")
    put(store.root, first, read_to_end(both, learning_pending=1), both)
    put(store.root, learn(first, 2, "learned"), read_to_end(both), both)
    driven("revert", "--no-edit", "HEAD~1")
    found, state = session_of(store.root)
    assert [one.learning.status for one in found] == ["pending", "learned"]
    assert state == read_to_end(both, learning_pending=1)


def test_two_lines_of_history_that_both_went_on_are_merged(store, driven: Git) -> None:
    both = lines("a", "b")
    waits = (task(1, learning=Learning("pending")), task(2, lines=(), learning=Learning("pending")))
    put(store.root, waits, read_to_end(both, messages=2, learning_pending=2), both)
    driven("checkout", "-qb", "other")
    theirs = (*learn(waits, 1, "learned"), task(3, lines=((3, 3),), description="Theirs."))
    put(store.root, theirs, read_to_end(both + lines("t"), messages=3), both + lines("t"))
    driven("checkout", "-q", "main")
    ours = (*learn(waits, 1, "learned"), task(3, lines=((3, 4),), description="Ours."))
    more = both + lines("o", "p")
    put(store.root, ours, read_to_end(more, messages=4, learning_pending=1), more)
    driven("merge", "-q", "--no-edit", "other")
    found, state = session_of(store.root)
    assert found[:3] == ours
    assert (found[3].description, found[3].lines, found[3].order) == ("Theirs.", ((5, 5),), 4)
    assert found[3].id == ids.task_id("default", "s", 4)
    whole = (store.root / SESSION).read_bytes()
    assert whole == lines("a", "b", "o", "p", "t")
    # Both learned the first: that one still waits is known from the tasks.
    assert state == read_to_end(whole, messages=5, learning_pending=1)


def test_what_cannot_be_merged_stays_as_it_is_and_git_says_so(store, driven: Git) -> None:
    both = lines("a")
    put(store.root, (task(1),), read_to_end(both), both)
    driven("checkout", "-qb", "other")
    put(store.root, (task(1), task(2)), read_to_end(lines("a", "t")), lines("a", "t"))
    driven("checkout", "-q", "main")
    put(
        store.root, (task(1), task(2)), replace(read_to_end(both), messages=7), lines("a", "unread")
    )
    mine = (store.root / PROGRESS).read_bytes()
    (store.root / TASKS).write_bytes(b"no task\n")
    driven("commit", "-qam", "damaged")
    said = driven("merge", "--no-edit", "other", check=False)
    assert f"Merge conflict in {TASKS}" in said
    assert (store.root / TASKS).read_bytes() == b"no task\n"
    assert (store.root / PROGRESS).read_bytes() == mine
    assert driven("diff", "--name-only", "--diff-filter=U").split() == [PROGRESS, TASKS]


def test_the_driver_is_installed_once_and_again_where_it_points_elsewhere(store, git: Git) -> None:
    git_merge.install(store.root)
    assert not git_merge.install(store.root)
    git("config", "merge.acontext-fs.driver", "elsewhere")
    assert git_merge.install(store.root)


def test_a_path_of_no_session_is_not_merged(tmp_path: Path, capsys) -> None:
    names = [tmp_path / name for name in "abc"]
    for name in names:
        name.write_bytes(b"")
    arguments = [*map(str, names), "7", "spaces/default/sessions/s.jsonl"]
    assert git_merge.main(arguments, {}) == 1
    assert "is neither tasks nor progress" in capsys.readouterr().err
