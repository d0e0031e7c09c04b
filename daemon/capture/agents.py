"""Where coding agents keep their transcripts. Pure: the environment and home come as arguments.

The places are those of the agents' own documentation and sources: Claude Code
(`CLAUDE_CONFIG_DIR`), Codex (`CODEX_HOME`), Gemini CLI (`GEMINI_CLI_HOME`), pi
(`PI_CODING_AGENT_DIR`), OpenClaw (`OPENCLAW_STATE_DIR`), Qwen Code (`QWEN_HOME`).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from acontext_fs.formats.sources import is_session_name

ANY = ""
"""Files of whatever agent."""


class Agent(NamedTuple):
    """One agent: the variable that moves its folder, the folder otherwise, and what is in it.

    `folders` are below its home folder, `patterns` are names of files that may be transcripts.
    """

    name: str
    variable: str
    home: str
    folders: tuple[str, ...]
    patterns: tuple[str, ...]


KNOWN: tuple[Agent, ...] = (
    Agent("claude-code", "CLAUDE_CONFIG_DIR", ".claude", ("projects",), ("*.jsonl",)),
    Agent(
        "codex",
        "CODEX_HOME",
        ".codex",
        ("sessions", "archived_sessions"),
        ("*.jsonl", "*.jsonl.zst"),
    ),
    Agent("gemini", "GEMINI_CLI_HOME", ".gemini", ("tmp",), ("*.json", "*.jsonl")),
    Agent("pi", "PI_CODING_AGENT_DIR", ".pi/agent", ("sessions",), ("*.jsonl",)),
    Agent("openclaw", "OPENCLAW_STATE_DIR", ".openclaw", ("agents",), ("*.jsonl",)),
    Agent("qwen", "QWEN_HOME", ".qwen", ("projects", "tmp"), ("*.json", "*.jsonl")),
)
NAMED: Mapping[str, Agent] = {agent.name: agent for agent in KNOWN}

_NEVER = (
    "checkpoint*.json",
    "session_index.jsonl",
    "*.md",
    "*.txt",
    "*.toml",
    "*.py",
    "*.png",
    "*.jpg",
    "*.db",
    "*.sqlite*",
    "*.pyc",
    "*.html",
)
"""What stands beside transcripts and is none, without a look inside."""


def folders_of(agent: Agent, environment: Mapping[str, str], home: Path) -> list[Path]:
    """The folders in which an agent keeps its transcripts, there or not."""
    named = environment.get(agent.variable, "")
    if agent.name == "gemini" and named:
        named = f"{named}/.gemini"  # The variable names the home folder, not the folder in it.
    base = Path(named).expanduser() if named else home / agent.home
    return [base / folder for folder in agent.folders]


def may_hold_a_session(name: str, agent: str = ANY) -> bool:
    """Whether a file of this name, in the folders of an agent, is worth a look inside."""
    if not is_session_name(name) or _matches(name, _NEVER):
        return False
    known = NAMED.get(agent)
    return known is None or _matches(name, known.patterns)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
