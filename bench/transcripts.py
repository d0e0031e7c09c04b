"""Made-up transcripts of coding agents, in the form in which the agents write them themselves.

Claude Code: one content block a line, the same message id on several lines, a tool's result beside
its copy in `toolUseResult`, progress, snapshots, hooks, a chain of uuids. Codex: everything twice,
as an item and as an event. Deterministic; here and there a secret. Sizes follow what was counted in
real ones (Claude Code: 2.2 KB a line, half of it tool results and 13 % thinking; Codex: 1.4 KB a
line), and so does what disk figures depend on: zlib makes them 5.4 times smaller, and `key`,
`token`, `auth` and their like, at which a search for secrets has to stop, come 2,000 times a MB.
"""

from __future__ import annotations

import base64
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import orjson

from acontext_fs.clock import format_time
from tests.redact_samples import SHAPED

START = 1_767_225_600  # 2026-01-01
SECRET_SHARE = 0.01
"""How many of the commands print a secret."""
CODEX_SHARE = 0.15
"""How many of the files are Codex rollouts."""
Value = dict[str, object]

_SYLLABLES = "ta re mi con fer lo sa ver dis pu na qui os ter be ga lin der mor wa ze ki".split()
_NAMES = (
    "session token key auth user config value result client request response cache index path name "
    "state event message handler context options session_id access_token api_key store query row"
).split()
_TYPES = ("str", "int", "bytes", "list[str]", "dict[str, int]", "Path", "bool", "float | None")
_COMMANDS = ("pytest -q", "git diff", "grep -rn", "ls -la", "npm test", "cargo check", "cat", "rg")
_ASKS = ("Find out why", "Please fix", "Add a test for", "Check whether", "Explain how", "Rename")
_CODE = (
    "def {a}_{b}({c}: {T}, {d}: {U}) -> {T}:",
    "    {a} = self.{b}.{c}({d}, limit={n})",
    "    if not {a}.{b} or {c} is None:",
    "        return {a}[{d!r}].{b}()",
    "    # {s}",
    '        raise ValueError(f"{s}: {{{a}}}")',
    "    for {a}, {b} in sorted({c}.items()):",
    '        "{a}": {b}.{c},',
    "from {a}.{b} import {c}, {d}",
    "        self.{a}_{b} = {c}.{d}",
    "        assert {a}.{b}({c}) == {n}",
    "",
)


