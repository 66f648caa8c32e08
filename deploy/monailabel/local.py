"""MONAI Label's server for this machine alone: pages of other sites in the same browser may neither read nor write.

MONAI Label by itself answers every page that the browser has open, whatever site it came from.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from monailabel.app import app as label
from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HOSTS = ["127.0.0.1", "localhost"]


class OwnPagesOnly:
    """Refuses what a browser says to come from another site; programs such as 3D Slicer say nothing of the kind."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None or urlsplit(origin).hostname in HOSTS:
            await self.app(scope, receive, send)
        else:
            await PlainTextResponse(f"expected a page of this machine, got {origin}", 403)(scope, receive, send)


# a name that leads to this machine is refused as well: any site can have one
app = TrustedHostMiddleware(OwnPagesOnly(label), allowed_hosts=HOSTS)
