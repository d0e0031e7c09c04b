"""A model endpoint on loopback that does as it is told, misbehaviour included.

In tests: `with ModelServer([reply(...), Answer(500)]) as server: ... server.url`. As a program,
`python tests/model_server.py --port 0` prints its base URL and answers every request of the three
agents by a fixed script that knows nothing: it opens a task with the first words of the user,
reports a lesson about it, and files that in one place. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Manner = Literal["plain", "silent", "drip", "drip headers", "cut", "reset"]
DRIP_SECONDS = 0.02


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. `manner`: "silent" never answers, "drip" sends a byte at a time for ever,
    "cut" stops in the middle of the body, "reset" ends the connection without a word."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    manner: Manner = "plain"


Step = Answer | Callable[[dict[str, Any]], Answer]


def reply(
    *calls: tuple[str, Any],
    text: str | None = None,
    usage: Any = "default",
    message: dict[str, Any] | None = None,
    finish_reason: str = "stop",
) -> Answer:
    """A chat completion with `calls` of (name, arguments); arguments that are a string stand as
    they are, others as JSON. `message` replaces the whole message."""
    entries = [
        {
            "id": f"call_{name}_{number}",
            "type": "function",
            "function": {
                "name": name,
                "arguments": given if isinstance(given, str) else dumps(given),
            },
        }
        for number, (name, given) in enumerate(calls)
    ]
    spoken: dict[str, Any] = {"role": "assistant", "content": text}
    if entries:
        spoken["tool_calls"] = entries
    value: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "message": message or spoken, "finish_reason": finish_reason}],
    }
    if usage == "default":
        usage = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}
    if usage is not None:
        value["usage"] = usage
    return json_answer(value)


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(
        status, dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {})
    )


def error(status: int, words: str, headers: dict[str, str] | None = None) -> Answer:
    return json_answer({"error": {"message": words, "type": "error"}}, status, headers)


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


class ModelServer:
    """The endpoint. Answers with `steps` in order, then with `script`, else with 599.

    `refuses` names parts of a request (`tools`, `response_format`, `max_tokens`, ...) that are
    answered with 400, whatever the steps say. `requests` are the bodies it was sent, `headers`
    what came with them.
    """

    def __init__(
        self,
        steps: Iterable[Step] = (),
        script: Callable[[dict[str, Any]], Answer] | None = None,
        refuses: Iterable[str] = (),
        port: int = 0,
    ) -> None:
        self.steps = deque(steps)
        self.script = script
        self.refuses = tuple(refuses)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.stopping = threading.Event()
        self.gone = threading.Event()
        self._lock = threading.Lock()
        owner = self

        class Handler(_Handler):
            server_owner = owner

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        """What to answer to one request."""
        with self._lock:
            self.requests.append(body)
            self.headers.append(headers)
            for part in self.refuses:
                if part in body:
                    return error(400, f"Unsupported parameter: {part!r} is not supported")
            if self.steps:
                step = self.steps.popleft()
                return step if isinstance(step, Answer) else step(body)
        if self.script is not None:
            return self.script(body)
        return error(599, "nothing is written down for this request")


class _Handler(BaseHTTPRequestHandler):
    server_owner: ModelServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        owner = self.server_owner
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.endswith("/chat/completions"):
            self._send(error(404, f"no such path: {self.path}"))
            return
        self._send(owner.answer(body, {k.lower(): v for k, v in self.headers.items()}))

    def do_GET(self) -> None:
        self._send(json_answer({"object": "list", "data": []}))

    def _send(self, answer: Answer) -> None:
        self.close_connection = True
        try:
            self._speak(answer)
        except (BrokenPipeError, ConnectionResetError):
            self.server_owner.gone.set()

    def _speak(self, answer: Answer) -> None:
        stopping = self.server_owner.stopping
        if answer.manner == "silent":
            stopping.wait()
            return
        if answer.manner == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            return
        if answer.manner == "drip headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            self._drip(stopping)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        endless = answer.manner == "drip"
        size = 10_000_000 if endless else len(answer.body)
        self.send_header("Content-Length", str(size))
        self.send_header("Connection", "close")
        self.end_headers()
        if answer.manner == "cut":
            self.wfile.write(answer.body[: len(answer.body) // 2])
            return
        self.wfile.write(answer.body)
        if endless:
            self._drip(stopping)

    def _drip(self, stopping: threading.Event) -> None:
        while not stopping.wait(DRIP_SECONDS):
            self.wfile.write(b" ")
            self.wfile.flush()

    def log_message(self, *_: object) -> None:
        return


# The script of the program: what each agent asks is answered from what it shows.


def sensible(body: dict[str, Any]) -> Answer:
    """An answer to whatever one of the three agents asks."""
    offered = _offered(body)
    if "insert_task" in offered:
        made = _extraction(body)
    elif "report_failure_analysis" in offered:
        made = [("report_failure_analysis", _report(body, _FAILURE_KEYS))]
    elif "report_success_analysis" in offered:
        made = [("report_success_analysis", _report(body, _SUCCESS_KEYS))]
    elif "create_skill" in offered:
        made = _learning(body)
    else:
        return reply(text="I was asked nothing I know.")
    if "tools" in body:
        return reply(*made)
    return reply(text=dumps({"calls": [{"name": n, "arguments": a} for n, a in made]}))


_SUCCESS_KEYS = ("task_goal", "approach", "generalizable_pattern", "applies_when")
_FAILURE_KEYS = (
    "task_goal",
    "failure_point",
    "flawed_reasoning",
    "what_should_have_been_done",
    "prevention_principle",
    "applies_when",
)
_THANKS = re.compile(r"\b(thanks|thank you|works|great|perfect|STOP)\b", re.IGNORECASE)
_STANDING = re.compile(r"\b(always|never|prefer|from now on)\b", re.IGNORECASE)


def _offered(body: dict[str, Any]) -> set[str]:
    if "tools" in body:
        return {tool["function"]["name"] for tool in body["tools"]}
    told = body["messages"][0]["content"].partition("The functions:\n")[2]
    return set(re.findall(r"^- (\w+): ", told, re.MULTILINE))


def _first_user(body: dict[str, Any]) -> str:
    return next(m["content"] for m in body["messages"] if m["role"] == "user")


def _turn(body: dict[str, Any]) -> int:
    return sum(message["role"] == "assistant" for message in body["messages"])


def _section(text: str, title: str) -> str:
    found = re.search(rf"^## {title}[^\n]*\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return found[1].strip() if found else ""


def _extraction(body: dict[str, Any]) -> list[tuple[str, Any]]:
    if _turn(body):
        return [("finish", {})]
    shown = _first_user(body)
    open_tasks = re.findall(r"- Task (\d+): .*\(Status: (\w+)\)", _section(shown, "Tasks"))
    messages = re.findall(
        r"<message id=(\d+)>\n(.*?)\n</message>", _section(shown, "New messages"), re.DOTALL
    )
    spoken = [
        (int(number), line.partition(": ")[2])
        for number, text in messages
        for line in text.split("\n")
        if line.startswith("user (text): ")
    ]
    last = len(messages) - 1
    made: list[tuple[str, Any]] = [("report_thinking", {"thinking": "One task, as scripted."})]
    running = [int(order) for order, status in open_tasks if status in ("pending", "running")]
    if running:
        order = running[-1]
    elif spoken:
        order = len(open_tasks) + 1
        words = {"after_task_order": order - 1, "task_description": spoken[0][1][:300]}
        made.append(("insert_task", words))
    else:
        every = {"message_ids": list(range(last + 1))}
        return [*made, ("append_messages_to_planning_section", every)]
    made.append(("append_messages_to_task", {"task_order": order, "message_id_range": [0, last]}))
    last_words = re.findall(
        r"^(agent|user) \(text\): (.+)$", "\n".join(t for _, t in messages), re.M
    )
    closing = [text for speaker, text in last_words if speaker == "agent"]
    ended = last_words and (last_words[-1][0] == "agent" or _THANKS.search(last_words[-1][1]))
    if closing:
        made.append(("append_task_progress", {"task_order": order, "progress": closing[-1][:150]}))
    made.extend(
        (
            "submit_user_preference",
            {"preference": f"The user says: {words[:200]}", "task_order": order},
        )
        for _, words in spoken
        if _STANDING.search(words)
    )
    status = "success" if closing and ended else "running"
    return [*made, ("update_task", {"task_order": order, "task_status": status})]


def _report(body: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    goal = _section(_first_user(body), "The finished task").partition("\n")[0]
    said: dict[str, Any] = {key: f"As recorded ({key.replace('_', ' ')}): {goal}" for key in keys}
    if "approach" in keys:
        said["key_decisions"] = ["Followed the script."]
    return said


def _learning(body: dict[str, Any]) -> list[tuple[str, Any]]:
    shown = _first_user(body)
    date = re.search(r"^Today's date: (\S+)", shown, re.MULTILINE)
    file = f"{date[1] if date else 'undated'}.md"
    title = shown.partition("\n")[0].strip("# ")
    where = re.search(r"\*\*Goal\*\*: (.+)", shown)
    section = f"## {title}\n\n{where[1] if where else _section(shown, 'User Preferences')}\n"
    place = {"skill_name": "daily-logs", "file_path": file}
    turn = _turn(body)
    if "**daily-logs**" not in shown:
        return _new_skill(turn, section)
    if turn == 0:
        thinking = {"thinking": "It goes into the day's file."}
        return [
            ("report_thinking", thinking),
            ("get_skill", {"skill_name": "daily-logs"}),
        ]
    if turn == 1:
        return [("get_skill_file", place)]
    before = _results(body).get("get_skill_file", "Not done")
    if turn == 2 and before.startswith("Not done"):
        return [("create_skill_file", {**place, "content": f"# {file[:-3]}\n\n{section}"})]
    if turn == 2 and section.strip() not in before:
        pair = {"old_string": before, "new_string": f"{before.rstrip()}\n\n{section}"}
        return [("str_replace_skill_file", {**place, **pair})]
    return [("finish", {"summary": f"Log {title.lower()}"})]


def _new_skill(turn: int, section: str) -> list[tuple[str, Any]]:
    front = '---\nname: "scripted-notes"\ndescription: "Notes of a scripted model."\n---\n'
    if turn == 0:
        return [
            ("report_thinking", {"thinking": "There is no diary, so a skill of notes is opened."}),
            ("create_skill", {"skill_md_content": f"{front}\n# Notes\n\n{section}"}),
        ]
    return [("finish", {"summary": "Open a skill of notes"})]


def _results(body: dict[str, Any]) -> dict[str, str]:
    """What the calls so far were answered, by function name, the last one of each."""
    names: dict[str, str] = {}
    found: dict[str, str] = {}
    for message in body["messages"]:
        for call in message.get("tool_calls") or ():
            names[call["id"]] = call["function"]["name"]
        if message["role"] == "tool":
            found[names[message["tool_call_id"]]] = message["content"]
        elif message["role"] == "user" and message["content"].startswith("Results:\n"):
            told = message["content"].removeprefix("Results:\n")
            for name, text in re.findall(
                r"^(\w+): (.*?)(?=^\w+: |\Z)", told, re.DOTALL | re.MULTILINE
            ):
                found[name] = text
    return found


def main() -> None:
    """Serve the script until the input ends or the process is stopped."""
    options = argparse.ArgumentParser(description="A scripted model endpoint on loopback.")
    options.add_argument("--port", type=int, default=0, help="0 takes a free one")
    options.add_argument(
        "--refuse", action="append", default=[], help="a request field to answer with 400"
    )
    given = options.parse_args()
    with ModelServer(script=sensible, refuses=given.refuse, port=given.port) as server:
        print(server.url, flush=True)
        try:
            server.stopping.wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
