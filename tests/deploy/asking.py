"""Requests to the server's app in this process, byte for byte as given: no client tidies path, query or headers."""

from __future__ import annotations

import asyncio
import json
import traceback
from typing import Any
from urllib.parse import urlencode

BOUNDARY = "QFAE"


class Answer:
    """Status, headers and body of an answer.

    Attributes:
        status: of HTTP.
        headers: in lower case.
        body: bytes.
    """

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status = int(messages[0]["status"])
        self.headers = {key.decode(): value.decode() for key, value in messages[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def detail(self) -> str:
        """The sentence of a refusal."""
        detail: str = json.loads(self.body)["detail"]
        return detail


def ask(app: Any, method: str, path: str, query: Any = b"", body: bytes = b"", **headers: Any) -> Answer:
    """One request; `query` as bytes or as keys with values, header names with `_` for `-`, a list where one repeats."""
    sent = {"host": "127.0.0.1:8000", **{key.replace("_", "-"): value for key, value in headers.items()}}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "method": method,
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "query_string": query if isinstance(query, bytes) else urlencode(query).encode(),
        "headers": [
            (key.encode(), value.encode("utf-8", "replace"))
            for key, values in sent.items()
            for value in (values if isinstance(values, list) else [values])
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    return Answer(asyncio.run(_exchange(app, scope, body)))


async def _exchange(app: Any, scope: dict[str, Any], body: bytes) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    parts = [body[start : start + 65536] for start in range(0, len(body), 65536)] or [b""]
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting[-1]["more_body"] = False

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    try:
        await app(scope, receive, send)
    except Exception:  # of which the server prints this after its answer
        traceback.print_exc()
        if not sent:
            raise
    return sent


def form(**fields: str | tuple[str, bytes]) -> tuple[bytes, dict[str, Any]]:
    """Body and headers of a form; a file as its name and bytes."""
    body = b""
    for key, value in fields.items():
        name, data = ("", value.encode()) if isinstance(value, str) else (f'; filename="{value[0]}"', value[1])
        body += f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{key}"{name}\r\n\r\n'.encode() + data + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode(), {"content_type": f"multipart/form-data; boundary={BOUNDARY}"}
