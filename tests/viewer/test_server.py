"""The server, as a browser or an attacker would ask it."""

from __future__ import annotations

import json
import re
import select
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from threading import Thread, active_count
from typing import Any
from urllib.parse import quote

import pytest

from qfae_monai.viewer import connections
from qfae_monai.viewer.connections import CONNECTIONS
from qfae_monai.viewer.output_folder import OutputFolder
from qfae_monai.viewer.server import PAGE_FILES, STATIC, ViewerHandler, ViewerServer
from tests.viewer.output_factory import make_output


def ask(server: ViewerServer, path: str, *, method: str = "GET", host: str | None = None) -> tuple[HTTPResponse, bytes]:
    """The answer to one request whose path is sent as it is."""
    port = server.server_address[1]
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    if host != "":
        connection.putheader("Host", host or f"127.0.0.1:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_it_listens_on_this_machine_alone(server: ViewerServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_address[1]}/"


def test_page_and_studies_are_served_and_never_kept(server: ViewerServer, output: Path) -> None:
    for path, (name, kind) in PAGE_FILES.items():
        answer, body = ask(server, path)
        assert (answer.status, body) == (200, STATIC.joinpath(name).read_bytes())
        assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
    for study in ("head-1", "head 3 # %2F ü"):
        answer, body = ask(server, f"/studies/{quote(study, safe='')}/image.nii.gz")
        assert (answer.status, body) == (200, (output / study / "image.nii.gz").read_bytes())
        assert "Content-Encoding" not in answer.headers  # the page wants the file as it is
        _, scores = ask(server, f"/studies/{quote(study, safe='')}/scores.json")
        assert json.loads(scores)["study"] == study
    answer, body = ask(server, "/studies.json")
    assert [row["study"] for row in json.loads(body)["studies"]] == ["head 3 # %2F ü", "head-2", "head-1"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/studies.json", "/nothing"])
def test_every_answer_forbids_requests_elsewhere(server: ViewerServer, path: str) -> None:
    answer, _ = ask(server, path)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "http" not in policy
    assert "unsafe" not in policy
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/studies/",
        "/studies",
        "/studies/head-1",
        "/studies/head-1/",
        "/favicon.ico",
        "/summary.json",
        "/static/../server.py",
        "/static/..%2Fserver.py",
        "/../setup.cfg",
        "//etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/studies/../summary.json",
        "/studies/..%2Foutput%2Fhead-1/scores.json",
        "/studies/%2e/scores.json",
        "/studies/head-1/..%2F..%2Fsummary.json",
        "/studies/head-1/overlay.png",
        "/studies/head-1%00/scores.json",
        "/studies/head-9/scores.json",
        "/studies/head-1/scores.json/",
        "/studies//scores.json",
        "/static/niivue/LICENSE",
        "/studies/head%203%20%23%20%2F%20%C3%BC/scores.json",
        "/studies/%ff/image.nii.gz",
    ],
)
def test_nothing_else_is_served(server: ViewerServer, path: str) -> None:
    answer, body = ask(server, path)
    assert answer.status == 404
    assert b"head-" not in body


def test_head_gives_the_head_alone_and_other_methods_are_refused(server: ViewerServer, output: Path) -> None:
    answer, body = ask(server, "/studies/head-1/mask.nii.gz", method="HEAD")
    assert (answer.status, body) == (200, b"")
    assert int(answer.headers["Content-Length"]) == (output / "head-1" / "mask.nii.gz").stat().st_size
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        assert ask(server, "/", method=method)[0].status == 501


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (None, 200),
        ("localhost", 200),
        ("localhost:9000", 200),
        ("127.0.0.1", 200),
        ("[::1]:9000", 200),
        ("example.org", 403),
        ("example.org:80", 403),
        ("127.0.0.1.example.org", 403),
        ("localhost.example.org", 403),
        ("", 403),
        ("[", 403),
        ("user@example.org", 403),
    ],
)
def test_only_names_of_this_machine_are_answered(server: ViewerServer, host: str | None, status: int) -> None:
    """A page of example.org whose name resolves to this machine (DNS rebinding) learns nothing."""
    assert ask(server, "/studies.json", host=host)[0].status == status


