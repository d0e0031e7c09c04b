"""What went wrong in a task, as far as its messages show it.

| looked for, in this order | taken as |
|---|---|
| the last tool result that is marked an error, exited not 0 or reads so | the symptom |
| the agent's last sentence that says it cannot or could not | the symptom, if no tool failed |
| the user's last words, if they complain | the symptom, if there is nothing else |
| "I should have", "my mistake", "I assumed" of the agent | the flawed reasoning |
| "instead", "should have", "must be" of either, after the error | what should have been done |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from acontext_fs.daemon import words
from acontext_fs.formats.human import human_text
from acontext_fs.records import Message, Part, Task

SYMPTOM_LENGTH_MAX = 240
RESULT_LINES_READ_MAX = 400
"""Lines of one tool result that are searched, from its end: errors stand there."""

_EXIT_CODE = re.compile(
    r"(?:exit(?:ed with)?(?: code| status)?|return ?code|exit_code)[\"']?\s*[:=]?\s*(-?\d+)",
    re.IGNORECASE,
)
_ERROR_LINE = re.compile(
    r"^\s*(?:\S+: )?(?:error\b|fatal\b|failed\b|failure\b|exception\b|\w*(?:Error|Exception)\b:"
    r"|traceback|panic:|e\s{3}|npm err|✗)"
    r"|\b(?:no such file|permission denied|not found|command not found|connection refused"
    r"|timed out|unauthorized|forbidden|access denied|segmentation fault|[1-9]\d* failed)\b",
    re.IGNORECASE,
)
_READS_LIKE_ERROR = re.compile(
    r"^\s*(?:\{?\"?error\b|fatal:|traceback \(most recent|exception:|failed:)", re.IGNORECASE
)
_CANNOT = re.compile(
    r"\b(?:cannot|can't|could not|couldn't|unable to|was not able|wasn't able|not possible|failed"
    r"|not (?:allowed|permitted|eligible|available)|against (?:the |our )?policy|gave up"
    r"|does not (?:work|allow)|doesn't (?:work|allow))",
    re.IGNORECASE,
)
_NO_STATEMENT = re.compile(
    r"(?:if|please (?!note)|would|should|could|can|may|let|would|unless|once|in case)\b|.*\?\W*$",
    re.IGNORECASE,
)
_COMPLAINT = re.compile(
    r"\b(?:not|n't|still|wrong|broken?|fail\w*|error|doesn't|didn't|isn't|won't|no longer|nothing"
    r"|never)\b",
    re.IGNORECASE,
)
_FAILED_STEP = re.compile(
    r"\b(?:fail|error|declined|refused|gave up|handed|transferred)", re.IGNORECASE
)
_ADMISSION = re.compile(
    r"\b(?:i should have|my mistake|i (?:wrongly |incorrectly |had )?assumed|i was wrong"
    r"|i misread|i overlooked|i forgot)\b",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    r"\b(?:instead|should have|the right way|correct way|needs? to be|must be|have to|only if)\b",
    re.IGNORECASE,
)
_PREVENTION = (
    (
        r"403|401|forbidden|unauthori[sz]ed|permission denied|access denied|scope",
        "Check first that the account or token has the permission the last step needs.",
    ),
    (
        r"no such file|file not found|does not exist|404|\bnot found|unknown (?:host|command)",
        "Check first that everything the request names exists, under that very name.",
    ),
    (
        r"timed? ?out|deadline|too slow",
        "Measure how long the slow step takes, and compare it with the limit first.",
    ),
    (
        r"connection refused|unreachable|could not resolve|network|\b50[234]\b",
        "Check first that the other side is running and can be reached.",
    ),
    (
        r"\b\d+ failed|assert|test",
        "Run the tests before the change and after each part of it, so that the cause stays small.",
    ),
    (
        r"syntax|parse|unexpected token|indentation|invalid json",
        "Check the syntax of what was written before running it.",
    ),
    (
        r"no space|disk full|out of memory|oom|killed",
        "Check space and memory before the heavy step.",
    ),
    (
        r"policy|not (?:allowed|permitted|possible|eligible)|cannot be|unable to|can't be",
        "Find out before anything else whether the rules allow the request at all.",
    ),
    (
        r"not available|unavailable|out of stock|sold out",
        "Check that what is wanted is still to be had before relying on it.",
    ),
    (
        r"conflict|already exists|duplicate",
        "Look first for what is already there under that name.",
    ),
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the messages show; "" where they show nothing. `symptom` is never empty."""

    symptom: str
    admission: str
    advice: str


