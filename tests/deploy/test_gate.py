"""Who may ask at all: the token, the host's name, the page that a request comes from."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs MONAI Label's environment: make test-label")

from lib.gate import Gate, Options
from local import ROUTES, application

from tests.deploy.asking import ask
from tests.deploy.conftest import Place

TOKEN = "Tk-" + "a" * 40
OPEN = ("/auth/", "/auth/token")
CLOSED = [(method, route.path) for route in ROUTES for method in route.methods if route.path not in OPEN]


@pytest.fixture
def gate(place: Place) -> Gate:
    return application(Options(TOKEN))


@pytest.mark.parametrize(("method", "path"), [*CLOSED, ("GET", "/"), ("GET", "/nowhere"), ("POST", "/reload")])
def test_without_the_token_nothing_is_answered(gate: Gate, method: str, path: str) -> None:
    for wrong in (None, "Bearer x", f"Basic {TOKEN}", TOKEN):
        sent: dict[str, Any] = {} if wrong is None else {"authorization": wrong}
        answer = ask(gate, method, path, **sent)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "expected the token that the server printed" in answer.detail


@pytest.mark.parametrize("token", ["", TOKEN[:-1], f"{TOKEN}x", TOKEN.lower(), f"{TOKEN}\0", "\u00e9", "None"])
def test_nearly_the_token_is_not_the_token(gate: Gate, token: str) -> None:
    assert ask(gate, "GET", "/info/", {"token": token}).status == 401
    assert ask(gate, "GET", f"/x{token}/info/").status == 401
    assert ask(gate, "GET", "/info/", {"token": token, "x": TOKEN}).status == 401
    login = f"username=a&password={token}".encode()
    answer = ask(gate, "POST", "/auth/token", b"", login, content_type="application/x-www-form-urlencoded")
    assert answer.status in (400, 401)


def test_the_token_in_header_query_or_path(gate: Gate) -> None:
    assert ask(gate, "GET", "/datastore/", authorization=f"Bearer {TOKEN}").status == 200
    assert ask(gate, "GET", "/datastore/", authorization=f"bearer {TOKEN}").status == 200
    assert ask(gate, "GET", "/datastore/", {"token": TOKEN, "output": "all"}).status == 200
    assert ask(gate, "GET", f"/{TOKEN}/datastore/", {"output": "all"}).status == 200
    assert b"/infer/{model}" in ask(gate, "GET", "/", {"token": TOKEN}).body
    assert ask(gate, "GET", f"/{TOKEN}").status == 200


def test_3d_slicer_asks_for_it_as_the_password(gate: Gate) -> None:
    assert json.loads(ask(gate, "GET", "/auth/").body) == {"enabled": True}
    login = f"username=ann&password={TOKEN}&grant_type=password".encode()
    answer = ask(gate, "POST", "/auth/token", b"", login, content_type="application/x-www-form-urlencoded")
    assert json.loads(answer.body) == {"access_token": TOKEN, "token_type": "Bearer"}
    assert ask(gate, "GET", "/auth/token/valid", authorization=f"Bearer {TOKEN}").status == 200
    assert ask(gate, "GET", "/auth/token/valid").status == 401


def test_without_a_token_only_when_it_was_said(place: Place) -> None:
    gate = application(Options(None))
    assert json.loads(ask(gate, "GET", "/auth/").body) == {"enabled": False}
    assert ask(gate, "GET", "/datastore/").status == 200
    assert ask(gate, "POST", "/auth/token").status == 401


@pytest.mark.parametrize(
    "host",
    [
        "",
        "elsewhere.example",
        "127.0.0.1.example",
        "localhost.example:8000",
        "127.0.0.1@x",
        "x@127.0.0.1",
        "0.0.0.0",
        "[::1]",
        "127.0.0.1:8000/x",
        "127.0.0.1\n",
    ],
)
def test_another_name_of_the_host_is_refused(gate: Gate, host: str) -> None:
    answer = ask(gate, "GET", "/datastore/", host=host, authorization=f"Bearer {TOKEN}")
    assert (answer.status, "host" in answer.detail) == (400, True)


@pytest.mark.parametrize(
    "origin",
    [
        "http://elsewhere.example",
        "null",
        "",
        "https://127.0.0.1:8000",
        "http://127.0.0.1:9000",
        "http://localhost:8000",
        "http://127.0.0.1:8000.example",
    ],
)
def test_pages_of_other_sites_are_refused_and_told_nothing(gate: Gate, origin: str) -> None:
    answer = ask(gate, "GET", "/datastore/", origin=origin, authorization=f"Bearer {TOKEN}")
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]
    own = ask(gate, "GET", "/datastore/", origin="http://127.0.0.1:8000", authorization=f"Bearer {TOKEN}")
    assert own.status == 200
    assert not [name for name in own.headers if name.startswith("access-control")]


def test_a_second_origin_does_not_hide_behind_the_first(gate: Gate) -> None:
    origins = ["http://127.0.0.1:8000", "http://elsewhere.example"]
    assert ask(gate, "GET", "/datastore/", origin=origins, authorization=f"Bearer {TOKEN}").status == 403
