"""The messages of a session, in the format of whoever asks, edited to fit."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import APIRouter, Query
from starlette.responses import Response

from acontext_fs import editing, json_shapes
from acontext_fs.api import paging, shapes
from acontext_fs.api.answers import ApiError
from acontext_fs.api.paging import CursorText, LimitOrAll
from acontext_fs.api.reader import Opened, Reader
from acontext_fs.api.routes_sessions import At, SessionName
from acontext_fs.formats.convert import Converted, convert
from acontext_fs.records import Message, MessageFormat
from acontext_fs.transcripts import Transcript

FromTheEnd = Annotated[
    bool,
    Query(
        description="Pages from the newest to the oldest; inside a page the order stays.",
        examples=[False],
    ),
]
WithEvents = Annotated[
    bool, Query(description="With the events from the time of the page.", examples=[True])
]
Format = Annotated[MessageFormat, Query(description="How `items` look.", examples=["anthropic"])]
Strategies = Annotated[
    str,
    Query(
        description="A JSON list of what to leave out of the page: `remove_tool_result`, "
        "`remove_tool_call_params`, `middle_out`, `token_limit`.",
        examples=['[{"type": "token_limit", "params": {"limit_tokens": 20000}}]'],
    ),
]
Pin = Annotated[
    str,
    Query(
        description="Edit up to this message only, so that the start stays the same while the "
        "session grows: `edit_at_message_id` of an answer before.",
        examples=["1f0b1c9e-2a7e-5f0c-8d55-3f2f8b7f4a10"],
    ),
]
WithUrls = Annotated[
    bool, Query(description="Changes nothing: media is in the messages.", examples=[True])
]


class _Asked(NamedTuple):
    """What a request wants of the messages."""

    limit: int
    cursor: str
    desc: bool
    with_events: bool
    format: MessageFormat
    strategies: str
    pin: str


def routes(reader: Reader) -> APIRouter:
    """The routes, reading from `reader`."""
    router = APIRouter(tags=["sessions"])

    @router.get(
        "/session/{session_id}/messages",
        summary="Messages of a session",
        responses=shapes.answers(shapes.Messages),
    )
    async def session_messages(
        session_id: SessionName,
        limit: LimitOrAll = 0,
        cursor: CursorText = "",
        time_desc: FromTheEnd = False,
        with_events: WithEvents = False,
        format: Format = "openai",
        edit_strategies: Strategies = "",
        pin_editing_strategies_at_message: Pin = "",
        with_asset_public_url: WithUrls = True,
        at: At = "",
    ) -> Response:
        """The messages in the order of their lines, which is kept whatever their times say."""
        del with_asset_public_url
        pin = pin_editing_strategies_at_message
        asked = _Asked(limit, cursor, time_desc, with_events, format, edit_strategies, pin)
        return await reader.answered(session_id, asked, lambda opened: _answer(opened, asked), at)

    return router


def _answer(opened: Opened, asked: _Asked) -> dict[str, Any]:
    transcript = opened.transcript
    strategies = _strategies(asked.strategies)
    places, next_cursor = _cut(transcript, asked)
    page = transcript.messages[places.start : places.stop]
    counts = transcript.token_counts()
    edited = _edited(page, counts[places.start : places.stop], strategies, asked.pin)
    converted = _converted(opened, edited.messages, asked.format)
    found: dict[str, Any] = {
        "items": converted.items,
        "ids": [message.id for message in edited.messages],
        "metas": [dict(message.meta) for message in edited.messages],
        "has_more": next_cursor is not None,
        "this_time_tokens": edited.tokens,
    }
    if next_cursor is not None:
        found["next_cursor"] = next_cursor
    if edited.edit_at_message_id is not None:
        found["edit_at_message_id"] = edited.edit_at_message_id
    if asked.with_events and page and (events := _events(opened, places)):
        found["events"] = events
    if converted.lost:
        found["not_expressed"] = [asdict(loss) for loss in converted.lost]
    return found


def _strategies(text: str) -> Sequence[editing.Strategy]:
    if not text:
        return ()
    try:
        return editing.parse(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise ApiError(
            400, f"edit_strategies is not valid JSON ({error}): send a list of strategies"
        ) from error


def _cut(transcript: Transcript, asked: _Asked) -> tuple[range, str | None]:
    """The places of the messages of a page, and the cursor of the next.

    A cursor says up to which place the pages before went; lines are only ever added behind.
    """
    count = len(transcript.messages)
    start = paging.decode_cursor(asked.cursor)
    if not asked.limit:
        return range(count), None
    at = None if start is None else _place(transcript, start)
    if asked.desc:
        end = count if at is None else at
        places = range(max(0, end - asked.limit), end)
        last, is_more = places.start, places.start > 0
    else:
        begin = 0 if at is None else at + 1
        places = range(begin, min(count, begin + asked.limit))
        last, is_more = places.stop - 1, places.stop < count
    if not is_more or not places:
        return places, None
    return places, paging.encode_cursor(last, transcript.messages[last].id)


def _place(transcript: Transcript, cursor: paging.Cursor) -> int:
    """Where the message of a cursor stands; by its id where the file was changed by hand."""
    number, message_id = cursor
    messages = transcript.messages
    if 0 <= number < len(messages) and messages[number].id == message_id:
        return number
    found = transcript.position.get(message_id)
    if found is None:
        raise ApiError(
            400, "cursor names a message that is no longer there: begin again without a cursor"
        )
    return found


def _edited(
    page: Sequence[Message],
    counts: Sequence[int],
    strategies: Sequence[editing.Strategy],
    pin: str,
) -> editing.Edited:
    # By object, because an id may come twice; what an edit changed is not asked about.
    known = {id(message): count for message, count in zip(page, counts, strict=True)}
    return editing.apply(
        page, strategies, pin=pin or None, count=lambda message: known[id(message)]
    )


def _converted(opened: Opened, shown: Sequence[Message], target: MessageFormat) -> Converted:
    if target != "acontext":
        return convert(shown, target)
    transcript = opened.transcript
    return Converted(
        json_shapes.messages(
            shown,
            session_id=opened.public_id,
            every=transcript.messages,
            tasks=transcript.tasks,
            progress=transcript.progress,
            is_tracked=opened.is_tracked,
        )
    )


def _events(opened: Opened, places: range) -> list[dict[str, Any]]:
    """The events of a page, in line order: those between its first message and the next page's.

    By line, as the messages: several events and messages may have one time. Those in front of all
    messages are on the page of the first.
    """
    messages = opened.transcript.messages
    first = messages[places.start].line if places.start else 0
    behind = messages[places.stop].line if places.stop < len(messages) else sys.maxsize
    return [
        json_shapes.event(event, session_id=opened.public_id)
        for event in opened.transcript.events
        if first <= event.line < behind
    ]
