"""Who sends nothing, or next to nothing, keeps no connection; and there are never more than a few."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs MONAI Label's environment: make test-label")

import uvicorn
from lib import connections

HEAD = b"PUT / HTTP/1.1\r\nhost: 127.0.0.1\r\n"


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(1.5)  # an answer may take longer than a head
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "CONNECTIONS", 4)
    monkeypatch.setattr(connections, "HEAD_WITHIN", 0.8)
    monkeypatch.setattr(connections, "BODY_PAUSE", 0.8)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = uvicorn.Config(_echo, http=connections.BoundedConnection, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([taken],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield taken.getsockname()[1]
        server.should_exit = True
        thread.join(10)


def _connect(port: int, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(sent)
    return connection


def _answer(connection: socket.socket) -> bytes:
    """What comes; nothing where the connection is closed."""
    try:
        return connection.recv(100)
    except ConnectionError:
        return b""


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"content-length: 9\r\n\r\nabc"])
def test_who_stops_in_a_request_is_left(port: int, sent: bytes) -> None:
    with _connect(port, sent) as connection:
        assert _answer(connection) == b""


def test_who_sends_a_byte_now_and_then_is_left_as_well(port: int) -> None:
    with _connect(port, HEAD) as connection:
        begin = time.monotonic()
        try:
            while time.monotonic() < begin + 8:
                connection.sendall(b"x")
                time.sleep(0.2)
        except ConnectionError:
            return
        pytest.fail("the connection was kept")


def test_an_answer_may_take_its_time_and_another_request_follow(port: int) -> None:
    with _connect(port, HEAD + b"\r\n") as connection:
        for _ in range(2):
            assert _answer(connection).startswith(b"HTTP/1.1 200")
            connection.sendall(HEAD + b"content-length: 1\r\n\r\n")
            time.sleep(0.4)
            connection.sendall(b"x")


def test_connections_are_bounded_and_free_again(port: int) -> None:
    held = [_connect(port, b"") for _ in range(4)]
    with _connect(port, b"") as more:
        assert _answer(more) == b""
    for connection in held:
        assert _answer(connection) == b""
        connection.close()
    with _connect(port, HEAD + b"\r\n") as again:
        assert _answer(again).startswith(b"HTTP/1.1 200")
