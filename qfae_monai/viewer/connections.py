"""Connections of a server: a bounded number at a time, and none that is kept by sending nothing, or next to nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore
from typing import Any

__all__ = ["CONNECTIONS", "TIMEOUT", "BoundedConnections"]

TIMEOUT = 10.0  # seconds: for a whole request to come, between requests, and for each part of an answer to be taken
CONNECTIONS = 64  # at a time; a browser opens six


class BoundedConnections(ThreadingMixIn):
    """A thread for each connection, of a server whose handler says when it waits for a request and when it has one."""

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(self, *arguments: Any) -> None:
        self._due: dict[socket.socket, float] = {}  # connection -> until when its request has to be here
        self._free = BoundedSemaphore(CONNECTIONS)
        super().__init__(*arguments)

    @contextmanager
    def expected_soon(self, connection: socket.socket) -> Iterator[None]:
        """Around the handling of one request, whose head has to be here within `TIMEOUT`."""
        self._due[connection] = time.monotonic() + TIMEOUT
        try:
            yield
        finally:
            self._due.pop(connection, None)

    def is_here(self, connection: socket.socket) -> None:
        """The request has come: the answer may take its time."""
        self._due.pop(connection, None)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own; one connection too many is closed at once, and its browser asks again."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)  # type: ignore[attr-defined]  # of socketserver.TCPServer
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no more threads
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def service_actions(self) -> None:
        """Twice a second: end connections that send so slowly that no single pause is too long."""
        for connection, until in list(self._due.items()):
            if time.monotonic() > until:
                self._due.pop(connection, None)
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
