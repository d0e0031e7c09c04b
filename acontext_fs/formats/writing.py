"""What all writers of a provider's format share: rules by part type, and a list of what is lost.

A writer never drops anything silently. What a part cannot say in the target is a `Loss`: the whole
part, or one key of its meta.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from acontext_fs.formats.body import result_pieces
from acontext_fs.formats.turns import Piece
from acontext_fs.records import Message, MessageFormat, Part, PartType


@dataclass(frozen=True, slots=True)
class Loss:
    """Something of a message that the target cannot express.

    `part` is the part's index in the message, -1 for the message itself; `type` the part's type,
    or "message". `key` names what is lost of a part (or message) that is there otherwise; "" means
    that all of it is left out. `why` says it in a few words.
    """

    message_id: str
    part: int
    type: str
    why: str
    key: str = ""


@dataclass(slots=True)
class Writing:
    """A conversion under way: to what, what was lost so far, and the call ids in use."""

    target: MessageFormat
    lost: list[Loss] = field(default_factory=list)
    call_ids: set[str] = field(default_factory=set)

    def native(self, piece: Piece) -> bool:
        """Did the piece come in the very format that is written?"""
        return piece.message.format == self.target

    def leave_out(self, piece: Piece, why: str) -> None:
        """The whole part cannot be said."""
        self.lost.append(Loss(piece.message.id, piece.index, piece.part.type, why))

    def lose_key(self, piece: Piece, key: str, why: str) -> None:
        """The part is there without what `key` says."""
        self.lost.append(Loss(piece.message.id, piece.index, piece.part.type, why, key))

    def lose_of_message(self, message: Message, key: str, why: str) -> None:
        """The message is there without what `key` says; with key "" it is left out."""
        self.lost.append(Loss(message.id, -1, "message", why, key))

    def add_extra(self, piece: Piece, said: dict[str, Any], known: frozenset[str]) -> None:
        """Give the keys nobody knows back to their own format, and note what is not said.

        `known` are the keys of the part's meta that are said, or go without saying.
        """
        meta = piece.part.meta
        if meta.keys() <= known:
            return
        for key, value in meta.items():
            if key in known or value is None or value is False or value == "":
                continue
            if key == "extra" and isinstance(value, dict) and self.native(piece):
                _merge(said, value)
            else:
                self.lose_key(piece, key, f"no place for it in {self.target}")


def _merge(said: dict[str, Any], extra: Mapping[str, Any]) -> None:
    for key, value in extra.items():
        have = said.setdefault(key, value)
        if have is not value and isinstance(have, dict) and isinstance(value, dict):
            said[key] = value | have


Write: TypeAlias = Callable[[Piece, Writing], dict[str, Any] | None]


class Rule(NamedTuple):
    """How parts of one type are written, and the same in words, for the table in the docs."""

    write: Write
    says: str


def write_all(
    pieces: Iterable[Piece], rules: Mapping[PartType, Rule], writing: Writing
) -> list[dict[str, Any]]:
    """What can be said of the pieces, in order."""
    found = []
    for piece in pieces:
        said = rules[piece.part.type].write(piece, writing)
        if said is not None:
            found.append(said)
    return found


def never(why: str) -> Write:
    """For parts that have no place in a format."""

    def write(piece: Piece, writing: Writing) -> None:
        writing.leave_out(piece, why)

    return write


def data(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    """A piece of unknown meaning goes back, as it came, to the format it came in."""
    value = piece.part.meta.get("value")
    if not writing.native(piece):
        writing.leave_out(piece, f"only {piece.message.format} knows what it means")
        return None
    if not isinstance(value, dict):
        writing.leave_out(piece, "a piece that is no object")
        return None
    return value


def is_native_system(message: Message | None, target: MessageFormat) -> bool:
    """Is it a system message in the list of messages of the very format that is written?"""
    return message is not None and message.original_role == "system" and message.format == target


def inside(result: Piece) -> list[Piece]:
    """The pieces of a tool's result in their order, its texts among them."""
    if not result.inner and "layout" not in result.part.meta:
        text = result.part.text
        return [Piece(result.message, result.index, Part("text", text, {}))] if text else []
    known = {id(piece.part): piece for piece in result.inner}
    return [
        _unlinked(known[id(part)])
        if id(part) in known
        else Piece(result.message, result.index, part)
        for part in result_pieces(result.part, [piece.part for piece in result.inner])
    ]


def _unlinked(piece: Piece) -> Piece:
    """The piece without its place in a result, which the result around it says."""
    meta = {k: v for k, v in piece.part.meta.items() if k not in ("tool_call_id", "layout")}
    part = Part(piece.part.type, piece.part.text, meta)
    return Piece(piece.message, piece.index, part, from_tool=True)


def call_id(piece: Piece) -> str:
    """The id of a call, or of the call a result answers; one derived from its place if none."""
    call = piece.call or piece
    if not call.call_id:
        own = call.part.meta.get("tool_call_id" if call.part.type == "tool-result" else "id")
        call.call_id = own if isinstance(own, str) and own else new_call_id(call)
    return call.call_id


def new_call_id(call: Piece) -> str:
    """An id that every API takes, the same in every conversion."""
    place = f"{call.message.id}/{call.message.line}/{call.index}".encode(errors="replace")
    return f"call_{hashlib.blake2b(place, digest_size=12).hexdigest()}"