class Material:
    """What agents see again and again: the words, files and outputs of a few projects."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._words = sorted({self._word() for _ in range(3000)})
        self.sentences = [self._sentence() for _ in range(1500)]
        self.projects = [self._project() for _ in range(8)]

    def _word(self) -> str:
        return "".join(self.random.choices(_SYLLABLES, k=self.random.randint(1, 4)))

    def word(self) -> str:
        """A word; few are used often, most hardly ever, as in any language."""
        return self._words[int(len(self._words) ** self.random.random()) - 1]

    def _name(self) -> str:
        return self.random.choice(_NAMES) if self.random.random() < 0.15 else self.word()

    def _sentence(self) -> str:
        words = " ".join(self.word() for _ in range(self.random.randint(6, 18)))
        return f"{words.capitalize()}."

    def prose(self, size: int) -> str:
        """About `size` characters of sentences."""
        return " ".join(self.random.choice(self.sentences) for _ in range(max(1, size // 60)))

    def _project(self) -> list[tuple[str, list[str]]]:
        top = f"/home/dev/{self.word()}"
        return [
            (f"{top}/{self.word()}/{self.word()}.py", self._code(self.random.randint(40, 260)))
            for _ in range(30)
        ]

    def _code(self, count: int) -> list[str]:
        rows = []
        for _ in range(count):
            a, b, c, d = (self._name() for _ in range(4))
            T, U = self.random.choices(_TYPES, k=2)
            s = self.random.choice(self.sentences)
            n = self.random.randint(0, 999)
            rows.append(self.random.choice(_CODE).format(a=a, b=b, c=c, d=d, T=T, U=U, s=s, n=n))
        return rows

    def uuid(self) -> str:
        """A random name, the same in every run."""
        return str(UUID(bytes=self.random.randbytes(16), version=4))

    def noise(self, size: int) -> str:
        """Base64 of what nobody can read, as signatures and encrypted thoughts are."""
        return base64.b64encode(self.random.randbytes(size)).decode()

    def output(self, code: list[str]) -> str:
        """What a command prints: pieces of code, paths, times, and now and then a secret."""
        start = self.random.randrange(len(code))
        rows = [
            f"src/{self.word()}.py:{n}: {row}" if n % 3 else f"PASSED in {n / 100:.2f}s {row}"
            for n, row in enumerate(code[start : start + self.random.randint(2, 60)])
        ]
        if self.random.random() < SECRET_SHARE:
            kind = self.random.choice(sorted(SHAPED))
            rows.append(f"{kind.upper().replace('-', '_')}={SHAPED[kind](self.random)}")
        return "\n".join(rows)


class Agent(ABC):
    """Writes one session, turn after turn. Subclasses say in which form."""

    def __init__(self, material: Material, number: int) -> None:
        self._material = material
        self._random = material.random
        self.session_id = material.uuid()
        self._at = float(START + 600 * number)
        self._files = self._random.choice(material.projects)
        self._cwd = "/".join(self._files[0][0].split("/")[:4])

    def _time(self) -> str:
        self._at += self._random.random() * 4
        return f"{format_time(self._at)[:-4]}Z"

    def _ask(self) -> str:
        ask = f"{self._random.choice(_ASKS)} {self._material.word()}-{self._random.randrange(999)}"
        return f"{ask}: {self._material.prose(150)}"

    @abstractmethod
    def lines(self) -> Iterator[bytes]:
        """The session's lines without newlines, forever."""

    def long_text(self, size: int) -> str:
        """About `size` characters of code."""
        text = "\n".join(row for _, code in self._files for row in code)
        return text * (size // len(text) + 1)


class ClaudeCode(Agent):
    """As `~/.claude/projects/*/<session>.jsonl` is written."""

    def __init__(self, material: Material, number: int) -> None:
        super().__init__(material, number)
        self._parent: str | None = None

    def lines(self) -> Iterator[bytes]:
        yield self._snapshot()
        while True:
            ask = self._ask()
            yield self._chained("user", message={"role": "user", "content": ask})
            for _ in range(self._random.randint(4, 16)):
                yield from self._step()
            yield from self._message([{"type": "text", "text": self._material.prose(700)}])
            yield self._chained("system", subtype="turn_duration", durationMs=83_211, isMeta=False)
            yield orjson.dumps(
                {"type": "last-prompt", "lastPrompt": ask, "sessionId": self.session_id}
            )
            yield self._snapshot()

    def _chained(self, kind: str, **fields: object) -> bytes:
        value: Value = {
            "parentUuid": self._parent,
            "isSidechain": False,
            "userType": "external",
            "cwd": self._cwd,
            "sessionId": self.session_id,
            "version": "2.1.44",
            "gitBranch": "main",
            "slug": "quiet-otter",
            "type": kind,
            **fields,
        }
        value["uuid"] = self._parent = self._material.uuid()
        value["timestamp"] = self._time()
        return orjson.dumps(value)

    def _snapshot(self) -> bytes:
        message = self._material.uuid()
        inner = {"messageId": message, "trackedFileBackups": {}, "timestamp": self._time()}
        return orjson.dumps(
            {
                "type": "file-history-snapshot",
                "messageId": message,
                "snapshot": inner,
                "isSnapshotUpdate": False,
            }
        )

    def _message(self, blocks: list[Value]) -> Iterator[bytes]:
        """One message of the model, a line for each block of it."""
        name, request = (self._material.uuid().replace("-", "")[:24] for _ in range(2))
        usage = {
            "input_tokens": 3,
            "cache_creation_input_tokens": self._random.randint(200, 9000),
            "cache_read_input_tokens": self._random.randint(9000, 150_000),
            "output_tokens": self._random.randint(1, 900),
            "service_tier": "standard",
        }
        for block in blocks:
            message = {
                "model": "claude-opus-4-6",
                "id": f"msg_{name}",
                "type": "message",
                "role": "assistant",
                "content": [block],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": usage,
            }
            yield self._chained("assistant", message=message, requestId=f"req_{request}")

    def _step(self) -> Iterator[bytes]:
        """A thought, a call, what it reports meanwhile, and its result."""
        call = f"toolu_{self._material.uuid().replace('-', '')[:24]}"
        path, code = self._random.choice(self._files)
        name, given, text, copy = self._used(path, code)
        thought: Value = {
            "type": "thinking",
            "thinking": self._material.prose(self._random.randint(80, 700)),
            "signature": self._material.noise(self._random.randint(60, 300)),
        }
        use: Value = {"type": "tool_use", "id": call, "name": name, "input": given}
        blocks: list[Value] = [use]
        if self._random.random() < 0.35:
            blocks.insert(0, {"type": "text", "text": self._material.prose(220)})
        if self._random.random() < 0.55:
            blocks.insert(0, thought)
        yield from self._message(blocks)
        for _ in range(self._random.choice((0, 1, 2, 3))):
            data: Value = {
                "type": "hook_progress",
                "hookEvent": "PostToolUse",
                "hookName": f"Post:{name}",
            }
            yield self._chained("progress", data=data, toolUseID=call, parentToolUseID=call)
        yield self._answered(call, text, copy)

    def result(self, text: str) -> bytes:
        """The line of a result that says `text`."""
        copy: Value = {"stdout": "", "stderr": "", "interrupted": False, "isImage": False}
        return self._answered("toolu_of_another_call", text, copy)

    def _answered(self, call: str, text: str, copy: Value) -> bytes:
        result: Value = {"tool_use_id": call, "type": "tool_result", "content": text}
        return self._chained(
            "user",
            message={"role": "user", "content": [result]},
            toolUseResult=copy,
            sourceToolAssistantUUID=self._parent,
        )

    def _used(self, path: str, code: list[str]) -> tuple[str, Value, str, Value]:
        """A tool with what it was given, what it answers, and the copy beside that."""
        kind = self._random.random()
        start = self._random.randrange(max(1, len(code) - 40))
        if kind < 0.3:
            rows = code[start : start + self._random.randint(20, 80)]
            numbered = "\n".join(f"{n:6}\u2192{row}" for n, row in enumerate(rows, start + 1))
            file = {"filePath": path, "content": "\n".join(rows), "numLines": len(rows)}
            return "Read", {"file_path": path}, numbered, {"type": "text", "file": file}
        if kind < 0.5:
            old = "\n".join(code[start : start + self._random.randint(2, 10)])
            new = f"{old}\n    # {self._random.choice(self._material.sentences)}"
            given: Value = {"file_path": path, "old_string": old, "new_string": new}
            lines = [f"-{row}" for row in old.split("\n")] + [f"+{row}" for row in new.split("\n")]
            patch = [{"oldStart": start, "oldLines": 4, "newStart": start, "lines": lines}]
            copy: Value = {**given, "originalFile": "\n".join(code), "structuredPatch": patch}
            answer = f"The file {path} has been updated successfully.\n{new}"
            return "Edit", given, answer, copy
        command = f"{self._random.choice(_COMMANDS)} {path}"
        given = {"command": command, "description": self._material.prose(50)}
        text = self._material.output(code)
        copy = {"stdout": text, "stderr": "", "interrupted": False, "isImage": False}
        return "Bash", given, text, copy


class Codex(Agent):
    """As `~/.codex/sessions/YYYY/MM/DD/rollout-*.jsonl` is written."""

    def lines(self) -> Iterator[bytes]:
        yield self._line(
            "session_meta",
            id=self.session_id,
            timestamp=self._time(),
            cwd=self._cwd,
            originator="codex-tui",
            cli_version="0.139.0",
            source="cli",
            base_instructions={"text": self._material.prose(14_000)},
            git={"branch": "main", "repository_url": "git@example.com:dev/thing.git"},
        )
        while True:
            yield self._line("event_msg", type="task_started", model_context_window=258_400)
            yield self._line("turn_context", cwd=self._cwd, model="gpt-5.4", effort="high")
            ask = self._ask()
            yield self._said("user", "input_text", ask)
            yield self._line("event_msg", type="user_message", message=ask, images=[])
            for _ in range(self._random.randint(4, 16)):
                yield from self._step()
            yield from self._answer("final_answer")
            yield self._line("event_msg", type="task_complete", turn_id=self._material.uuid())

    def _line(self, kind: str, **payload: object) -> bytes:
        return orjson.dumps({"timestamp": self._time(), "type": kind, "payload": payload})

    def _said(self, role: str, part: str, text: str, **more: object) -> bytes:
        content = [{"type": part, "text": text}]
        return self._line("response_item", type="message", role=role, content=content, **more)

    def _answer(self, phase: str) -> Iterator[bytes]:
        text = self._material.prose(450)
        yield self._line("event_msg", type="agent_message", message=text, phase=phase)
        yield self._said("assistant", "output_text", text, phase=phase)

    def _step(self) -> Iterator[bytes]:
        call = f"call_{self._material.uuid().replace('-', '')[:24]}"
        path, code = self._random.choice(self._files)
        command = f"{self._random.choice(_COMMANDS)} {path}"
        text = self._material.output(code)
        hidden = self._material.noise(self._random.randint(300, 700))
        yield self._line("response_item", type="reasoning", summary=[], encrypted_content=hidden)
        if self._random.random() < 0.4:
            yield from self._answer("commentary")
        given = orjson.dumps({"cmd": command, "workdir": self._cwd}).decode()
        yield self._line(
            "response_item",
            type="function_call",
            name="exec_command",
            arguments=given,
            call_id=call,
        )
        yield self._line(
            "event_msg",
            type="exec_command_end",
            call_id=call,
            command=["/bin/bash", "-lc", command],
            cwd=self._cwd,
            aggregated_output=text,
            exit_code=0,
        )
        output = f"Chunk ID: {call[-6:]}\nWall time: 0.05 seconds\nProcess exited with code 0\n"
        yield self._line(
            "response_item", type="function_call_output", call_id=call, output=f"{output}{text}"
        )
        yield self._line("event_msg", type="token_count", info={"total": 12_345}, rate_limits=None)


AGENTS: tuple[tuple[float, Callable[[Material, int], Agent]], ...] = (
    (CODEX_SHARE, Codex),
    (1.0, ClaudeCode),
)


def session(agent: Agent, size: int) -> bytes:
    """The first lines of a session: about `size` bytes."""
    pieces: list[bytes] = []
    for line in agent.lines():
        pieces.append(line + b"\n")
        size -= len(line) + 1
        if size <= 0:
            break
    return b"".join(pieces)


def fill(folder: Path, size: int, small: int, large: int, seed: int = 1) -> int:
    """Put `size` bytes of sessions into `folder`, each `small` to `large`; return their number.

    Small ones are many and large ones few, as they are on people's machines.
    """
    material = Material(seed)
    rng = random.Random(seed)
    number = 0
    while size > 0:
        chance = rng.random()
        kind = next(kind for share, kind in AGENTS if chance < share)
        agent = kind(material, number)
        wanted = min(size, int(small * (large / small) ** rng.random()))
        name = f"{agent.session_id}.jsonl"
        path = folder / "projects" / f"-home-dev-{number % 20}" / name
        if kind is Codex:
            path = folder / "sessions" / "2026" / "01" / f"rollout-2026-01-01T00-00-00-{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = session(agent, wanted)
        path.write_bytes(data)
        size -= len(data)
        number += 1
    return number
