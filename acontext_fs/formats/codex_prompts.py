"""What stands in a user message of a Codex rollout: a person's words, and what Codex put beside it.

Source: the fragments that Codex injects in the role of the user (codex-rs/core/src/context) and
the wrappers of its desktop and editor extensions, as counted in published rollouts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from acontext_fs.formats.body import data_part, items, string
from acontext_fs.formats.media import media_of
from acontext_fs.records import Part

_HARNESS_TAGS = frozenset(
    {
        "environment_context",
        "user_instructions",
        "instructions",
        "turn_aborted",
        "subagent_notification",
        "user_shell_command",
        "skill",
        "goal_context",
        "codex_internal_context",
        "extension_context",
        "hook_prompt",
        "user_action",
        "model_switch",
        "collaboration_mode",
        "multi_agent_mode",
        "personality_spec",
        "skills_instructions",
        "plugins_instructions",
        "apps_instructions",
        "mcp_instructions",
        "recommended_plugins",
        "realtime_conversation",
        "realtime_delegation",
        "token_budget",
        "rollout_budget",
        "context_window",
        "heartbeat",
        "in-app-browser-context",
    }
)
_HARNESS_TEXTS = (
    "# AGENTS.md instructions",
    "You are performing a CONTEXT CHECKPOINT COMPACTION",
    "Another language model started to solve this problem and produced a summary",
    "A previous agent produced the plan below",
    "PLEASE IMPLEMENT THIS PLAN:",
    "Warning: apply_patch was requested via",
    "Warning: The maximum number of unified exec processes",
    "Warning: Your account was flagged",
    "Codex could not read the local image at `",
    "Codex cannot attach image at `",
    "Image located at `",
)
_TAG = re.compile(r"\s*<([A-Za-z][A-Za-z0-9_-]*(?: instructions)?)(?: [^<>\n]{0,300})?>")
_IMAGE_TAG = re.compile(r"\s*(?:<(?:local_)?image(?: [^<>\n]{0,2000})?>|</(?:local_)?image>)\s*")
_ENVIRONMENT = "<environment_context>"
_FOLDER = re.compile(r"<cwd>([^<\n]{1,4000})</cwd>|Current working directory: ([^\n]{1,4000})")
_REQUEST = "## My request for Codex:"
_INSTRUCTIONS_END = "</INSTRUCTIONS>"
_HARNESS = {"author": "harness"}


class Prompt(NamedTuple):
    """The parts of a user message; `typed` is what of it a person (or the parent agent) wrote."""

    parts: tuple[Part, ...]
    typed: str
    is_prompt: bool

    @property
    def digest(self) -> str:
        """The same for the same words, however the two channels space them."""
        return digest_of("".join(self.typed.split()))

    @property
    def media(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.type != "text")


def of_item(payload: Mapping[str, Any]) -> Prompt:
    """What a `message` item of role user holds."""
    parts: list[Part] = []
    for piece in items(payload.get("content")):
        text = piece if isinstance(piece, str) else text_of(piece)
        if text is None:
            parts.append(media_part(piece))
        elif text:
            parts += _split(text)
    return _prompt(parts)


def of_event(payload: Mapping[str, Any]) -> Prompt:
    """What a `user_message` event holds; an older one says itself when it is no person's."""
    kind = payload.get("kind")
    text = string(payload.get("message"))
    if isinstance(kind, str) and kind != "plain":
        return _prompt([Part("text", text, _HARNESS)])
    parts = list(_split(text)) if text else []
    for url in items(payload.get("images")):
        if isinstance(url, str) and url:
            parts.append(_image(url))
    return _prompt(parts)