def test_a_port_in_use_is_named(server: ViewerServer, output: Path) -> None:
    port = server.server_address[1]
    with pytest.raises(OSError, match=rf"127.0.0.1:{port}: expected .* a free port, got: .*in use; another --port"):
        ViewerServer(OutputFolder(output), "127.0.0.1", port)
    with pytest.raises(OSError, match=r"192\.0\.2\.1:0: expected an address of this machine"):
        ViewerServer(OutputFolder(output), "192.0.2.1", 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_address_of_ipv6_is_written_as_browsers_want_it(output: Path) -> None:
    try:
        server = ViewerServer(OutputFolder(output), "::1", 0)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        assert server.url == f"http://[::1]:{server.server_address[1]}/"


def test_the_page_names_nothing_that_is_not_served() -> None:
    """Every script and style that page and modules name is among the served files."""
    served = {path.removeprefix("/static/") for path in PAGE_FILES}
    page = STATIC.joinpath("index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'(?:src|href)="static/([^"]+)"', page))
    for path in served:
        if path.endswith(".js") and "niivue" not in path:
            named |= set(re.findall(r'from "\./([^"]+)"', STATIC.joinpath(path).read_text(encoding="utf-8")))
    assert named == served - {"/"}


def test_niivue_is_the_published_file_with_its_licence() -> None:
    script = STATIC.joinpath("../vendor_niivue.sh").read_text(encoding="utf-8")
    found = re.search(r"^sum=(\w{64})$", script, re.MULTILINE)
    assert found is not None
    assert sha256(STATIC.joinpath("niivue/niivue.umd.js").read_bytes()).hexdigest() == found[1]
    assert "BSD 2-Clause" in STATIC.joinpath("niivue/LICENSE").read_text(encoding="utf-8")


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ViewerServer]:
    """A server of one study of its own, which a test may spoil."""
    make_output(tmp_path / "output", ["a", "b"])
    with ViewerServer(OutputFolder(tmp_path / "output"), "127.0.0.1", 0) as running:
        Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield running
        running.shutdown()


def connect(server: ViewerServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_address[1]))


def ended(client: socket.socket) -> bool:
    """Whether the server ends the connection within ten seconds."""
    client.settimeout(10)
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_who_sends_nothing_is_left(own_server: ViewerServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ViewerHandler, "timeout", 0.2)
    for sent in (b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: 127"):
        with connect(own_server) as client:
            client.sendall(sent)
            assert ended(client), sent


def test_who_sends_a_byte_now_and_then_is_left_as_well(
    own_server: ViewerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "TIMEOUT", 0.5)
    with connect(own_server) as client:
        start = time.monotonic()
        with suppress(ConnectionError):  # each byte would begin the pause anew
            while time.monotonic() < start + 10:
                client.sendall(b"G")
                time.sleep(0.1)
                if select.select([client], [], [], 0)[0]:
                    break
        assert time.monotonic() - start < 8
        assert ended(client)


def test_connections_are_bounded_and_free_again(own_server: ViewerServer) -> None:
    before = active_count()
    clients = [connect(own_server) for _ in range(CONNECTIONS)]
    deadline = time.monotonic() + 10
    while active_count() < before + CONNECTIONS and time.monotonic() < deadline:
        time.sleep(0.01)
    with connect(own_server) as one_more:
        assert ended(one_more)
    assert active_count() <= before + CONNECTIONS
    for client in clients:
        client.close()
    deadline = time.monotonic() + 10
    while active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ask(own_server, "/studies.json")[0].status == 200


def test_a_folder_that_went_away_is_a_sentence(
    own_server: ViewerServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert ask(own_server, "/studies/a/image.nii.gz")[0].status == 200
    shutil.rmtree(tmp_path / "output")
    answer, body = ask(own_server, "/studies.json")
    listing = json.loads(body)
    assert (answer.status, listing["studies"]) == (200, [])
    assert listing["failed"][0]["reason"].startswith("the folder cannot be read: No such file")
    for name in ("image.nii.gz", "scores.json"):
        assert ask(own_server, f"/studies/a/{name}")[0].status == 404
    assert not caplog.records


def test_a_file_that_goes_away_between_two_looks_is_not_found(
    own_server: ViewerServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(OutputFolder, "file", lambda self, study, name: self.path / "gone.nii.gz")
    answer, body = ask(own_server, "/studies/a/image.nii.gz")
    assert answer.status == 404
    assert b"no longer there" in body
    assert not caplog.records


def test_deeply_nested_results_are_one_studys_fault(own_server: ViewerServer, tmp_path: Path) -> None:
    deep = 100_000 * "[" + 100_000 * "]"
    path = tmp_path / "output" / "a" / "scores.json"
    for spoilt in (deep, f'{{"score": 1, "slices": {deep}}}', 90 * '{"a":' + "1" + 90 * "}"):
        path.write_text(spoilt)
        listing = json.loads(ask(own_server, "/studies.json")[1])
        assert [row["study"] for row in listing["studies"]] == ["b"]
        reasons = {row["study"]: row["reason"] for row in listing["failed"]}
        assert "of at most 32 levels, got a deeper one" in reasons["a"]
        assert ask(own_server, "/studies/a/scores.json")[0].status == 404
    (tmp_path / "output" / "summary.json").write_text(f'{{"studies": {deep}}}')
    assert json.loads(ask(own_server, "/studies.json")[1])["studies"]


@pytest.mark.parametrize("spoilt", [{"kind": [[]]}, {"p_value": "1"}, {"above_threshold": {"a": 1}}, {"score": "1"}])
def test_values_of_another_kind_are_one_studys_fault(
    own_server: ViewerServer, tmp_path: Path, spoilt: dict[str, Any]
) -> None:
    path = tmp_path / "output" / "a" / "scores.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | spoilt))
    listing = json.loads(ask(own_server, "/studies.json")[1])
    assert [row["study"] for row in listing["studies"]] == ["b"]


def test_a_file_of_results_too_large_to_be_one_is_not_read(own_server: ViewerServer, tmp_path: Path) -> None:
    with (tmp_path / "output" / "a" / "scores.json").open("wb") as stream:
        stream.truncate((64 << 20) + 1)
    listing = json.loads(ask(own_server, "/studies.json")[1])
    reasons = {row["study"]: row["reason"] for row in listing["failed"]}
    assert reasons["a"] == "scores.json: expected results of `qfae predict` of at most 64 MB, got a larger file"
