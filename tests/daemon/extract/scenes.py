"""Small conversations, written down message by message, for the rules engine."""

import json

from acontext_fs.clock import format_time
from acontext_fs.daemon.extract.rules import RulesExtractor
from acontext_fs.records import Criteria, ExtractWork, Message, Part

START = 1_772_359_200.0


def user(text):
    return "user", (Part("text", text),)


def agent(text="", *calls):
    """An agent's message; a call is (id, tool name, arguments)."""
    said = (Part("text", text),) if text else ()
    made = (
        Part("tool-call", meta={"id": own_id, "name": name, "arguments": json.dumps(arguments)})
        for own_id, name, arguments in calls
    )
    return "assistant", (*said, *made)


def result(call_id, text, *, is_error=False):
    return "user", (Part("tool-result", text, {"tool_call_id": call_id, "is_error": is_error}),)


def step(name, arguments, text, *, is_error=False, call_id="c"):
    """A call and its result: two messages."""
    return [agent("", (call_id, name, arguments)), result(call_id, text, is_error=is_error)]


def messages(*scene):
    """The scene as messages, one a line and a minute."""
    flat = [one for piece in scene for one in (piece if isinstance(piece, list) else [piece])]
    return tuple(
        Message(f"m{line}", role, parts, line, format_time(START + 60 * line), "openai")
        for line, (role, parts) in enumerate(flat, start=1)
    )


def extract(found, tasks=(), carry=None):
    work = ExtractWork("default", "s", tuple(found), (), tuple(tasks), carry or {}, Criteria())
    return RulesExtractor().extract(work)


def play(*scene):
    """The tasks of a scene, planning section apart: (planning or None, requests in order)."""
    found = extract(messages(*scene)).tasks
    planning = next((task for task in found if task.is_planning), None)
    return planning, [task for task in found if not task.is_planning]


def the_task(*scene):
    """The only task of a scene."""
    _, tasks = play(*scene)
    assert len(tasks) == 1, [task.description for task in tasks]
    return tasks[0]
