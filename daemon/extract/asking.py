"""What a person said: which tasks it opens, changes or settles, carried to the board."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from acontext_fs import tasks as task_rules
from acontext_fs.daemon.extract import moves, preferences
from acontext_fs.daemon.extract.board import Board
from acontext_fs.daemon.extract.carry import Remark
from acontext_fs.daemon.extract.turns import Said, is_housekeeping, understand
from acontext_fs.daemon.extract.words import MAX_DESCRIPTION, bound
from acontext_fs.records import PLANNING_ORDER, AddPreference, Message

PLAN_MAX = 300
"""Characters of a plan that describe the task of carrying it out."""

SHORT = 12
"""Characters of what people do say twice ("yes", "continue") and mean it."""

_PLAN = re.compile(r"Implement the following plan:")


class Asker:
    """Folds in what people say."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._memory = board.memory

    def say(self, text: str, channel: str = "") -> None:
        """Fold in what a person typed; `channel` is the way it came in, "" for the prompt."""
        memory = self._memory
        memory.closing, memory.spoke = None, ""
        if self._is_repeated(text):
            self._board.link()
            return
        self._drop_remark()
        is_command = channel == "command" and text.startswith(("/", "$"))
        if _is_no_prompt(text, channel, is_command):
            self._board.link()
            self._prefer(text)
            return
        said = understand(text, commanded=is_command)
        focus = self._board.focus()
        status = focus.status if focus else None
        is_steering = channel in ("queue", "rejection", "answer")
        if is_steering and focus is not None and not focus.is_finished:
            memory.stance = "asked" if channel == "answer" else "working"
        move = moves.decide(said, status, memory.stance, memory.evidence)
        details = channel in ("answer", "rejection") or said.foreign
        if details and move in ("refine", "open-extra"):
            move = "continue"
        if said.moves_on and move == "continue" and not is_steering:
            move = "open"
        self._do(move, said, told=is_steering)
        self._prefer(text)

    def hear(self, message: Message) -> None:
        """Fold in what nobody typed. A plan that the user accepted in an earlier conversation is
        the request of this one, if the agent goes to work on it."""
        plan = _PLAN.match(message.text)
        if plan is None or self._board.focus() is not None:
            self._board.link()
            return
        self._drop_remark()
        text = plan.group() + " " + bound(message.text[plan.end() :].lstrip("# \n"), PLAN_MAX)
        self._memory.remark = Remark(self._board.message.line, text)

    def _is_repeated(self, text: str) -> bool:
        """Is it the same again, and the agent did nothing in between? Programs send a prompt once
        more when a model failed."""
        memory = self._memory
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()
        repeated = digest == memory.typed and memory.stance in ("", "idle")
        memory.typed = digest
        return repeated and len(text) > SHORT

    def _do(self, move: moves.Move, said: Said, *, told: bool) -> None:
        match move:
            case "open":
                self._leave()
                self._open_tasks(said.listed or (said.description,))
                self._board.link()
            case "withdraw":
                self._withdraw(said)
            case "aside":
                self._aside(said)
            case "thank":
                self._board.link()
                self._settle(moves.verdict_on_thanks)
            case _:
                self._go_on(move, said, told=told)
        if move != "aside" and not (said.postpones and self._memory.stance == "asked"):
            self._memory.stance = ""

    def _aside(self, said: Said) -> None:
        """No request by its words; if the agent goes to work on it, it was one all the same."""
        if said.is_courtesy or said.agrees or said.muses:
            self._board.link(aside=True)
        else:
            text = bound(said.description, MAX_DESCRIPTION)
            self._memory.remark = Remark(self._board.message.line, text)
        self._memory.stance = "idle"

    def take_up_remark(self) -> None:
        remark, self._memory.remark = self._memory.remark, None
        if remark is not None:
            self._open_tasks((remark.text,))
            self._board.link_earlier(remark.line, aside=False)

    def _drop_remark(self) -> None:
        remark, self._memory.remark = self._memory.remark, None
        if remark is not None:
            self._board.link_earlier(remark.line, aside=True)

    def _open_tasks(self, descriptions: Iterable[str]) -> None:
        """Open tasks; the first becomes the one at hand, all of them stand beside each other."""
        before = {task.id for task in self._board.tasks}
        for description in descriptions:
            self._board.open(description)
        opened = [
            task for task in self._board.tasks if task.id not in before and not task.is_planning
        ]
        self._memory.group = [task.id for task in opened] if len(opened) > 1 else []
        self._board.turn_to(opened[0])

    def _leave(self) -> None:
        """The user turns to something else: judge the task at hand by what there is."""
        focus = self._board.focus()
        if focus is not None and not focus.is_finished:
            self._settle(moves.verdict_on_leaving)

    def _settle(self, verdict: moves.Verdict) -> None:
        memory = self._memory
        evidence = memory.evidence or ("done" if memory.work == "proved" else "")
        status = verdict(evidence, memory.severity)
        if status is not None:
            self._board.end(status)

    def _withdraw(self, said: Said) -> None:
        self._board.link()
        self._board.note(said.description or "withdrew the request")
        self._board.end("failed")
        if said.replacement:
            self._open_tasks((said.replacement,))
            self._board.link()

    def _go_on(self, move: moves.Move, said: Said, *, told: bool) -> None:
        """It belongs to the task at hand, and may say more about it or add another."""
        steered = told or self._memory.stance == "working" or said.complains
        self._board.resume(said.description)
        self._board.link()
        focus = self._board.focus()
        extra = said.extra if move == "open-extra" else ()
        if move == "redirect":
            self._board.forget_evidence()
            self._board.describe(" ".join(said.changed), changed=True)
        elif move in ("refine", "open-extra"):
            self._board.describe(" ".join(_wishes(said, extra)))
        facts = [one for one in said.facts if one not in extra]
        if facts or steered:
            self._board.note(" ".join(facts) or said.description)
        if said.wants_person and self._memory.evidence == "refused":
            self._board.end("failed")
        if extra and focus is not None:
            self._board.open_beside(focus, " ".join(extra))

    def _prefer(self, text: str) -> None:
        focus = self._board.focus()
        planning = task_rules.find(self._board.tasks, PLANNING_ORDER)
        known = planning.preferences if planning else ()
        for preference in preferences.stated(text):
            if not preferences.is_known(preference, known):
                order = focus.order if focus else None
                self._board.change(AddPreference(preference, self._board.message.created_at, order))


def _is_no_prompt(text: str, channel: str, is_command: bool) -> bool:
    """Does it ask the agent for nothing: a command to its program, to the shell, a note to keep?"""
    if channel == "shell" or (channel == "command" and not is_command):
        return True
    return channel in ("", "command") and is_housekeeping(text)


def _wishes(said: Said, extra: tuple[str, ...]) -> list[str]:
    """What the user says to want, without what they ask and what becomes a task of its own."""
    return [one for one in said.requests if one not in extra and not one.endswith("?")]
