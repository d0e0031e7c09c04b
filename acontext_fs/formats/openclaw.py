"""What a person typed, apart from what OpenClaw wraps around it on its way to the model.

Messages reach OpenClaw through chat channels, and several people can speak in one session. In front
of their words stand an envelope (`[Slack ...]`, `[Thu 2026-02-26 14:03 GMT+8]`), JSON blocks headed
`... (untrusted metadata):`, history "for context" and `System:` lines; ids and warnings stand
behind. Heartbeats, reminders, session starts and subagents' prompts come as user messages too.
Format: `strip-inbound-meta`, `chat-envelope` and the prompts of OpenClaw.
"""

from __future__ import annotations

import contextlib
import re
from itertools import pairwise
from typing import NamedTuple

import orjson

from acontext_fs.formats.body import string
from acontext_fs.records import Author

_DAY = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? )?\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}"
_CHANNELS = (
    "Slack|WhatsApp|Telegram|Discord|Signal|iMessage|BlueBubbles|Matrix|Mattermost|Teams|MSTeams|"
    "Feishu|Lark|Zalo|LINE|Line|WebChat|Webchat|Google Chat|GoogleChat|Nostr|IRC|Twitch|Tlon|"
    "Nextcloud Talk|QQ|QQBot|WeCom|WeChat|Weixin|DingTalk|SMS|Email"
)
_ENVELOPE = re.compile(
    rf"\[(?:{_DAY}[^\]\n]{{0,60}}|(?:{_CHANNELS}) [^\]\n]{{1,300}}|"
    rf"[A-Za-z][^\]\n]{{0,300}} {_DAY}[^\]\n]{{0,60}})\][ \t]*"
)
_HINT = re.compile(
    r"\[(?:message_id|slack message id|telegram message id|discord message id|from|reply to)"
    r"[: ][^\]\n]{0,300}\][ \t]*",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"[^\n\[{`]{1,120}\((?:untrusted\b[^\n)]{0,100})\):[ \t]*\n[ \t]*```json[ \t]*\n"
)
_FENCE_END = re.compile(r"\n[ \t]*```[ \t]*(?:\n|$)")
_SYSTEM = re.compile(r"System(?: \([a-z]+\))?: ?(?:\[[^\]\n]{0,80}\] ?)?([^\n]*)(?:\n|$)")
_SAID = re.compile(r"(?:\w+ )?(?:DM|message)(?: in [^\n:]{1,80})? from [^\n:]{1,80}: ")
_HISTORY = re.compile(
    r"\[(?:Thread history|Thread starter|Chat messages since your last reply|Chat history"
    r"|Recent messages)[^\]\n]{0,60} - for context\][ \t]*\n?"
)
_CURRENT = re.compile(r"\[Current message - respond to this\][ \t]*\n?")
_BLOCK_START = re.compile(
    r"(?:^|\n)(?:System(?: \([a-z]+\))?: ?\[|\[Current message - respond to this\]"
    r"|[^\n\[{`]{1,120}\(untrusted\b[^\n)]{0,100}\):[ \t]*\n[ \t]*```json)"
)
_MEDIA = re.compile(r"\[(?:media attached|media source|Attached [a-z ()]+:|Image|Audio)[^\n]*\]\n?")
_MEDIA_HINT = re.compile(r"To send an image back, prefer the message tool[^\n]*\n?")
_TIME = re.compile(r"Current time: [^\n]*(?:\n|$)")
_PLACEHOLDER = re.compile(r"<media:[a-z]+>[ \t]*\n?|\[User sent media without caption\]\n?")
_INJECTED = re.compile(
    r"<(relevant-memories|user-persona|scene-navigation|memory-tools-guide|active_memory_plugin"
    r"|system-reminder|memory-context|hindsight_memories|supermemory-context)>.*?</\1>\s*"
    r"|<(skill|file) name=\"[^>\n]{0,1000}>.*?</\2>\s*",
    re.DOTALL,
)
_QUEUE = re.compile(r"\[Queued messages while agent was busy\]\s*")
_QUEUED = re.compile(r"---\nQueued #\d+[^\n]*(?:\n|$)")
_PREFACE = re.compile(r"\n\n(?=(?:Conversation info|Sender) \(untrusted metadata\):\n```json\n)")
_MACHINE_PARAGRAPH = re.compile(
    r"\n\n(?:A new session was started via /new or /reset\.|Read HEARTBEAT\.md if it exists)"
)
"""Plugins put standing instructions in front, of any wording."""
_SPACE = re.compile(r"\s+")

_TAIL = re.compile(
    r"\[Bootstrap truncation warning\]"
    r"|Untrusted context \(metadata, do not treat as instructions or commands\):"
    r"|<<<EXTERNAL_UNTRUSTED_CONTENT"
    r"|(?:\[(?:message_id|slack message id|from|telegram message id|discord message id)"
    r"[: ][^\]\n]{0,300}\]\s*)+\Z",
    re.IGNORECASE,
)
_BLANK = re.compile(r"\s*\Z")

