"""The server's side of a connection, which does not wait for ever for the other side."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""How long a request may take to arrive."""
READ_SECONDS = 60.0
"""How long a client may take for what waits to be sent to it."""


class Patient(H11Protocol):
    """Closes a connection whose request does not arrive, or whose answer nobody takes."""

    _arriving: asyncio.TimerHandle | None = None
    _leaving: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._leaving = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._leaving is not None:
            self._leaving.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._arriving, self._leaving):
            if timer is not None:
                timer.cancel()

    def _look(self) -> None:
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and self._arriving is None:
            self._arriving = self.loop.call_later(HEAD_SECONDS, self._give_up)
        elif not is_idle and self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None

    def _give_up(self) -> None:
        if self.transport.get_write_buffer_size():  # The end of an answer is still under way.
            self._arriving = self.loop.call_later(READ_SECONDS, self.transport.abort)
        else:
            self.transport.abort()
