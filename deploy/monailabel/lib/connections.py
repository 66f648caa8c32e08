"""Connections of the server: a bounded number at a time, and none that is kept by sending nothing, or next to nothing.

Whoever can reach the port can open connections, without a token too; uvicorn waits for a request as long as it takes.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 64  # at a time; a viewer opens a few
HEAD_WITHIN = 10.0  # seconds for the head of a request, from the connection or the answer before on
BODY_PAUSE = 60.0  # seconds between two parts of a body: who sends one has the token


class BoundedConnection(H11Protocol):
    """One connection: closed at once where there are too many, or when what is due does not come in time."""

    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.close()
        else:
            self._expect(HEAD_WITHIN)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """After each part that came: a head that is not yet whole is due when it was due before."""
        super().handle_events()
        state = self.conn.their_state
        if state is not h11.IDLE:
            self._expect(BODY_PAUSE if state is h11.SEND_BODY else None)

    def on_response_complete(self) -> None:
        self._expect(HEAD_WITHIN)
        super().on_response_complete()

    def _expect(self, seconds: float | None) -> None:
        if self._due is not None:
            self._due.cancel()
        close: Any = self.transport.close
        self._due = None if seconds is None else self.loop.call_later(seconds, close)
