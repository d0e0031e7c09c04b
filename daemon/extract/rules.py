"""Extraction by rules: a plain, deterministic reader of transcripts, without a model.

A fold over messages. Between two batches it knows the tasks and a small `carry` and nothing else,
so cutting the same messages into other batches gives the same tasks.

What it goes by (docs/rules.md says it for users, with what it cannot know):

| seen | done |
|---|---|
| a person's request, no task at hand or the last one answered | a task opens, pending |
| an answer to the agent's question, a detail, a complaint | belongs to the task at hand |
| "also ...", a list of requests | tasks beside it |
| anything else said after the end, once the agent uses a tool | a new task |
| "instead", "actually"; "never mind" | its description changes; it failed |
| the agent acts or replies | running, its steps are progress |
| closing words "has been updated", "I fixed", "all tests pass" | success |
| a plain reply to a question | success |
| "I cannot", "unfortunately", handing over to a person | failed |
| failed tests or a failed build that nothing repaired | closing words count for nothing |
| thanks, or the next request | settled by the last evidence |
"""

from __future__ import annotations

from collections.abc import Iterable

from acontext_fs import tasks as task_rules
from acontext_fs.daemon.extract import moves, preferences, summaries
from acontext_fs.daemon.extract.board import Board, likeness
from acontext_fs.daemon.extract.carry import MAX_CALLS, Pending, Remark, to_carry
from acontext_fs.daemon.extract.signals import Outcome, Words, outcome, shown, spoken
from acontext_fs.daemon.extract.summaries import Step, render
from acontext_fs.daemon.extract.turns import (
    Said,
    understand,
    wants_information,
)
from acontext_fs.daemon.extract.words import MAX_DESCRIPTION, bound, has_values, stems
from acontext_fs.formats.human import human_text, rejection
from acontext_fs.records import (
    PLANNING_ORDER,
    AddPreference,
    Extraction,
    ExtractWork,
    Message,
    Part,
    Task,
)


class RulesExtractor:
    """Reads tasks out of messages by fixed rules. Holds no state: `extract` is a pure function."""

    name = "rules"

    def extract(self, work: ExtractWork) -> Extraction:
        """The tasks after the messages of `work`."""
        fold = _Fold(work)
        for message in work.messages:
            fold.take(message)
        fold.board.flush_links()
        return Extraction(fold.board.tasks, to_carry(fold.memory))


