"""The transcript formats of coding agents that are known, and which one a line is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acontext_fs.formats import claude_code, codex, gemini_cli, pi, qwen
from acontext_fs.formats.dialect import Dialect

# Qwen Code writes the envelope of Claude Code around other contents, so it is asked first.
KNOWN: tuple[Dialect, ...] = (
    qwen.DIALECT,
    claude_code.DIALECT,
    codex.DIALECT,
    gemini_cli.DIALECT,
    pi.DIALECT,
)
NAMED: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (*KNOWN, pi.OPENCLAW)}


def of(value: Mapping[str, Any]) -> Dialect | None:
    """The format that an object, seen alone, is a line of; None where it does not show."""
    return next((dialect for dialect in KNOWN if dialect.is_own(value)), None)
