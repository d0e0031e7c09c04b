"""What the agent did: its calls, their results and its closing words, carried to the board."""

from __future__ import annotations

from collections.abc import Iterable

from acontext_fs.daemon.extract import output, summaries, todos, tools
from acontext_fs.daemon.extract.board import Board, likeness
from acontext_fs.daemon.extract.carry import MAX_CALLS, Closing, Pending
from acontext_fs.daemon.extract.signals import (
    INTERRUPTED,
    Outcome,
    Words,
    has_ended,
    in_background,
    outcome,
    shown,
    spoken,
)
from acontext_fs.daemon.extract.summaries import Step, Tally, render
from acontext_fs.daemon.extract.tools import Call
from acontext_fs.daemon.extract.turns import wants_information
from acontext_fs.daemon.extract.words import bound, has_values, stems
from acontext_fs.formats.human import rejection
from acontext_fs.records import Message, Part

LOOKS_MAX = 12
"""Lines of progress of a task after which looking at files makes no further line."""

_BACKGROUND = "background "


class Actor:
    """Folds in what the agent says and does."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._memory = board.memory

    def act(self, message: Message) -> None:
        """Fold in a message of the agent."""
        calls = message.parts_of("tool-call")
        focus = self._board.focus()
        words = None if calls else spoken(message.text)
        if focus is None or (words is not None and self._is_small_talk(words)):
            self._board.link()
            return
        made = [tools.read(_name(call), _arguments(call)) for call in calls]
        hint = " ".join(f"{one.step.head} {one.step.item}" for one in made) or message.text[:300]
        if calls:
            self._take_back(message)
        focus = self._board.focus()
        if focus is not None and focus.is_finished:
            self._board.resume(hint)
        else:
            self._board.nearest(hint)
        self._board.link()
        if words is None:
            self._wait_for(zip(calls, made, strict=True))
        elif message.text:
            self.flush()
            self._close(words, message)

    def _is_small_talk(self, words: Words) -> bool:
        """The agent's part of a farewell, when the work is over."""
        focus = self._board.focus()
        if focus is None or not focus.is_finished:
            return False
        return self._memory.stance == "idle" or not (words.line or words.asked)

    def _take_back(self, message: Message) -> None:
        """The words before were not the end of the turn: the agent goes on."""
        closing, self._memory.closing = self._memory.closing, None
        focus = self._board.focus()
        if closing is None or focus is None:
            return
        self._memory.evidence = closing.evidence
        if focus.is_finished:
            self._board.set_status(focus, "running")
        if closing.id == _id(message) and self._memory.spoke:
            # Words in front of the calls of one message announce these.
            self._memory.spoke = "told"

    # --- calls

    def _wait_for(self, calls: Iterable[tuple[Part, Call]]) -> None:
        self._memory.stance = "working"
        for call, made in calls:
            if made.written is not None:
                self._list(todos.update(self._memory.todos, made.written))
            own_id = bound(str(call.meta.get("id") or ""), 80)
            self._wait(Pending(own_id, bound(_name(call), 80), made.step))

    def _wait(self, call: Pending) -> None:
        self._memory.calls.append(call)
        if len(self._memory.calls) > MAX_CALLS:
            self._did_unseen(self._memory.calls.pop(0))

    def interrupt(self) -> None:
        """The user stopped the agent: what has no result yet was not done to its end."""
        calls, self._memory.calls = self._memory.calls, []
        for call in calls:
            self._did(call.step, call.name, Outcome("", INTERRUPTED), "")

    def flush(self) -> None:
        """Calls whose results never came were made all the same."""
        calls, self._memory.calls = self._memory.calls, []
        for call in calls:
            self._did_unseen(call)

    def _did_unseen(self, call: Pending) -> None:
        self._did(call.step, call.name, Outcome(), "")

    def _list(self, after: todos.Progressed) -> None:
        """The agent wrote down or crossed out steps of its own."""
        before, self._memory.todos = self._memory.todos, after.todos
        if len(after.new) > 1 and all(todo.done for todo in before):
            more = len(after.new) - 4
            listed = "; ".join(after.new[:4]) + (f" and {more} more" if more > 0 else "")
            self._line(f"Planned {len(after.new)} steps: {listed}")
        elif after.new:
            self._note(Tally("Planned", after.new[:1], len(after.new) - 1, len(after.new)), "list")
        for text in after.done:
            self._note(Tally("Done:", (text,)), "list")
        if after.done and after.is_complete:
            self._memory.work = "proved"

    def _line(self, text: str) -> None:
        self._board.progress(bound(text, 240), replace=self._memory.spoke == "told")
        self._memory.last, self._memory.spoke = None, ""

    # --- results

    def see(self, result: Part) -> str | None:
        """Fold in the result of a call; the user's words if they rejected it, else None."""
        call = self._called(result)
        words = "" if result.meta.get("rejected") is True else rejection(result)
        if words is not None:
            if call is not None:
                step = call.step
                what = f"{step.head} {step.item}".strip() or call.name
                self._line(bound(f"The user rejected: {what}"))
            self._memory.last, self._memory.spoke, self._memory.stance = None, "", "asked"
            return words
        step, name = (call.step, call.name) if call else (Step("silent", ""), "")
        if step.purpose == "poll":
            step, name = self._polled(step, result.text)
        elif step.purpose and (running := in_background(result.text)):
            self._wait(Pending(_BACKGROUND + running, name, step))
            return None
        elif step.purpose == "todo":
            self._list(todos.create(self._memory.todos, step.item, result.text))
        ended = outcome(result, step.purpose)
        self._weigh(step, name, ended)
        self._did(step, name, ended, result.text)
        return None

    def _called(self, result: Part) -> Pending | None:
        """The call that `result` answers: by id, else the first of that name."""
        own_id, name = result.meta.get("tool_call_id"), result.meta.get("name")
        wanted = bound(own_id, 80) if isinstance(own_id, str) and own_id else ""
        named = bound(name, 80) if isinstance(name, str) else ""
        for index, call in enumerate(self._memory.calls):
            if call.id == wanted if wanted and call.id else call.name == named:
                return self._memory.calls.pop(index)
        return None

    def _polled(self, step: Step, text: str) -> tuple[Step, str]:
        """The step that was asked for, if it has ended; else nothing happened."""
        if has_ended(text):
            for index, call in enumerate(self._memory.calls):
                if call.id == _BACKGROUND + step.item:
                    found = self._memory.calls.pop(index)
                    return found.step, found.name
        return Step("silent", ""), ""

    def _weigh(self, step: Step, name: str, ended: Outcome) -> None:
        """Remember an error until something shows that it is mended, and what was achieved."""
        memory = self._memory
        same = step.purpose if step.purpose in ("test", "build") else step.item
        if ended.severity == "strong" or (ended.severity == "weak" and memory.severity != "strong"):
            memory.error = same if ended.severity == "strong" else name
            memory.severity = ended.severity
        elif not ended.severity and memory.severity == "strong":
            if step.purpose and (same == memory.error or "passed" in ended.note):
                memory.error = memory.severity = ""
        elif not ended.severity and memory.error == name:
            memory.error = memory.severity = ""
        if ended.severity and step.purpose and memory.work == "proved":
            memory.work = "changed"
        elif not ended.severity:
            self._achieve(step, ended)

    def _achieve(self, step: Step, ended: Outcome) -> None:
        memory = self._memory
        if ended.note == INTERRUPTED:
            return
        passed = memory.work == "changed" and step.purpose == "test" and "passed" in ended.note
        if passed or step.purpose in ("commit", "propose"):
            memory.work = "proved"
        elif step.purpose == "edit" and not memory.work:
            memory.work = "changed"

    def _did(self, step: Step, name: str, ended: Outcome, text: str) -> None:
        """Note a step; a line like the one before it is merged into that."""
        if step.kind == "silent":
            return
        if not ended.severity and text:
            step = _with_result(step, text)
        note = "approved" if step.head == _PLAN and "approved" in text[:200] else ended.note
        new = summaries.tally(step, name, note, failed=bool(ended.severity))
        self._note(new, step.kind, is_look=step.is_look)
        if step.kind == "handover" and not ended.severity:
            self._board.end("failed")
            self._memory.stance = "idle"

    def _note(self, new: Tally, kind: summaries.Kind, *, is_look: bool = False) -> None:
        memory = self._memory
        focus = self._board.focus()
        lines = focus.progresses if focus else ()
        both = memory.last and summaries.merged(memory.last, new, kind)
        if both and memory.last and lines[-1:] == (render(memory.last),):
            self._board.progress(render(both), replace=True)
            memory.last = both
        elif is_look and len(lines) >= LOOKS_MAX:
            return
        else:
            # A statement in front of a step announced it and was no answer.
            self._board.progress(render(new), replace=memory.spoke == "told")
            memory.last = new
        memory.spoke = ""

    # --- words

    def _close(self, words: Words, message: Message) -> None:
        """The agent ends its turn with `words`, as far as can be seen."""
        memory = self._memory
        if not words.line and not words.asked:
            # Courtesy alone does not take back what the agent asked for before.
            memory.stance = memory.stance if memory.stance == "asked" else "told"
            return
        memory.closing = Closing(_id(message), memory.evidence)
        working = words.working or message.meta.get("phase") == "commentary"
        memory.stance = "asked" if words.asked else "working" if working else "told"
        # What somebody says who has changed files is no refusal, whatever cannot be done besides.
        refused = words.refused and not memory.work
        told = not (words.asked or working or refused)
        done = words.done or (told and self._is_proved(words))
        self._report(words, done=words.done, refused=refused, working=working)
        if done:
            memory.evidence = "done"
            if (not words.asked or words.optional) and memory.severity != "strong":
                self._finish(words.line)
        elif refused:
            memory.evidence = "refused"
            if not words.asked:
                self._board.end("failed")
        elif told:
            self._answered()

    def _is_proved(self, words: Words) -> bool:
        """Does what was done show that it is finished, where the words do not?"""
        reported = words.foreign or words.deed
        return self._memory.work == "proved" or (reported and self._memory.work == "changed")

    def _answered(self) -> None:
        memory = self._memory
        memory.evidence = "answered"
        focus = self._board.focus()
        if focus and memory.severity != "strong" and wants_information(focus.description):
            self._board.end("success")

    def _report(self, words: Words, *, done: bool, refused: bool, working: bool) -> None:
        """Keep what the agent said about its work; of several such lines in a row the last."""
        if not words.line or not (done or refused or not words.asked) or working:
            return
        told = not (done or refused)
        label = (
            "Declined" if refused else "Answered" if told and not self._memory.work else "Reported"
        )
        line = self._answer(words) if label == "Answered" else words.line
        self._board.progress(f"{label}: {line}", replace=bool(self._memory.spoke))
        self._memory.last = None
        self._memory.spoke = "told" if told else "verdict"

    def _answer(self, words: Words) -> str:
        """Of what the agent told the sentence closest to what was asked, the first of equals."""
        focus = self._board.focus()
        if focus is None or not words.plain:
            return words.line
        return shown(max(words.plain, key=lambda one: likeness(focus, one) + has_values(one)))

    def _finish(self, line: str) -> None:
        """Success, of the task at hand or of those beside it that the words name."""
        members = self._board.open_group()
        everything = stems(line) & {"every", "both", "done"} or line.lower().startswith("all ")
        named = [task for task in members if everything or likeness(task, line) >= 2]
        for task in named:
            self._board.set_status(task, "success")
        if not named:
            self._board.end("success")
        self._memory.group = [task.id for task in self._board.open_group()]


_PLAN = "Presented a plan"


def _with_result(step: Step, text: str) -> Step:
    """The step in the words of its result: the commit that was made, the address of the request."""
    match step.purpose:
        case "propose" if address := output.proposed(text):
            return Step("each", "Opened pull request", address, step.purpose)
        case "commit" if made := output.committed(text, step.item):
            return Step("each", "Committed", bound(made, 120), step.purpose)
        case "push" if branch := output.pushed(text):
            return Step("each", "Pushed", branch, step.purpose)
    return step


def _id(message: Message) -> str:
    return bound(message.id, 80)


def _name(call: Part) -> str:
    return str(call.meta.get("name") or "")


def _arguments(call: Part) -> str:
    given = call.meta.get("arguments")
    return given if isinstance(given, str) else ""
