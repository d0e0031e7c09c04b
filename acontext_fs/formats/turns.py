"""The order in which the providers' APIs take calls and results.

All three want the results of an assistant's tool calls directly behind the message with the calls,
complete, and before anything else a user says. Transcripts do not always come like that: results
in messages of their own, words in between, one reply cut into several lines. Results are moved to
where their calls are, and a reply is put together where a result would otherwise stand behind the
wrong half of it. Nothing else is merged, moved or made up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from acontext_fs.records import Message, Part, Role


@dataclass(slots=True, eq=False)
class Piece:
    """A part and where it stands.

    Of a result, `call` is what it answers and `inner` what came with it; those are `from_tool`.
    """

    message: Message
    index: int
    part: Part
    call: Piece | None = None
    inner: list[Piece] = field(default_factory=list)
    call_id: str = ""
    from_tool: bool = False


@dataclass(slots=True, eq=False)
class Turn:
    """What is said at once: in a user's turn first the results, then the other pieces.

    `message` is the first that it is made of, None for results alone; `answers` are the results of
    an assistant's calls, until they have been given to the turn behind.
    """

    message: Message | None
    role: Role
    pieces: list[Piece] = field(default_factory=list)
    results: list[Piece] = field(default_factory=list)
    answers: list[Piece] = field(default_factory=list)
    others: list[Message] = field(default_factory=list)


class _Calls:
    """The calls so far, to be found by what answers them."""

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[Piece, Turn]] = {}
        self._open: dict[str, deque[tuple[Piece, Turn, int]]] = {}
        self._answered: set[Piece] = set()

    def add(self, call: Piece, turn: Turn, asked: int) -> None:
        """`asked` is how often the user spoke before: who calls a tool again waits no longer."""
        own = call.part.meta.get("id")
        if isinstance(own, str) and own:
            self._by_id[own] = call, turn
        waiting = self._open.setdefault(str(call.part.meta.get("name")), deque())
        if waiting and waiting[-1][2] < asked:
            waiting.clear()
        waiting.append((call, turn, asked))

    def answered_by(self, result: Piece) -> tuple[Piece, Turn] | None:
        """The call with the result's id; without one, the first open call of that name."""
        own = result.part.meta.get("tool_call_id")
        found = None
        if isinstance(own, str) and own:
            found = self._by_id.get(own)
        else:
            waiting = self._open.get(str(result.part.meta.get("name")), deque())
            while waiting and found is None:
                first = waiting.popleft()
                found = None if first[0] in self._answered else first[:2]
        if found is not None:
            self._answered.add(found[0])
        return found


def arrange(messages: Iterable[Message]) -> list[Turn]:
    """The messages as turns, every result directly behind its call."""
    asked = Turn(None, "user")
    turns = [asked]
    calls = _Calls()
    spoken = 0
    for message in messages:
        spoken += message.role == "user"
        turn = Turn(message, message.role)
        turns.append(turn)
        if message.role == "assistant":
            asked = turn
        _fill(turn, message, asked, calls, spoken)
    return _answered(_whole(turns))


def _fill(turn: Turn, message: Message, asked: Turn, calls: _Calls, spoken: int) -> None:
    """Put the parts of the turn's message where they belong."""
    results: dict[object, Piece] = {}
    for index, part in enumerate(message.parts):
        piece = Piece(message, index, part)
        if part.type == "tool-result":
            found = calls.answered_by(piece)
            piece.call, home = found or (None, asked)
            home.answers.append(piece)
            results[str(part.meta.get("tool_call_id", ""))] = piece
            continue
        if results and "tool_call_id" in part.meta:
            result = results.get(str(part.meta["tool_call_id"]))
            if result is not None:
                piece.from_tool = True
                result.inner.append(piece)
                continue
        turn.pieces.append(piece)
        if part.type == "tool-call" and part.meta.get("type") != "server_tool_use":
            calls.add(piece, turn, spoken)


def _whole(turns: list[Turn]) -> list[Turn]:
    """A reply that goes on behind a call which is answered later is one turn."""
    found: list[Turn] = []
    for turn in turns:
        last = found[-1] if found else None
        goes_on = last is not None and last.role == turn.role == "assistant"
        if last and turn.message and goes_on and last.answers:
            last.pieces += turn.pieces
            last.answers += turn.answers
            last.others.append(turn.message)
        else:
            found.append(turn)
    return found


def _answered(turns: list[Turn]) -> list[Turn]:
    """Answers go to the user's turn behind if some came with it, else into a turn of their own."""
    found: list[Turn] = []
    for index, turn in enumerate(turns):
        found.append(turn)
        if not turn.answers:
            continue
        behind = turns[index + 1] if index + 1 < len(turns) else None
        if (
            behind is not None
            and behind.message is not None
            and behind.role == "user"
            and not behind.message.original_role
            and any(answer.message is behind.message for answer in turn.answers)
        ):
            behind.results = turn.answers
        else:
            found.append(Turn(None, "user", results=turn.answers))
    return found
