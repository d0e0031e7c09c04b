"""How every session stands: what is pending, running, done, failed, disabled, held or behind what
another machine read of it, and why.

Most of it is in the files and needs no daemon; what only the daemon knows (what runs, what it is
waiting for) it writes to `.acontext/state.json`, which is believed while the daemon lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import orjson

from acontext_fs import budgets, files, layout, sessions, skills
from acontext_fs.budgets import Level
from acontext_fs.elsewhere import Elsewhere, Missing
from acontext_fs.errors import AcontextError, SessionError, SkillInvalid
from acontext_fs.layout import SessionPlace
from acontext_fs.owning import owner
from acontext_fs.progress import Progress
from acontext_fs.records import LearningStatus, Task
from acontext_fs.store import Session, Store
from acontext_fs.tasks import format_lines, named_lines

State: TypeAlias = Literal[
    "pending", "running", "retry", "done", "failed", "disabled", "held", "behind"
]
COUNTED_BYTES_MAX = 64 * 1024 * 1024
"""How much of a session is read to count its pending lines; behind that they are estimated."""

_ADVICE = (
    "`git show HEAD:{path}` prints what git has of it: put that back in front, or move new lines "
    "to a file of their own"
)


@dataclass(frozen=True, slots=True)
class Unlearned:
    """A task whose learning waits for a person: it was given up, or taken back (`status` says)."""

    order: int
    status: LearningStatus
    reason: str


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """One session. `reason` says why it is held, was given up or is tried again; `advice` what a
    person can do; `learning` what became of each finished task, with the reasons; `unlearned` the
    tasks of which only a person can say whether they are learned from after all.
    """

    place: SessionPlace
    state: State
    lines: int
    pending_lines: int
    partial_bytes: int
    unreadable: int
    problems: tuple[tuple[int, str], ...]
    reason: str
    advice: str
    tasks: Mapping[str, int]
    learning: tuple[str, ...]
    unlearned: tuple[Unlearned, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The whole store. `daemon` says who owns it ("" nobody), `waiting` what all waits for,
    `not_captured` which files of attached agents are not taken in, with the reason, and `budgets`
    how much is used of what has a maximum (of a store that no daemon owns, only tokens); `skills`
    which break a rule of their format, and are left alone; `notices` what programs write into
    files that were replaced, `rescued` the refs of lines that are on no branch, and `proposals`
    the learned changes that wait to be decided about, by id.
    """

    daemon: str
    waiting: str
    not_captured: tuple[str, ...]
    misplaced: tuple[str, ...]
    sessions: tuple[SessionStatus, ...]
    budgets: tuple[Level, ...] = ()
    skills: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    rescued: tuple[str, ...] = ()
    proposals: Mapping[str, str] = field(default_factory=dict)


def of_store(
    store: Store, chosen: list[Session] | None = None, tokens_per_day: int | None = None
) -> StoreStatus:
    """The status of the store, with that of all sessions or of the chosen ones. `tokens_per_day`
    is what may be spent on models; None where nothing is.
    """
    who = owner(store.layout)
    state = _daemon_state(store)
    told: Mapping[str, Mapping[str, Any]] = state.get("sessions", {})
    places = {s.place for s in chosen} if chosen is not None else _places(store)
    elsewhere = Elsewhere(store.root, store.commit)
    return StoreStatus(
        daemon=who,
        waiting=str(state.get("waiting", "")) if who else "",
        not_captured=_not_captured(state) if who else (),
        misplaced=tuple(sessions.misplaced(store.layout)),
        sessions=tuple(
            _of_session(store, place, told.get(place.session_path, {}), elsewhere, alive=bool(who))
            for place in sorted(places)
        ),
        budgets=levels(store, state if who else {}, tokens_per_day),
        skills=_invalid_skills(store),
        notices=tuple(map(str, state.get("notices", ()))) if who else (),
        proposals=_proposals(store),
        rescued=_rescued(store),
    )


def _proposals(store: Store) -> dict[str, str]:
    from acontext_fs.proposals import Proposals

    return {one.id: one.commit.subject for one in Proposals(store.root, store.clock).all()}


def _rescued(store: Store) -> tuple[str, ...]:
    from acontext_fs import rescued

    return tuple(rescued.refs(store.root))


def _invalid_skills(store: Store) -> tuple[str, ...]:
    found = []
    for space in store.source.space_names():
        try:
            problems = skills.problems(store.space(space).skill_files())
        except SkillInvalid as error:
            problems = (str(error),)
        found += [f"{space}: {problem}" for problem in problems]
    return tuple(found)


def levels(store: Store, state: Mapping[str, Any], tokens_per_day: int | None) -> tuple[Level, ...]:
    """How much is used of what has a maximum, as a daemon's `state` tells, and of tokens."""
    told = budgets.decode(state.get("budgets"))
    if tokens_per_day is None:
        return told
    found = budgets.spent(store.layout.local / "usage.json").on(store.clock.now())
    return (budgets.tokens(found, tokens_per_day), *told)


def _not_captured(state: Mapping[str, Any]) -> tuple[str, ...]:
    found = state.get("capture")
    troubles = found.get("trouble") if isinstance(found, dict) else None
    return tuple(
        f"{one.get('path')}: {one.get('reason')}"
        for one in (troubles if isinstance(troubles, list) else ())
        if isinstance(one, dict)
    )


def _places(store: Store) -> set[SessionPlace]:
    """Every session there is a file of, and those of which only the progress is left."""
    found = set(sessions.places(store.source))
    for space in store.layout.space_names():
        for inside, _ in layout.walk_files(store.layout.space(space) / "progress", ".json"):
            place = layout.place_of(f"{layout.SPACES_FOLDER}/{space}/progress/{inside}")
            if place is None or place in found:
                continue
            if store.layout.path(place.session_path).exists() or _is_in_head(store, place):
                found.add(place)
    return found


