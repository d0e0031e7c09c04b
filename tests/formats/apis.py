"""What the three providers' APIs accept, as checks on lists of messages.

Only what their references and error messages say, and what a converter can get wrong.
"""

from __future__ import annotations

import base64
import re
from typing import Any

_ID = re.compile(r"[A-Za-z0-9_-]+")


def check(target: str, items: list[dict[str, Any]]) -> None:
    """Fail where the API of `target` would refuse `items`."""
    {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}[target](items)


def _openai(items: list[dict[str, Any]]) -> None:
    waiting: list[str] = []
    for item in items:
        role, content = item["role"], item.get("content")
        assert role in ("system", "developer", "user", "assistant", "tool", "function")
        if role == "tool":
            waiting.remove(item["tool_call_id"])
            kinds = {"text"}
        elif role != "function":
            assert not waiting, "calls without results in front of the next message"
            kinds = {"text", "refusal"} if role == "assistant" else {"text"}
            if role == "user":
                kinds |= {"image_url", "input_audio", "file"}
        if isinstance(content, list):
            assert content
            assert {piece["type"] for piece in content} <= kinds
            for piece in content:
                _openai_piece(piece)
        elif content is None:
            assert item.get("tool_calls") or item.get("function_call")
        else:
            assert isinstance(content, str)
        for call in item.get("tool_calls", ()):
            assert call["id"]
            body = call[call["type"]]
            assert isinstance(body["arguments" if call["type"] == "function" else "input"], str)
        waiting += [call["id"] for call in item.get("tool_calls", ())]
    assert not waiting


def _openai_piece(piece: dict[str, Any]) -> None:
    if piece["type"] == "image_url":
        assert piece["image_url"]["url"].startswith(("data:image/", "http://", "https://"))
    if piece["type"] == "input_audio":
        assert piece["input_audio"]["format"] in ("wav", "mp3")
        base64.b64decode(piece["input_audio"]["data"], validate=True)
    if piece["type"] == "file" and "file_id" not in piece["file"]:
        assert piece["file"]["filename"]
        assert piece["file"]["file_data"].startswith("data:")


def _anthropic(items: list[dict[str, Any]]) -> None:
    waiting: set[str] = set()
    seen: set[str] = set()
    for item in items:
        assert item["role"] in ("user", "assistant", "system")
        blocks = item["content"]
        assert blocks
        kinds = [block["type"] for block in blocks]
        results = kinds.count("tool_result")
        assert kinds[:results] == ["tool_result"] * results, "results stand in front"
        answered = [block["tool_use_id"] for block in blocks[:results]]
        assert len(set(answered)) == results
        assert set(answered) == waiting, "all calls of a reply are answered at once"
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert not seen & set(calls)
        assert item["role"] == "assistant" or not calls
        seen |= set(calls)
        waiting = set(calls)
        for block in blocks:
            _anthropic_block(block, item["role"])
    assert not waiting


def _anthropic_block(block: dict[str, Any], role: str) -> None:
    kind = block["type"]
    if kind == "text":
        assert block["text"].strip()
    if kind == "tool_use":
        assert _ID.fullmatch(block["id"])
        assert isinstance(block["input"], dict)
    if kind == "tool_result":
        assert block.get("content") != []
        for inner in block.get("content", ()):
            assert inner["type"] in ("text", "image", "document", "search_result")
            _anthropic_block(inner, role)
    if kind == "thinking":
        assert isinstance(block["signature"], str)
    if kind in ("image", "document"):
        assert role == "user"
        source = block["source"]
        if source["type"] == "base64":
            wanted = "image/(jpeg|png|gif|webp)" if kind == "image" else "application/pdf"
            assert re.fullmatch(wanted, source["media_type"])
            base64.b64decode(source["data"], validate=True)
        if source["type"] == "url":
            assert source["url"].startswith(("http://", "https://"))


def _gemini(items: list[dict[str, Any]]) -> None:
    waiting = 0
    for item in items:
        assert item["role"] in ("user", "model", "system")
        assert item["parts"]
        responses = [part for part in item["parts"] if "functionResponse" in part]
        assert len(responses) == waiting, "as many responses as calls"
        waiting = sum("functionCall" in part for part in item["parts"])
        for part in item["parts"]:
            _gemini_part(part)
    assert not waiting


def _gemini_part(part: dict[str, Any]) -> None:
    content = part.keys() - {"thought", "thoughtSignature", "videoMetadata", "mediaResolution"}
    assert len(content) == 1
    (kind,) = content
    piece = part[kind]
    if kind == "text":
        assert piece or "thoughtSignature" in part
    if kind == "functionCall":
        assert piece["name"]
        assert isinstance(piece["args"], dict)
    if kind == "functionResponse":
        assert piece["name"]
        assert isinstance(piece["response"], dict)
        for inner in piece.get("parts", ()):
            _gemini_part(inner)
    if kind == "inlineData":
        assert "/" in piece["mimeType"]
        base64.b64decode(piece["data"], validate=True)
    if kind == "fileData":
        assert piece["fileUri"]
