"""The viewer's server: its own page and the known files of known studies, to browsers that ask for this machine."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from qfae_monai.files import printable
from qfae_monai.viewer.connections import TIMEOUT, BoundedConnections
from qfae_monai.viewer.output_folder import SCORES, OutputFolder

logger = logging.getLogger(__name__)

STATIC = files("qfae_monai.viewer") / "static"
PAGE_FILES = {
    "/": ("index.html", "text/html"),
    "/static/viewer.css": ("viewer.css", "text/css"),
    **{
        f"/static/{name}.js": (f"{name}.js", "text/javascript")
        for name in ("main", "numbers", "outline", "scene", "strip", "study_list", "niivue/niivue.umd")
    },
}
# Pictures may come from within the page: NiiVue carries its letters so. Nothing may come from, or go to, elsewhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PART = 1 << 16  # bytes
HEADERS = {
    "Cache-Control": "no-store",  # scans must not stay behind in the browser
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ViewerServer(BoundedConnections, TCPServer):
    """A listening server; `serve_forever` answers.

    Args:
        output: what to show.
        host: name or address to listen on.
        port: 0 takes any free one.

    Raises:
        OSError: if the port is taken or the host is not this machine, naming both.
    """

    allow_reuse_address = sys.platform != "win32"  # there it would let two servers share a port

    def __init__(self, output: OutputFolder, host: str, port: int) -> None:
        self.output, self.host = output, host
        try:
            self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            super().__init__((host, port), ViewerHandler)
        except OSError as error:
            raise OSError(
                f"{host}:{port}: expected an address of this machine and a free port, got: "
                f"{error.strerror or error}; another --port, or 0 for any free one, may help"
            ) from None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host  # IPv6
        return f"http://{host}:{self.server_address[1]}/"

    def knows(self, header: str | None) -> bool:
        """Whether a request's Host is this machine: an address, `localhost` or the host it listens on.

        A page from elsewhere whose name was made to point to this machine (DNS rebinding) asks under its own name.
        """
        try:
            name = urlsplit(f"//{header or ''}").hostname or ""
        except ValueError:
            return False
        return name in ("localhost", self.host.lower()) or _is_address(name)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves early is no error; anything else goes to the log."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            logger.exception("a request failed")


class ViewerHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; every other method gets 501."""

    timeout = TIMEOUT
    protocol_version = "HTTP/1.1"  # connections stay open: a study is four requests
    server_version, sys_version = "qfae", ""  # no version of Python for whoever asks
    server: ViewerServer

    def handle_one_request(self) -> None:
        self._begun = False
        with self.server.expected_soon(self.connection):
            super().handle_one_request()

    def do_GET(self) -> None:
        self.server.is_here(self.connection)
        try:
            self._answer()
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except OSError:  # a file or folder went away between two looks at it
            if self._begun:
                self.close_connection = True
            else:
                self.send_error(HTTPStatus.NOT_FOUND, "it is no longer there")

    do_HEAD = do_GET

    def _answer(self) -> None:
        if not self.server.knows(self.headers.get("Host")):
            self.send_error(HTTPStatus.FORBIDDEN, "this host name is not served")
            return
        path = urlsplit(self.path).path
        if path in PAGE_FILES:
            name, kind = PAGE_FILES[path]
            self._send(STATIC.joinpath(name).read_bytes(), f"{kind}; charset=utf-8")
        elif path == "/studies.json":
            self._send_json(self.server.output.listing())
        else:
            self._send_study_file(path)

    def _send_study_file(self, path: str) -> None:
        """`/studies/<study>/<file>`; split before decoding, so that no escaped slash makes a path of a name."""
        parts = [unquote(part) for part in path.split("/")]
        output = self.server.output
        found = output.file(*parts[2:]) if len(parts) == 4 and parts[:2] == ["", "studies"] else None
        scores = output.scores(parts[2]) if found and found.name == SCORES else None
        if scores is not None:
            self._send_json(scores)
        elif found is not None and found.name != SCORES:
            self._send_file(found)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send_json(self, content: Any) -> None:
        self._send(json.dumps(content, allow_nan=False).encode(), "application/json")

    def _send(self, content: bytes, kind: str) -> None:
        self._head(len(content), kind)
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send_file(self, path: Path) -> None:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size  # of what was opened: the name may be another file by now
            self._head(size, "application/gzip")
            left = 0 if self.command == "HEAD" else size
            while left and (part := stream.read(min(left, PART))):
                self.wfile.write(part)
                left -= len(part)
        if left:  # it was cut meanwhile: the browser sees that it did not get all
            self.close_connection = True

    def _head(self, length: int, kind: str) -> None:
        self._begun = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        logger.debug("%s %s", self.address_string(), printable(format % arguments))


def _is_address(name: str) -> bool:
    """
    >>> _is_address("127.0.0.1"), _is_address("::1"), _is_address("example.org")
    (True, True, False)
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