def _is_in_head(store: Store, place: SessionPlace) -> bool:
    """Whether git has a session whose file is gone; if not, its removal was committed."""
    from acontext_fs.history import History

    return History(store.root).read(place.session_path) is not None


def _daemon_state(store: Store) -> dict[str, Any]:
    data = files.read_bytes(store.layout.local / "state.json")
    try:
        value = orjson.loads(data or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _of_session(
    store: Store,
    place: SessionPlace,
    told: Mapping[str, Any],
    elsewhere: Elsewhere,
    *,
    alive: bool,
) -> SessionStatus:
    session = Session(store, place)
    try:
        progress = session.progress()
        tasks = session.all_tasks()
        pending, partial, gone = _behind(store, place, progress)
        data = store.source.read(place.session_path) if gone else None
        missing = elsewhere.missing(place, progress, data) if data is not None else None
    except AcontextError as error:
        return _held(place, str(error))
    if not alive:
        told = _remembered(told, pending or progress.learning_pending)
    state, reason, advice = _state(place, progress, pending, missing or gone, told)
    counts: dict[str, int] = {}
    for task in tasks:
        if not task.is_planning:
            counts[task.status] = counts.get(task.status, 0) + 1
    return SessionStatus(
        place=place,
        state=state,
        lines=progress.cursor.line + pending,
        pending_lines=pending,
        partial_bytes=partial,
        unreadable=progress.unreadable,
        problems=progress.problems,
        reason=reason,
        advice=advice,
        tasks=counts,
        learning=_learning(tasks, progress) + _switched_off(session, progress),
        unlearned=tuple(
            Unlearned(task.order, task.learning.status, task.learning.reason)
            for task in tasks
            if task.learning is not None and task.learning.status in ("failed", "rejected")
        ),
    )


def _held(place: SessionPlace, reason: str) -> SessionStatus:
    return SessionStatus(place, "held", 0, 0, 0, 0, (), reason, "", {}, ())


def _behind(store: Store, place: SessionPlace, progress: Progress) -> tuple[int, int, str]:
    """Complete lines and bytes of half a line behind what was read; and what is wrong, or ""."""
    path = store.layout.path(place.session_path)
    if store.commit:
        whole = sessions.data_of(store.source, place)
        behind = whole[progress.cursor.offset :]
        lacks = whole.count(b"\n") < progress.cursor.line
        gone = f"{place.session_path} is shorter than what was read of it" if lacks else ""
        return behind.count(b"\n"), len(behind) - behind.rfind(b"\n") - 1, gone
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            if size < max(progress.cursor.offset, progress.archived_bytes):
                if not sessions.is_shorter(path, progress):
                    return 0, 0, ""
                return 0, 0, f"{place.session_path} is shorter than what was read of it"
            file.seek(progress.cursor.offset)
            data = file.read(COUNTED_BYTES_MAX)
    except FileNotFoundError:
        renamed = "if it was renamed, `acontext-fs flush` goes on with it"
        return 0, 0, f"{place.session_path} is gone; {renamed}"
    except OSError as error:
        raise SessionError(f"cannot read {path}: {files.reason(error)}") from error
    lines = data.count(b"\n")
    left = size - progress.cursor.offset - len(data)
    if left:
        return lines + lines * left // len(data), 0, ""
    return lines, len(data) - data.rfind(b"\n") - 1, ""


def _remembered(told: Mapping[str, Any], waits: int) -> Mapping[str, Any]:
    """What the last daemon or flush said of a session, if it still has something to wait for."""
    if not waits or told.get("state") not in ("held", "retry"):
        return {}
    return {**told, "reason": f"{told.get('reason', '')} (when it was last tried)"}


def _state(
    place: SessionPlace,
    progress: Progress,
    pending: int,
    gone: str | Missing,
    told: Mapping[str, Any],
) -> tuple[State, str, str]:
    if told.get("state") in ("held", "running", "retry", "behind"):
        return told["state"], str(told.get("reason", "")), ""
    if isinstance(gone, Missing):
        return "behind" if gone.comes else "held", gone.text, ""
    if gone:
        return "held", gone, _ADVICE.format(path=place.session_path)
    if pending:
        return "pending", "", ""
    if progress.failures:
        last = progress.failures[-1]
        reason = f"{named_lines(format_lines([last.lines]))}: {last.reason}"
        return "failed", reason, f"try again with `acontext-fs flush --failed {place}`"
    if not progress.is_tracked:
        return "disabled", "the session asks for no task tracking", ""
    return "done", "", ""


def _switched_off(session: Session, progress: Progress) -> tuple[str, ...]:
    if not progress.learning_pending:
        return ()
    try:
        learns = session.store.space(session.place.space).settings().learn
    except AcontextError as error:
        return (str(error),)
    return () if learns else ("learning is off for this space (learn = false in its space.toml)",)


def _learning(tasks: tuple[Task, ...], progress: Progress) -> tuple[str, ...]:
    """What became of each finished task, a sentence each; and of the preferences."""
    said = []
    for task in tasks:
        if task.learning is not None:
            reason = f": {task.learning.reason}" if task.learning.reason else ""
            said.append(f"task {task.order} {task.learning.status}{reason}")
        elif not task.is_planning:
            said.append(f"task {task.order} is {task.status}: only finished tasks are learned from")
    if progress.preferences_note:
        said.append(f"preferences {progress.preferences_note}")
    return tuple(said)