def digest_of(text: str) -> str:
    """A short stand-in for a text, to find it again by."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def pieces_of(payload: Mapping[str, Any]) -> tuple[Part, ...]:
    """The content of a message as parts, taken as it is."""
    parts: list[Part] = []
    for piece in items(payload.get("content")):
        text = piece if isinstance(piece, str) else text_of(piece)
        if text is None and isinstance(piece, dict) and isinstance(piece.get("refusal"), str):
            parts.append(Part("text", piece["refusal"], {"is_refusal": True}))
        elif text is None:
            parts.append(media_part(piece))
        elif text:
            parts.append(Part("text", text, {}))
    return tuple(parts)


def envelope_in(text: str) -> dict[str, Any] | None:
    """What one agent sent another, which some releases noted as JSON in the words of an answer."""
    if not text.startswith("{") or '"recipient"' not in text[:2000]:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    is_sent = isinstance(value, dict) and value.keys() >= {"author", "recipient", "content"}
    return value if is_sent else None


def text_of(piece: Any) -> str | None:
    """The text of a content item; None if it is no text."""
    if isinstance(piece, dict) and isinstance(piece.get("text"), str):
        text: str = piece["text"]
        return text
    return None


def media_part(piece: Any) -> Part:
    """The part for a content item that is no text."""
    if isinstance(piece, dict) and piece.get("type") in ("input_image", "image"):
        url = piece.get("image_url")
        url = url.get("url") if isinstance(url, dict) else url
        if isinstance(url, str) and url:
            return _image(url)
    return data_part(piece)


def _image(url: str) -> Part:
    if not url.startswith("data:"):
        return Part("image", "", {"url": url})
    media = media_of(Part("image", "", {"data": url}))
    return Part("image", "", {"media_type": media.mime_or_default("image"), "data": media.data})


def _prompt(parts: list[Part]) -> Prompt:
    texts = [part.text for part in parts if part.type == "text" and not part.meta]
    typed = "".join(texts).strip()
    # Pictures alone are a prompt too.
    is_prompt = bool(typed) or (any(p.type == "image" for p in parts) and not _is_injected(parts))
    return Prompt(tuple(parts), typed, is_prompt)


def _is_injected(parts: list[Part]) -> bool:
    return any(p.type == "text" and p.meta and not _IMAGE_TAG.fullmatch(p.text) for p in parts)


def _split(text: str) -> Iterator[Part]:
    """The text as parts: what was injected in front, and the words themselves."""
    if _IMAGE_TAG.fullmatch(text):
        yield Part("text", text, _HARNESS)
        return
    end = _injected_end(text)
    request = text.find(_REQUEST, end) if text[end:].lstrip().startswith("#") else -1
    if request >= 0:
        end = request + len(_REQUEST)
    if end and not text[end:].strip():
        end = len(text)
    if end:
        yield Part("text", text[:end], _HARNESS)
    if end < len(text):
        yield Part("text", text[end:].lstrip() if end else text, {})


def _injected_end(text: str) -> int:
    """Where the blocks end that Codex put in front; 0 if the text begins with somebody's words."""
    end = 0
    while (found := _block_end(text, end)) > end:
        end = found
    return end


def _block_end(text: str, start: int) -> int:
    """The end of the block that begins at `start`, or `start` where none does."""
    begun = text[start : start + 200].lstrip()
    if begun.startswith(_HARNESS_TEXTS):
        if begun.startswith(_HARNESS_TEXTS[0]):
            closed = text.find(_INSTRUCTIONS_END, start)
            return closed + len(_INSTRUCTIONS_END) if closed >= 0 else len(text)
        return len(text)
    match = _TAG.match(text, start)
    if match is None:
        return start
    tag = match.group(1)
    closed = _closing(text, tag, match.end())
    if closed < 0:
        return start
    name = tag.lower()
    if name in _HARNESS_TAGS or name.startswith("external_") or name.endswith(" instructions"):
        return closed
    # People paste elements too, but a message that is one element with a name like this is Codex's.
    return closed if start == 0 and "_" in name and not text[closed:].strip() else start


def _closing(text: str, tag: str, start: int) -> int:
    """The end of the element's closing tag, which may be written in small letters; -1 if none."""
    for name in (tag, tag.lower()):
        found = text.find(f"</{name}>", start)
        if found >= 0:
            return found + len(name) + 3
    return -1


def folder_in(prompt: Prompt) -> str:
    """The folder that Codex tells the model it works in; "" if this does not say."""
    found = (_FOLDER.search(part.text) for part in prompt.parts if _ENVIRONMENT in part.text)
    match = next(filter(None, found), None)
    return (match.group(1) or match.group(2)).strip() if match is not None else ""


def is_abort(prompt: Prompt) -> bool:
    """Whether Codex tells the model here that the person interrupted it."""
    return any(part.text.lstrip().startswith("<turn_aborted>") for part in prompt.parts)


def is_shell(prompt: Prompt) -> bool:
    """Whether it is a command that the person ran, with what it printed."""
    return any(part.text.lstrip().startswith("<user_shell_command>") for part in prompt.parts)