def read(task: Task, messages: Sequence[Message]) -> Trouble:
    """What went wrong in a failed task."""
    error_at, error = _last_error(messages)
    symptom = (
        error
        or _agent_sentence(messages, _CANNOT)
        or _failed_step(task)
        or _users_last_words(messages)
        or "Not known: the task was left unfinished and no error is on record."
    )
    return Trouble(
        symptom=words.fold(symptom, SYMPTOM_LENGTH_MAX),
        admission=_agent_sentence(messages, _ADMISSION),
        advice=_advice(messages[error_at + 1 :], symptom),
    )


def is_statement(sentence: str) -> bool:
    """Whether it says how things are: no question, request, offer or condition."""
    return not _NO_STATEMENT.match(sentence)


def prevention(symptom: str) -> str:
    """What would have shown the trouble early, by the kind of symptom."""
    for pattern, sentence in _PREVENTION:
        if re.search(pattern, symptom, re.IGNORECASE):
            return sentence
    return "Not known: watch for the symptom and stop at its first sign."


def _last_error(messages: Sequence[Message]) -> tuple[int, str]:
    """The place and the text of the last tool result that is an error; (-1, "") without one."""
    calls = {
        str(part.meta.get("id")): str(part.meta.get("name") or "")
        for message in messages
        for part in message.parts_of("tool-call")
    }
    for place in range(len(messages) - 1, -1, -1):
        for part in reversed(messages[place].parts_of("tool-result")):
            if _is_error(part):
                call = str(part.meta.get("tool_call_id") or "")
                name = str(part.meta.get("name") or calls.get(call, ""))
                text = _error_line(part.text)
                return place, f"{name}: {text}" if name and name not in text else text
    return -1, ""


def _is_error(part: Part) -> bool:
    if part.meta.get("is_error") is True:
        return True
    codes = _EXIT_CODE.findall(part.text[-2000:])
    if codes:
        return int(codes[-1]) != 0
    return bool(_READS_LIKE_ERROR.match(part.text[:200]))


def _error_line(text: str) -> str:
    """The line that says most about an error: the last that reads like one, else the last."""
    lines = [words.fold(line, SYMPTOM_LENGTH_MAX) for line in text[-40_000:].split("\n")]
    lines = [line for line in lines if line][-RESULT_LINES_READ_MAX:]
    codes = [line for line in lines if _EXIT_CODE.search(line)]
    telling = [line for line in lines if _ERROR_LINE.search(line) and line not in codes]
    plain = [line for line in lines if line not in codes]
    line = next(iter(telling[-1:] or plain[-1:]), "an error without words")
    return f"{line} ({codes[-1]})" if codes and codes[-1] not in line else line


def _agent_sentence(messages: Sequence[Message], pattern: re.Pattern[str]) -> str:
    for message in reversed(messages):
        if message.role == "assistant":
            for sentence in words.sentences(message.text):
                if pattern.search(sentence) and is_statement(sentence):
                    return words.fold(sentence, SYMPTOM_LENGTH_MAX)
    return ""


def _failed_step(task: Task) -> str:
    return next((line for line in reversed(task.progresses) if _FAILED_STEP.search(line)), "")


def _users_last_words(messages: Sequence[Message]) -> str:
    """What the user said last, if it complains; the request itself is no complaint."""
    spoken = [text for text in map(human_text, messages) if text.strip()][1:]
    if spoken and _COMPLAINT.search(spoken[-1]):
        return f'The user said: "{words.fold(spoken[-1], 200)}"'
    return ""


def _advice(after: Sequence[Message], symptom: str) -> str:
    for sentence in _spoken(after):
        if _ADVICE.search(sentence) and is_statement(sentence) and sentence not in symptom:
            return words.fold(sentence, SYMPTOM_LENGTH_MAX)
    return ""


def _spoken(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        text = message.text if message.role == "assistant" else human_text(message)
        yield from words.sentences(text)