class _Fold:
    """The fold: one message at a time, every change through `tasks.apply`."""

    def __init__(self, work: ExtractWork) -> None:
        self.board = Board(work)
        self.memory = self.board.memory

    def take(self, message: Message) -> None:
        """Fold one message in."""
        if message.original_role:
            return
        self.board.message = message
        if message.role == "assistant":
            self._agent(message)
            return
        results = message.parts_of("tool-result")
        if results:
            self.board.link()
            for result in results:
                self._result(result)
        if text := human_text(message):
            self._person(text)
        elif not results:
            self.board.link()

    # --- what the agent does

    def _agent(self, message: Message) -> None:
        calls = message.parts_of("tool-call")
        if calls:
            self._take_up_remark()
        focus = self.board.focus()
        words = None if calls else spoken(message.text)
        if focus is None or (words is not None and self._is_small_talk(focus, words)):
            self.board.link()
            return
        steps = [summaries.step(_name(call), _arguments(call)) for call in calls]
        hint = " ".join(f"{step.head} {step.item}" for step in steps) or message.text[:300]
        self.board.resume(hint) if focus.is_finished else self.board.nearest(hint)
        self.board.link()
        if words is None:
            self._wait_for(zip(calls, steps, strict=True))
        elif message.text:
            self._flush()
            self._closing(words)

    def _is_small_talk(self, focus: Task, words: Words) -> bool:
        """The agent's part of a farewell, when the work is over."""
        if not focus.is_finished:
            return False
        return self.memory.stance == "idle" or not (words.line or words.asked)

    def _wait_for(self, calls: Iterable[tuple[Part, Step]]) -> None:
        self.memory.stance = "working"
        for call, step in calls:
            own_id = bound(str(call.meta.get("id") or ""), 80)
            self.memory.calls.append(Pending(own_id, bound(_name(call), 80), step))
            if len(self.memory.calls) > MAX_CALLS:
                self._did_unseen(self.memory.calls.pop(0))

    def _flush(self) -> None:
        """Calls whose results never came were made all the same."""
        calls, self.memory.calls = self.memory.calls, []
        for call in calls:
            self._did_unseen(call)

    def _did_unseen(self, call: Pending) -> None:
        self._did(call.step, call.name, Outcome())

    def _closing(self, words: Words) -> None:
        """The agent ends its turn with `words`."""
        memory = self.memory
        if not words.line and not words.asked:
            # Courtesy alone does not take back what the agent asked for before.
            memory.stance = memory.stance if memory.stance == "asked" else "told"
            return
        memory.stance = "asked" if words.asked else "working" if words.working else "told"
        self._report(words)
        if words.done:
            memory.evidence = "done"
            if (not words.asked or words.optional) and memory.severity != "strong":
                self._finish(words.line)
        elif words.refused:
            memory.evidence = "refused"
            if not words.asked:
                self.board.end("failed")
        elif not words.asked and not words.working:
            memory.evidence = "answered"
            focus = self.board.focus()
            if focus and memory.severity != "strong" and wants_information(focus.description):
                self.board.end("success")

    def _report(self, words: Words) -> None:
        """Keep what the agent said about its work; of several such lines in a row the last."""
        if not words.line or not (words.done or words.refused or not words.asked) or words.working:
            return
        label = "Reported" if words.done else "Declined" if words.refused else "Answered"
        line = words.line if label != "Answered" else self._answer(words)
        self.board.progress(f"{label}: {line}", replace=bool(self.memory.spoke))
        self.memory.last = None
        self.memory.spoke = "told" if label == "Answered" else "verdict"

    def _answer(self, words: Words) -> str:
        """Of what the agent told the sentence closest to what was asked, the first of equals."""
        focus = self.board.focus()
        if focus is None or not words.plain:
            return words.line
        return shown(max(words.plain, key=lambda one: likeness(focus, one) + has_values(one)))

    def _finish(self, line: str) -> None:
        """Success, of the task at hand or of those beside it that the words name."""
        members = self.board.open_group()
        everything = stems(line) & {"every", "both", "done"} or line.lower().startswith("all ")
        named = [task for task in members if everything or likeness(task, line) >= 2]
        for task in named:
            self.board.set_status(task, "success")
        if not named:
            self.board.end("success")
        self.memory.group = [task.id for task in self.board.open_group()]

    def _result(self, result: Part) -> None:
        call = self._called(result)
        words = rejection(result)
        if words is not None:
            if call is not None:
                self.board.progress(bound(f"The user rejected: {call.step.head} {call.step.item}"))
            self.memory.last, self.memory.spoke, self.memory.stance = None, "", "asked"
            if words:
                self._person(words)
            return
        step, name = (call.step, call.name) if call else (Step("silent", ""), "")
        ended = outcome(result, runs=step.runs)
        self._weigh(step, name, ended)
        self._did(step, name, ended)

    def _called(self, result: Part) -> Pending | None:
        """The call that `result` answers: by id, else the first of that name."""
        own_id, name = result.meta.get("tool_call_id"), result.meta.get("name")
        wanted = bound(own_id, 80) if isinstance(own_id, str) and own_id else ""
        named = bound(name, 80) if isinstance(name, str) else ""
        for index, call in enumerate(self.memory.calls):
            if call.id == wanted if wanted and call.id else call.name == named:
                return self.memory.calls.pop(index)
        return None

    def _weigh(self, step: Step, name: str, ended: Outcome) -> None:
        """Remember an error until something shows that it is mended."""
        memory = self.memory
        if ended.severity == "strong" or (ended.severity == "weak" and memory.severity != "strong"):
            memory.error = step.item if ended.severity == "strong" else name
            memory.severity = ended.severity
        elif not ended.severity and memory.severity == "strong":
            if step.runs and (step.item == memory.error or "passed" in ended.note):
                memory.error = memory.severity = ""
        elif not ended.severity and memory.error == name:
            memory.error = memory.severity = ""

    def _did(self, step: Step, name: str, ended: Outcome) -> None:
        """Note a step; a line like the one before it is merged into that."""
        if step.kind == "silent":
            return
        new = summaries.tally(step, name, ended.note, failed=bool(ended.severity))
        memory = self.memory
        focus = self.board.focus()
        both = memory.last and summaries.merged(memory.last, new, step.kind)
        if both and memory.last and focus and focus.progresses[-1:] == (render(memory.last),):
            self.board.progress(render(both), replace=True)
            memory.last = both
        else:
            # A statement in front of a step announced it and was no answer.
            self.board.progress(render(new), replace=memory.spoke == "told")
            memory.last = new
        memory.spoke = ""
        if step.kind == "handover" and not ended.severity:
            self.board.end("failed")
            memory.stance = "idle"

    # --- what the person says

    def _person(self, text: str) -> None:
        said = understand(text)
        self._flush()
        self._drop_remark()
        focus = self.board.focus()
        memory = self.memory
        memory.spoke = ""
        status = focus.status if focus else None
        move = moves.decide(said, status, memory.stance, memory.evidence)
        self._do(move, said)
        self._prefer(text)

    def _do(self, move: moves.Move, said: Said) -> None:
        match move:
            case "open":
                self._leave()
                self._open_tasks(said.listed or (said.description,))
                self.board.link()
            case "withdraw":
                self._withdraw(said)
            case "aside":
                self._aside(said)
            case "thank":
                self.board.link()
                self._settle(moves.verdict_on_thanks)
            case _:
                self._go_on(move, said)
        if move != "aside" and not (said.postpones and self.memory.stance == "asked"):
            self.memory.stance = ""

    def _aside(self, said: Said) -> None:
        """No request by its words; if the agent goes to work on it, it was one all the same."""
        if said.is_courtesy or said.agrees or said.muses:
            self.board.link(aside=True)
        else:
            text = bound(said.description, MAX_DESCRIPTION)
            self.memory.remark = Remark(self.board.message.line, text)
        self.memory.stance = "idle"

    def _take_up_remark(self) -> None:
        remark, self.memory.remark = self.memory.remark, None
        if remark is not None:
            self._open_tasks((remark.text,))
            self.board.link_earlier(remark.line, aside=False)

    def _drop_remark(self) -> None:
        remark, self.memory.remark = self.memory.remark, None
        if remark is not None:
            self.board.link_earlier(remark.line, aside=True)

    def _open_tasks(self, descriptions: Iterable[str]) -> None:
        """Open tasks; the first becomes the one at hand, all of them stand beside each other."""
        before = {task.id for task in self.board.tasks}
        for description in descriptions:
            self.board.open(description)
        opened = [
            task for task in self.board.tasks if task.id not in before and not task.is_planning
        ]
        self.memory.group = [task.id for task in opened] if len(opened) > 1 else []
        self.board.turn_to(opened[0])

    def _leave(self) -> None:
        """The user turns to something else: judge the task at hand by what there is."""
        focus = self.board.focus()
        if focus is not None and not focus.is_finished:
            self._settle(moves.verdict_on_leaving)

    def _settle(self, verdict: moves.Verdict) -> None:
        status = verdict(self.memory.evidence, self.memory.severity)
        if status is not None:
            self.board.end(status)

    def _withdraw(self, said: Said) -> None:
        self.board.link()
        self.board.note(f"User: {said.description or 'withdrew the request'}")
        self.board.end("failed")
        if said.replacement:
            self._open_tasks((said.replacement,))
            self.board.link()

    def _go_on(self, move: moves.Move, said: Said) -> None:
        """It belongs to the task at hand, and may say more about it or add another."""
        steered = self.memory.stance == "working" or said.complains
        self.board.resume(said.description)
        self.board.link()
        focus = self.board.focus()
        extra = said.extra if move == "open-extra" else ()
        if move == "redirect":
            self.board.forget_evidence()
            self.board.describe(" ".join(said.changed), changed=True)
        elif move in ("refine", "open-extra"):
            self.board.describe(" ".join(_wishes(said, extra)))
        facts = [one for one in said.facts if one not in extra]
        if facts or steered:
            self.board.note(f"User: {' '.join(facts) or said.description}")
        if said.wants_person and self.memory.evidence == "refused":
            self.board.end("failed")
        if extra and focus is not None:
            self.board.open_beside(focus, " ".join(extra))

    def _prefer(self, text: str) -> None:
        focus = self.board.focus()
        planning = task_rules.find(self.board.tasks, PLANNING_ORDER)
        known = planning.preferences if planning else ()
        for preference in preferences.stated(text):
            if not preferences.is_known(preference, known):
                order = focus.order if focus else None
                self.board.change(AddPreference(preference, self.board.message.created_at, order))


def _wishes(said: Said, extra: tuple[str, ...]) -> list[str]:
    """What the user says to want, without what they ask and what becomes a task of its own."""
    return [one for one in said.requests if one not in extra and not one.endswith("?")]


def _name(call: Part) -> str:
    return str(call.meta.get("name") or "")


def _arguments(call: Part) -> str:
    given = call.meta.get("arguments")
    return given if isinstance(given, str) else ""
