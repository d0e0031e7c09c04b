"""Any endpoint that speaks Chat Completions, through the `openai` client.

The only importer of `openai` (and of `httpx2`, the transport whose errors shine through it).
The client's timeout is per read, so a dripping server would hold it for ever: requests run on an
event loop in one thread of our own, where an overall deadline can cut them off wherever they are.
Not done here: retries (the daemon's), other ways to ask (the ladder's).

Settled by the endpoint's own complaints and then remembered: whether the length limit is called
`max_tokens` or `max_completion_tokens`, or may not be given at all.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import email.utils
import json
import re
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

import httpx2
import openai

from acontext_fs.clock import Clock, SystemClock
from acontext_fs.errors import (
    FeatureRefused,
    ModelError,
    ModelMisbehaved,
    ModelUnavailable,
)
from acontext_fs.models import ChatMessage, Reply, Tool
from acontext_fs.models.address import checked_key, checked_url, shown_url
from acontext_fs.models.calls import clean
from acontext_fs.models.reply import CHARS_PER_TOKEN, error_text, read_reply

DEFAULT_BASE_URL = "https://api.openai.com/v1"
NO_KEY = "no-key"
"""Local servers want none, the client insists on one."""
CONNECT_SECONDS_MAX = 10.0
REPLY_BYTES_MAX = 8 * 1024 * 1024
ERROR_BYTES_MAX = 64 * 1024
"""So much of an answer that is an error is read; the client would read all of it."""
RETRY_AFTER_SECONDS_MAX = 86_400.0
LENGTH_KEYS = ("max_tokens", "max_completion_tokens", "")
LENGTH_TOKENS = {"max_tokens": 4096, "max_completion_tokens": 16_384}
"""Models that want the longer name count their thinking in it, hence more."""

_TOOLS_REFUSED = re.compile(
    r"\btools?\b|tool[_ ]choice|function[_ ]?call|\broles?\b|template", re.IGNORECASE
)
"""Chat templates that know no tools often say so by refusing the roles of the conversation."""
_TOO_LONG = re.compile(r"context (length|size|window)|too (long|large|many tokens)", re.IGNORECASE)
_FEATURE_STATUSES = frozenset([400, 404, 422, 500, 501])
_MOVED_STATUSES = frozenset([301, 302, 303, 307, 308])
_AWAY_STATUSES = frozenset([401, 402, 403, 404, 405, 407, 429, 503, 529]) | _MOVED_STATUSES
_UNREACHED = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


class OpenAIModel:
    """A model behind a Chat Completions endpoint; safe to ask from several threads at once.

    `timeout_seconds` is the deadline of one `complete`, connecting and reading included. Holds
    one thread and its connections from the first question until `close`.

    Raises:
        SettingsError: the base URL is none, or the key cannot stand in an HTTP header.
    """

    def __init__(
        self,
        base_url: str | None,
        api_key: str | None,
        model: str,
        timeout_seconds: float,
        clock: Clock | None = None,
    ) -> None:
        self._url = checked_url(base_url or DEFAULT_BASE_URL)
        self._key = checked_key(api_key or "")
        self._model = model
        self._timeout_seconds = timeout_seconds
        self._clock = clock or SystemClock()
        self._length_key = 0
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"OpenAIModel({self._model!r} at {self.endpoint})"

    def __enter__(self) -> OpenAIModel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        return self._model

    @property
    def endpoint(self) -> str:
        """The endpoint's address, without whatever secret stands in it."""
        return shown_url(self._url)

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Ask once, see `acontext_fs.models.Model`.

        Raises:
            ModelUnavailable: not reached, refused to everybody (401, 402, 403, 404, 429, 503), or
                closed meanwhile.
            FeatureRefused: the endpoint does not take tools, or not a schema.
            ModelMisbehaved: any other answer that is none, or none within the deadline.
        """
        body = _request(self._model, messages, tools, schema)
        with self._lock:  # so that nothing is handed to a worker that is being stopped
            worker = self._started()
            work = self._within_deadline(worker, body)
            future = asyncio.run_coroutine_threadsafe(work, worker.loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ModelUnavailable(f"{self._who()} was left: the model is closed") from None
        finally:
            future.cancel()  # an interrupted caller leaves nothing running

    def close(self) -> None:
        """Let go of the connections; whoever still waits for a reply gets `ModelUnavailable`."""
        with self._lock:
            worker, self._worker, self._closed = self._worker, None, True
        if worker is not None:
            worker.stop()

    def _started(self) -> _Worker:
        if self._closed:
            raise ModelUnavailable(f"{self._who()} is not asked: the model is closed")
        if self._worker is None:
            self._worker = _Worker(self._url, self._key or NO_KEY, self._timeout_seconds)
        return self._worker

    async def _within_deadline(self, worker: _Worker, body: dict[str, Any]) -> Reply:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._negotiated(worker, body)
        except TimeoutError:
            raise ModelMisbehaved(
                f"{self._who()} gave no whole answer within {self._timeout_seconds:g} s: "
                "raise llm_response_timeout if the model is slow",
                _size(body) // CHARS_PER_TOKEN,
            ) from None

    async def _negotiated(self, worker: _Worker, body: dict[str, Any]) -> Reply:
        """Ask, under another name for the length limit where the endpoint complains about it."""
        first = self._length_key
        for number in range(first, len(LENGTH_KEYS)):
            key = LENGTH_KEYS[number]
            limit = {key: LENGTH_TOKENS[key]} if key else {}
            try:
                reply = await self._once(worker, {**body, **limit})
            except openai.APIStatusError as error:
                if key and error.status_code in (400, 422) and key in _said(error):
                    continue
                raise self._explained(error, body) from None
            except (openai.APIConnectionError, httpx2.HTTPError) as error:
                raise self._unconnected(error, body) from None
            self._length_key = number
            return reply
        raise ModelMisbehaved(f"{self._who()} takes no name for the length limit")

    async def _once(self, worker: _Worker, body: dict[str, Any]) -> Reply:
        data = bytearray()
        async with worker.client.chat.completions.with_streaming_response.create(
            **body
        ) as response:
            async for chunk in response.iter_bytes():
                data += chunk
                if len(data) > REPLY_BYTES_MAX:
                    raise ModelMisbehaved(
                        f"{self._who()} answered more than {REPLY_BYTES_MAX} bytes",
                        len(data) // CHARS_PER_TOKEN,
                    )
        try:
            return read_reply(bytes(data), asked_chars=_size(body), with_tools="tools" in body)
        except ModelMisbehaved as error:
            raise ModelMisbehaved(self._hide(f"{self._who()} {error}"), error.tokens) from None

    def _explained(self, error: openai.APIStatusError, body: Mapping[str, Any]) -> ModelError:
        """The error for a status, without its cause: that one may hold the key."""
        status, said = error.status_code, _said(error)
        text = self._hide(f"{self._who()} answered {status}" + (f": {said}" if said else ""))
        refused = _refused_feature(status, said, body)
        if refused:
            return FeatureRefused(text, refused)
        if status in _AWAY_STATUSES:
            wait = _retry_after(error.response.headers, self._clock)
            return ModelUnavailable(f"{text}; {_ADVICE.get(status, 'wait')}", wait)
        return ModelMisbehaved(text)

    def _unconnected(
        self, error: openai.APIConnectionError | httpx2.HTTPError, body: Mapping[str, Any]
    ) -> ModelError:
        cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
        if isinstance(cause, _UNREACHED):
            return ModelUnavailable(
                f"{self._who()} cannot be reached ({type(cause).__name__}); "
                "check LLM_BASE_URL and that the server is running"
            )
        what = type(cause).__name__ if cause is not None else "no answer"
        return ModelMisbehaved(f"{self._who()} broke off ({what})", _size(body) // CHARS_PER_TOKEN)

    def _who(self) -> str:
        return f"{self._model} at {self.endpoint}"

    def _hide(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


_ADVICE = {
    401: "check LLM_API_KEY",
    402: "the account has no credit: add some, or use another endpoint",
    403: "check LLM_API_KEY and what it may use",
    404: "check LLM_BASE_URL and LLM_SIMPLE_MODEL",
    405: "check LLM_BASE_URL",
    407: "check the proxy",
    **dict.fromkeys(
        _MOVED_STATUSES, "nothing is sent to another address: put the new one into LLM_BASE_URL"
    ),
    429: "too many requests or no quota left: wait, or check the account",
}


class _Bounded(httpx2.AsyncByteStream):
    """The first bytes of a stream; the rest is never asked for."""

    def __init__(self, stream: httpx2.AsyncByteStream, bytes_max: int) -> None:
        self._stream = stream
        self._left = bytes_max

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk[: self._left]
            self._left -= len(chunk)
            if self._left <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx2.Response) -> None:
    """Before an error's body is read, all of it at once: see that it has an end and unpacks into
    nothing larger. That of an answer is read, and measured, piece by piece.
    """
    if not response.is_success:
        assert isinstance(response.stream, httpx2.AsyncByteStream), "the client is asynchronous"
        response.stream = _Bounded(response.stream, ERROR_BYTES_MAX)
        response.headers.pop("content-encoding", None)


class _Worker:
    """A thread that runs an event loop, and the client that lives on it."""

    def __init__(self, url: str, key: str, timeout_seconds: float) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = openai.AsyncOpenAI(
            base_url=url,
            api_key=key,
            max_retries=0,
            timeout=openai.Timeout(None, connect=min(timeout_seconds, CONNECT_SECONDS_MAX)),
            # A redirect would take the conversation to another host.
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False, event_hooks={"response": [_bound]}
            ),
        )
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Cancel what runs and end the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        running = asyncio.all_tasks(self.loop)
        for task in running:
            task.cancel()
        if running:
            self.loop.run_until_complete(asyncio.wait(running))
        self.loop.run_until_complete(self.client.close())
        self.loop.close()


def _request(
    model: str,
    messages: Sequence[ChatMessage],
    tools: Sequence[Tool],
    schema: Mapping[str, Any] | None,
) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "messages": [clean(message) for message in messages]}
    if tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                },
            }
            for tool in tools
        ]
        body["tool_choice"] = "auto"
    if schema is not None:
        shape = {"name": "answer", "schema": dict(schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": shape}
    return body


def _size(body: Mapping[str, Any]) -> int:
    return len(json.dumps(body, ensure_ascii=False, default=str))


def _said(error: openai.APIStatusError) -> str:
    return error_text(error.body)


def _refused_feature(
    status: int, said: str, body: Mapping[str, Any]
) -> Literal["tools", "schema"] | None:
    """Which part of the request the endpoint does not take, as far as its words tell.

    Servers without schemas answer anything from 400 to an empty 500, so there the status is
    enough; 404 is what a router says that finds nobody who takes tools.
    """
    if status not in _FEATURE_STATUSES or _TOO_LONG.search(said):
        return None
    if "response_format" in body and status != 404:
        return "schema"
    if "tools" in body and _TOOLS_REFUSED.search(said):
        return "tools"
    return None


def _retry_after(headers: Mapping[str, str], clock: Clock) -> float | None:
    """Seconds to wait as the endpoint asks (RFC 9110, section 10.2.3), at most a day."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - clock.now()
        except (ValueError, OverflowError):
            return None
    if seconds != seconds:
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)
