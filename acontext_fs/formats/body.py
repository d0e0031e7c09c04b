"""What the provider formats have in common: the body of a message, and its odd pieces.

Readers are total: whatever JSON stands where a piece is expected, a part comes out. A piece nobody
knows becomes a `data` part that holds it whole, and a key nobody knows stands under `extra` in the
part's meta, so that nothing is lost and nothing raises.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import orjson

from acontext_fs import jsonl
from acontext_fs.records import MessageFormat, Part, PartType, Role


class Body(NamedTuple):
    """A message without its place and time: what a provider's JSON says.

    `meta` and `source_format` are what Acontext's own format says of a message besides.
    """

    role: Role
    parts: tuple[Part, ...]
    original_role: Literal["", "system", "developer"] = ""
    name: str = ""
    meta: Mapping[str, Any] | None = None
    source_format: MessageFormat | None = None


def original_role(role: str) -> Literal["", "system", "developer"]:
    """The role that the two roles of the internal format cannot hold, or ""."""
    if role == "system":
        return "system"
    return "developer" if role == "developer" else ""


def data_part(value: Any) -> Part:
    """A piece of unknown meaning: `data_type` is its own type name, `value` the piece itself."""
    kind = value.get("type") if isinstance(value, dict) else None
    return Part(
        "data", meta={"data_type": kind if isinstance(kind, str) else "json", "value": value}
    )


def json_text(value: Any) -> str:
    """`value` as compact JSON text; values that no JSON text can hold are described instead."""
    with contextlib.suppress(TypeError):
        return orjson.dumps(value).decode("utf-8")
    # Decoding nests deeper and counts higher than orjson encodes.
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return '"nested too deeply"'


def string(value: Any) -> str:
    """`value` if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def meta_of(source: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Those of `keys` that `source` has a value for."""
    return {key: source[key] for key in keys if source.get(key) is not None}


def beside(piece: Mapping[str, Any], known: frozenset[str], kept: Iterable[str]) -> dict[str, Any]:
    """What a piece says besides its content: `kept` under their names, the unknown as `extra`."""
    meta = meta_of(piece, kept)
    if not piece.keys() <= known:
        extra = {k: v for k, v in piece.items() if k not in known and v is not None}
        if extra:
            meta["extra"] = extra
    return meta


def media_type_part(mime: str) -> PartType:
    """The part type for content of a MIME type."""
    family = mime.partition("/")[0]
    if family == "image":
        return "image"
    if family == "audio":
        return "audio"
    return "video" if family == "video" else "file"


def items(value: Any) -> tuple[Any, ...]:
    """The elements of a list; nothing for null; anything else stands for itself."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)


def json_value(text: str) -> Any:
    """What JSON text says.

    Raises:
        ValueError: it is no JSON, or nested too deeply to be written inside of something.
    """
    value = orjson.loads(text)
    crowded = text.count("{") + text.count("[") > jsonl.DEPTH_MAX
    if crowded and (problem := jsonl.decode(b'{"value":' + text.encode() + b"}").problem):
        raise ValueError(problem)
    return value


def object_of(arguments: Any) -> dict[str, Any]:
    """A call's arguments as the object that the APIs want; what is none stands under `input`."""
    value = arguments
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError):
            value = json_value(arguments) if arguments.strip() else {}
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"input": value}


def result_parts(meta: dict[str, Any], inner: Sequence[Part]) -> tuple[Part, ...]:
    """A tool's result: its texts joined; what is not text follows and names the same call.

    Where that says too little (a picture in front of text, text with a meta of its own), `layout`
    has an entry a piece: the length of a text and its meta, None for one of the parts behind. It
    stands in the first of them; if there is none, in the result.
    """
    texts = [part for part in inner if part.type == "text"]
    rest = [part for part in inner if part.type != "text"]
    marked = any(part.meta for part in texts)
    result = Part("tool-result", "".join(part.text for part in texts), meta)
    if not rest and not marked:
        return (result,)
    call = {"tool_call_id": meta.get("tool_call_id", "")}
    behind = [Part(part.type, part.text, {**part.meta, **call}) for part in rest]
    if marked or [*texts, *rest] != list(inner):
        layout = [
            {**part.meta, "length": len(part.text)} if part.type == "text" else None
            for part in inner
        ]
        if not behind:
            return (Part("tool-result", result.text, {**meta, "layout": layout}),)
        behind[0] = Part(behind[0].type, behind[0].text, {**behind[0].meta, "layout": layout})
    return (result, *behind)


def result_pieces(result: Part, rest: Sequence[Part]) -> list[Part]:
    """The pieces that `result_parts` made `result` and `rest` of; edited text is one piece."""
    layout = (rest[0] if rest else result).meta.get("layout")
    pieces = _laid_out(layout, result.text, rest) if isinstance(layout, list) else None
    if pieces is not None:
        return pieces
    return [Part("text", result.text, {}), *rest] if result.text else list(rest)


def _laid_out(layout: list[Any], text: str, rest: Sequence[Part]) -> list[Part] | None:
    """The pieces in the order of the layout; None where it does not fit what is there."""
    pieces: list[Part] = []
    others = iter(rest)
    start = 0
    for entry in layout:
        if entry is None:
            other = next(others, None)
            if other is None:
                return None
            pieces.append(other)
            continue
        length = entry.get("length") if isinstance(entry, dict) else None
        if not isinstance(length, int) or length < 0:
            return None
        meta = {key: value for key, value in entry.items() if key != "length"}
        pieces.append(Part("text", text[start : start + length], meta))
        start += length
    return pieces if start == len(text) and next(others, None) is None else None
