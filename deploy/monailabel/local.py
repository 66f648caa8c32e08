"""The server for this machine alone: the requests of lib/ behind the gate; nothing else of MONAI Label's exists."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from lib import model_requests, study_requests
from lib.answers import one_sentence_each
from lib.gate import Gate, Options
from monailabel.interfaces.utils.app import app_instance

ROUTES = [*model_requests.router.routes, *study_requests.router.routes]


@asynccontextmanager
async def _started(app: FastAPI) -> AsyncIterator[None]:
    instance = app_instance()
    instance.server_mode(True)
    instance.on_init_complete()
    yield


def application(options: Options) -> Gate:
    """What the server answers: requests that are listed, with parameters that are known."""
    app = FastAPI(title="QFAE for MONAI", openapi_url=None, redirect_slashes=False, lifespan=_started)
    app.state.options = options
    one_sentence_each(app)
    app.add_api_route("/", listing, summary="This list")
    for router in (model_requests.router, study_requests.router):
        app.include_router(router)
    return Gate(app, options)


def listing() -> PlainTextResponse:
    """All requests that are answered."""
    rows = sorted((route.path, *sorted(route.methods), route.summary) for route in ROUTES)
    return PlainTextResponse("".join(f"{method:7}{path:28}{summary}\n" for path, method, summary in rows))
