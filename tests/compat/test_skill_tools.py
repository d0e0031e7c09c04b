"""The official tool pool for skills, as an agent's loop uses it."""

from __future__ import annotations

from typing import Any

import pytest
from acontext import AcontextAsyncClient
from acontext.agent import SKILL_TOOLS

from tests.compat.conftest import Ask
from tests.compat.filled import TOOLBOX

IDS = ["shop.toolbox", "default.daily-logs"]


class Tools:
    """The pool over one client, sync or async, with the skills of IDS."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        is_async = isinstance(ask.client, AcontextAsyncClient)
        make = SKILL_TOOLS.async_format_context if is_async else SKILL_TOOLS.format_context
        self.execute = SKILL_TOOLS.async_execute_tool if is_async else SKILL_TOOLS.execute_tool
        self.context = ask.done(make(ask.client, IDS))

    def run(self, tool: str, **arguments: Any) -> str:
        """What a tool answers."""
        return str(self.ask.done(self.execute(self.context, tool, arguments)))


@pytest.fixture
def tools(ask: Ask) -> Tools:
    return Tools(ask)


def test_the_prompt_names_every_skill(tools: Tools) -> None:
    prompt = tools.context.get_context_prompt()
    for text in ("<name>toolbox</name>", "<name>daily-logs</name>", "Scripts of the shop"):
        assert text in prompt


def test_get_skill_lists_its_files(tools: Tools) -> None:
    answer = tools.run("get_skill", skill_name="toolbox")
    assert answer.startswith("Skill: toolbox (ID: shop.toolbox)\n")
    assert f"Files: {len(TOOLBOX)} file(s)" in answer
    for path in TOOLBOX:
        assert f"  - {path} (" in answer


def test_get_skill_file_gives_the_text(tools: Tools) -> None:
    path = "data/rows.csv"
    answer = tools.run("get_skill_file", skill_name="toolbox", file_path=path)
    assert "Content (type: csv):" in answer
    assert answer.endswith(TOOLBOX[path].decode().strip())


def test_get_skill_file_gives_an_address_for_bytes(tools: Tools) -> None:
    path = "assets/logo.png"
    answer = tools.run("get_skill_file", skill_name="toolbox", file_path=path, expire=60)
    assert "Download URL (expires in 60 seconds):\nhttp://127.0.0.1:" in answer
