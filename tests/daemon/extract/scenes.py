"""Small conversations, written down message by message, for the rules engine."""

import json
from dataclasses import replace

from acontext_fs.clock import format_time
from acontext_fs.daemon.extract.rules import RulesExtractor
from acontext_fs.records import Criteria, ExtractWork, Message, Part

START = 1_772_359_200.0


def user(text):
    return "user", (Part("text", text),)


def person(text, channel="", **meta):
    """What a person typed, as the transcript of a coding agent tells it."""
    meta = {**meta, "channel": channel} if channel else meta
    return "user", ((Part("text", text),) if text else ()), {"author": "person", "meta": meta}


def harness(text, **meta):
    """What the program around the agent wrote in a user's place."""
    return "user", (Part("text", text),), {"author": "harness", "meta": meta}


def rejected(call_id, words=""):
    """A call that the user refused, and what they said of it."""
    refused = Part("tool-result", "The user refused.", {"tool_call_id": call_id, "rejected": True})
    said = (Part("text", words),) if words else ()
    more = {"author": "person", "meta": {"channel": "rejection"}} if words else {}
    return "user", (refused, *said), more


def shell(command, text, **meta):
    """A command and its result: two messages."""
    return [agent("", ("c", "Bash", {"command": command})), result("c", text, **meta)]


def agent(text="", *calls):
    """An agent's message; a call is (id, tool name, arguments)."""
    said = (Part("text", text),) if text else ()
    made = (
        Part("tool-call", meta={"id": own_id, "name": name, "arguments": json.dumps(arguments)})
        for own_id, name, arguments in calls
    )
    return "assistant", (*said, *made)


def result(call_id, text, **meta):
    return "user", (Part("tool-result", text, {"tool_call_id": call_id, **meta}),)


def step(name, arguments, text, *, call_id="c", **meta):
    """A call and its result: two messages."""
    return [agent("", (call_id, name, arguments)), result(call_id, text, **meta)]


def continued(own_id, *pieces):
    """Messages of the agent that share an id: one message, written on several lines."""
    return [(*piece, {"id": own_id}) for piece in pieces]


def messages(*scene):
    """The scene as messages, one a line and a minute."""
    flat = [one for piece in scene for one in (piece if isinstance(piece, list) else [piece])]
    return tuple(_message(line, *one) for line, one in enumerate(flat, start=1))


def _message(line, role, parts, more=None):
    at = format_time(START + 60 * line)
    return replace(Message(f"m{line}", role, parts, line, at, "openai"), **(more or {}))


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
