"""Made-up sessions that look like real ones: an agent at work, in the OpenAI format.

Deterministic. A line is 1.5 KB on average. What disk figures depend on is how well it compresses:
zlib makes it 5.6 times smaller, the median of real transcripts of coding agents of 200 KB and more
(4.5 to 6.5), because an agent sees the same files and logs again and again.
"""

from __future__ import annotations

import random

import orjson

_SYLLABLES = "ta re mi con fer lo sa ver dis pu na qui os ter be ga lin der mor wa ze ki".split()
_LEVELS = ("INFO", "INFO", "INFO", "WARN", "ERROR", "DEBUG")
_COMMANDS = ("kubectl logs", "grep -rn", "cat", "pytest -q", "curl -s", "git diff", "psql -c")
_ASKS = ("Find out why", "Please fix", "Add a test for", "Check whether", "Explain how", "Rename")
SEEN_BEFORE = 0.5
"""How much of what a tool prints it has printed before."""


class Writer:
    """Writes the lines of one session, one after another."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        words = {self._word() for _ in range(4000)}
        self._words = sorted(words)
        self._number = 0
        self._left = 0
        self._task = 0
        self._files: list[str] = []
        self._command = ""
        self._seen: list[str] = []

    def _word(self) -> str:
        return "".join(self._random.choices(_SYLLABLES, k=self._random.randint(1, 4)))

    def _pick(self) -> str:
        # Few words are used often, most hardly ever, as in any language.
        return self._words[int(len(self._words) ** self._random.random()) - 1]

    def _text(self, words: int) -> str:
        return " ".join(self._pick() for _ in range(words))

    def line(self) -> bytes:
        """The next line, with its newline."""
        self._number += 1
        if self._left == 0:
            self._left = 2 * self._random.randint(8, 24)
            self._task += 1
            # An agent works on a handful of files at a time, and repeats itself.
            self._files = [f"{self._pick()}/{self._pick()}.py" for _ in range(5)]
            ask = f"{self._random.choice(_ASKS)} {self._pick()}-{self._task}: {self._text(20)}."
            return _line({"role": "user", "content": ask})
        self._left -= 1
        if self._left == 0:
            return _line({"role": "assistant", "content": f"Done. {self._text(40)}."})
        return _line(self._result() if self._left % 2 == 0 else self._call())

    def _call(self) -> dict[str, object]:
        if not self._command or self._random.random() < 0.5:
            self._command = self._random.choice(_COMMANDS)
        command = f"{self._command} {self._random.choice(self._files)}"
        arguments = {"command": command, "why": self._text(20)}
        function = {"name": "shell", "arguments": orjson.dumps(arguments).decode()}
        call = {"id": f"call_{self._number}", "type": "function", "function": function}
        return {"role": "assistant", "content": self._text(35), "tool_calls": [call]}

    def _result(self) -> dict[str, object]:
        size = self._random.randint(1000, 4000)
        rows: list[str] = []
        while sum(map(len, rows)) < size:
            if self._seen and self._random.random() < SEEN_BEFORE:
                rows.append(self._random.choice(self._seen))
                continue
            moment = f"2026-05-{self._random.randint(1, 28):02}T10:{self._random.randint(0, 59):02}"
            level = self._random.choice(_LEVELS)
            number = self._random.randrange(10**6)
            rows.append(f"{moment} {level} [{self._pick()}] {self._text(8)} id={number}")
            self._seen = [*self._seen, rows[-1]][-60:]
        call = f"call_{self._number - 1}"
        return {"role": "tool", "tool_call_id": call, "content": "\n".join(rows)}


def _line(value: dict[str, object]) -> bytes:
    return orjson.dumps(value) + b"\n"


def lines(count: int, seed: int = 1) -> list[bytes]:
    """The first `count` lines of a session."""
    writer = Writer(seed)
    return [writer.line() for _ in range(count)]
