"""A call of a tool in a line: what is run, read, written or looked for. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson

_LEADING = (
    "command",
    "cmd",
    "file_path",
    "pattern",
    "query",
    "path",
    "notebook_path",
    "absolute_path",
    "url",
    "uri",
    "skill",
    "subject",
    "description",
    "prompt",
    "message",
    "text",
    "input",
)
"""The arguments that say most, best first."""
_BESIDE = {"pattern": "path", "query": "path", "description": "subagent_type"}
_LISTS = ("todos", "plan", "questions")
_STEP_KEYS = ("content", "step", "question", "description", "text")
_SIGNS = {"completed": "[x]", "in_progress": "[>]", "pending": "[ ]", "cancelled": "[-]"}
_PATCHED = re.compile(r"^\*\*\* (Add|Update|Delete) File: (.+)$", re.M)
_SHELLS = ("bash", "sh", "zsh", "/bin/bash", "/bin/sh", "/bin/zsh")


def summary(name: str, arguments: object) -> str:
    """What the call of `name` is about; `arguments` are JSON text, or whatever stands there."""
    value = _decoded(arguments)
    if isinstance(value, dict):
        patch = next((_patched(str(value[k])) for k in ("input", "patch") if k in value), "")
        return patch or _leading(value)
    text = value if isinstance(value, str) else str(arguments or "")
    return _patched(text) or text


def _decoded(arguments: object) -> object:
    if not isinstance(arguments, str):
        return arguments
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments


def _leading(value: dict[str, Any]) -> str:
    if steps := _steps(value):
        return steps
    for key in _LEADING:
        said = _said(value.get(key))
        if said:
            if said.startswith(("apply_patch", "applypatch")) and (patch := _patched(said)):
                return patch
            beside = _said(value.get(_BESIDE.get(key, "")))
            return f"{said}  {beside}" if beside else said
    rest = {key: item for key, item in value.items() if item not in (None, "", [], {})}
    return ", ".join(f"{key}: {_said(item) or item}" for key, item in rest.items())


def _steps(value: dict[str, Any]) -> str:
    """A list of steps, or of questions to the person; "" of anything else."""
    for key in _LISTS:
        found = value.get(key)
        if isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
            return "; ".join(filter(None, map(_step, found)))
    return ""


def _step(one: dict[str, Any]) -> str:
    said = next((one[key] for key in _STEP_KEYS if isinstance(one.get(key), str)), "")
    sign = _SIGNS.get(str(one.get("status")), "")
    return f"{sign} {said}".strip()


def _said(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        words: list[str] = value
        is_script = len(words) > 2 and words[0] in _SHELLS and words[1].startswith("-")
        return " ".join(words[2:] if is_script else words)
    return ""


def _patched(text: str) -> str:
    """The files a patch of Codex's touches; "" of another text."""
    found = _PATCHED.findall(text[:200_000]) if "*** " in text else []
    return ", ".join(f"{what.lower()} {path.strip()}" for what, path in found)
