"""What stands before every request: this machine's own name, its own pages, the token, a bounded body.

MONAI Label by itself answers whoever reaches it, and every page that a browser of this machine has open.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?")
OPEN = {("GET", "/auth/"), ("POST", "/auth/token")}  # by which 3D Slicer finds out that it has to ask for the token
SPARE = 1 << 20  # bytes that a request has beside its volume
NO_TOKEN = "expected the token that the server printed at its start, got none or another"


@dataclass(frozen=True)
class Options:
    """What the server lets through.

    Attributes:
        token: what each request has to bring along; None for none.
        allow_upload: whether viewers may add studies, and open sessions with volumes of their own.
        allow_delete: whether they may remove studies and labels.
        upload_bytes: of an uploaded volume or label, at most.
    """

    token: str | None
    allow_upload: bool = False
    allow_delete: bool = False
    upload_bytes: int = 1 << 30

    def is_token(self, text: str) -> bool:
        """Whether a text is the token; takes as long for a nearly right one as for any other."""
        return self.token is not None and hmac.compare_digest(text.encode("utf-8", "replace"), self.token.encode())


class Gate:
    """Lets a request to the app, or answers it: 400 host, 401 token, 403 page of another site, 413 too large."""

    def __init__(self, app: ASGIApp, options: Options) -> None:
        self.app, self.options = app, options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host, length = headers.get("host", ""), headers.get("content-length", "0")
        known, scope = self._known(scope, headers)
        limit = self.options.upload_bytes + SPARE
        if OWN_HOST.fullmatch(host) is None:
            refusal = 400, "expected this machine's own address as the host, got another"
        elif any(origin != f"http://{host}" for origin in headers.getlist("origin")):
            refusal = 403, "expected a page of this server, got one of another site"
        elif not known and (scope["method"], scope["path"]) not in OPEN:
            refusal = 401, NO_TOKEN
        elif not length.isdecimal() or int(length) > limit:
            refusal = 413, f"expected at most {limit} bytes, got more"
        else:
            await self.app(scope, _bounded(receive, limit), send)
            return
        challenge = {"www-authenticate": "Bearer"} if refusal[0] == 401 else None
        await JSONResponse({"detail": refusal[1]}, refusal[0], challenge)(scope, receive, send)

    def _known(self, scope: Scope, headers: Headers) -> tuple[bool, Scope]:
        """Whether the token came along (header, `?token=`, first part of the path), and the request without it."""
        if self.options.token is None:
            return True, scope
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.options.is_token(given.strip()):
            return True, scope
        first, _, rest = scope["path"].lstrip("/").partition("/")
        if self.options.is_token(first):
            return True, {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = next((value for key, value in query if key == "token"), "")
        others = urlencode([item for item in query if item[0] != "token"]).encode()
        return self.options.is_token(given), {**scope, "query_string": others}


def _bounded(receive: Receive, limit: int) -> Receive:
    """Counts what comes: a length in the header may be missing or wrong."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message: Any = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise HTTPException(413, f"expected at most {limit} bytes, got more")
        return message

    return counted