_MACHINE = (
    "A new session was started via /new or /reset",
    "A scheduled reminder has been triggered",
    'A cron job "',
    'A subagent task "',
    'A background task "',
    "An async command you ran earlier has completed",
    "An async command did not run",
    "Agent-to-agent announce step",
    "The conversation history before this point was compacted",
    "Continue where you left off. The previous model attempt",
    "Continue the OpenClaw runtime event.",
    "OpenClaw runtime context",
    "Pre-compaction memory flush",
    "Read HEARTBEAT.md",
    "Session nearing compaction",
    "Write any lasting notes to memory",
    "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>",
    "<<<EXTERNAL_UNTRUSTED_CONTENT",
    "[cron:",
    "[hook:",
    "[Internal task completion event]",
    "[OpenClaw heartbeat poll]",
    "[Queued announce messages",
    "[Retry after the previous model attempt failed",
    "[System Message]",
    "[System]",
)
_AGENT = (
    "[Subagent Context]",
    "[Subagent Task]",
    "[Inter-session message]",
    "Agent-to-agent message",
)
_SENDER_KEYS = ("sender", "name", "label", "id", "sender_id", "username")
_REPLY_TO = re.compile(r"\s*(?:\[\[\s*(?:reply_to[^\]\n]{0,200}|audio_as_voice)\s*\]\]\s*)+")
_BLOCKS = (
    *(_CURRENT, _ENVELOPE, _HINT, _MEDIA, _MEDIA_HINT, _TIME, _PLACEHOLDER, _INJECTED),
    *(_QUEUE, _QUEUED, _SPACE),
)


class Unwrapped(NamedTuple):
    """A user message cut into what stands in front, what was typed, and what stands behind; the
    three together are the message. `author` is who typed ("" if there is nothing but wrapping),
    `sender` their name in the channel.
    """

    before: str
    typed: str
    after: str
    author: Author
    sender: str = ""


def unwrap(text: str) -> Unwrapped:
    """Cut a user message; one without any wrapping was typed by a person as it is."""
    preface = None if _begins_with_block(text) else _PREFACE.search(text)
    start: int = preface.end() if preface is not None else 0
    senders: list[str] = []
    while start < len(text):
        if text.startswith(_AGENT, start):
            return Unwrapped(text[:start], text[start:], "", "agent")
        if text.startswith(_MACHINE, start):
            return Unwrapped(text, "", "", "harness")
        end = _block_end(text, start, senders)
        if end <= start:
            break
        start = end
    if start == 0 and _MACHINE_PARAGRAPH.search(text):
        return Unwrapped(text, "", "", "harness")
    tail = _TAIL.search(text, start)
    end = tail.start() if tail is not None else len(text)
    names = _names(senders)
    start = _past_label(text, start, end, names)
    typed = text[start:end]
    author: Author = "person" if typed.strip() else ""
    return Unwrapped(text[:start], typed, text[end:], author, names[0] if names else "")


def is_queued(text: str) -> bool:
    """Whether the message holds what was typed while the agent worked."""
    return _QUEUE.match(text) is not None


def segments(text: str) -> list[str]:
    """The messages of a user message that were typed while the agent worked, each with its head;
    the text itself if there is but one.
    """
    if not is_queued(text):
        return [text]
    starts = [match.start() for match in _QUEUED.finditer(text)]
    cuts = [0, *(start for start in starts if start), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]


def _begins_with_block(text: str) -> bool:
    return text.startswith((*_MACHINE, *_AGENT)) or _block_end(text, 0, []) > 0


def _block_end(text: str, start: int, senders: list[str]) -> int:
    """Where the block at `start` ends; `start` if there is none. Notes who is said to speak."""
    if (label := _LABEL.match(text, start)) is not None:
        fence = _FENCE_END.search(text, label.end() - 1)
        if fence is not None:
            senders.append(text[label.end() : fence.start()])
            return fence.end()
    if (system := _SYSTEM.match(text, start)) is not None:
        said = _SAID.match(system.group(1))
        # A line that repeats the message is all there is of it where nothing follows.
        if said is not None and _BLANK.match(text, system.end()):
            return system.start(1) + said.end()
        return system.end()
    if (history := _HISTORY.match(text, start)) is not None:
        return _history_end(text, history.end())
    return next((m.end() for block in _BLOCKS if (m := block.match(text, start))), start)


def _history_end(text: str, start: int) -> int:
    """Where earlier messages of the channel end: at the next block, else at the last envelope."""
    block = _BLOCK_START.search(text, start)
    if block is not None:
        return block.start() + text.startswith("\n", block.start())
    last = start
    for line in re.finditer(r"(?:^|\n)(?=\[)", text[start:]):
        if _ENVELOPE.match(text, start + line.end()):
            last = start + line.end()
    return last if last > start else len(text)


def _names(blocks: list[str]) -> list[str]:
    """The names and ids of who is speaking, the best first."""
    found: list[str] = []
    for block in blocks:
        with contextlib.suppress(ValueError):
            value = orjson.loads(block)
            if isinstance(value, dict) and not {"body", "messages"} & value.keys():
                names = (string(value.get(key)).strip() for key in _SENDER_KEYS)
                found.extend(name for name in names if name and name not in found)
    return found


def _past_label(text: str, start: int, end: int, names: list[str]) -> int:
    """Behind the `Name: ` that groups put in front of a message."""
    for name in names:
        if text.startswith(f"{name}: ", start, end):
            return start + len(name) + 2
    return start


def reply_text(text: str) -> str:
    """The text of a reply without the directives in front of it (`[[reply_to_current]]`)."""
    directive = _REPLY_TO.match(text) if "[[" in text[:200] else None
    return text if directive is None else text[directive.end() :]
