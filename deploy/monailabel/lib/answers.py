"""What the server answers where it refuses or fails: one sentence, without paths of this machine or lines of code."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from monailabel.interfaces.exception import MONAILabelException
from pydantic import ValidationError
from starlette.exceptions import HTTPException as Refusal

from lib.names import shown
from qfae_monai.predict.study_steps import message_of

FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^/\n'\":;,]+/)+")  # of an absolute path; the last name stays
CODE = ("Traceback", "  File ", "    ")  # how lines of a traceback begin
FAILED = "the server failed at this request; what it printed says why"
UNKNOWN_KEY = "expected no such key"

logger = logging.getLogger(__name__)


@contextmanager
def answered() -> Iterator[None]:
    """Errors that a client can act on, as its answer: 404 for what is not there, 422 for what cannot be used."""
    try:
        yield
    except MONAILabelException as error:  # a model, strategy, image or label that is not there
        raise HTTPException(404, error.msg) from error
    except (ValueError, OSError, RuntimeError) as error:
        logger.warning("refused: %s", message_of(error))
        status = 404 if isinstance(error, FileNotFoundError) else 422
        raise HTTPException(status, message_of(error)) from error


def without_folders(text: str) -> str:
    """A message without the folders of absolute paths.

    Example:
        >>> without_folders("/home/ann/studies/gap: expected 20 slices, got 19")
        'gap: expected 20 slices, got 19'
    """
    return FOLDERS.sub("", text)


def task_for_viewers(task: dict[str, Any] | None) -> dict[str, Any] | None:
    """State of a background task, without its request and what its last lines say of code and folders."""
    if task is None:
        return None
    lines = [without_folders(line) for line in task.get("details", ()) if not line.startswith(CODE)]
    kept = {key: task[key] for key in ("id", "status", "start_ts", "end_ts") if key in task}
    return {**kept, "details": lines or [task["status"]]}


def fault_of(error: ValidationError | RequestValidationError) -> str:
    """One sentence on the first parameter at fault."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if part not in ("query", "path", "body")) or "parameters"
    if first["type"] == "extra_forbidden":
        return f"{shown(key)}: {UNKNOWN_KEY}"
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
    if first["type"] == "missing":
        return f"{key}: expected this parameter, got none"
    got = "" if first["type"] == "value_error" else f", got {shown(str(first['input']))}"
    return f"{key}: {message}{got}"


def one_sentence_each(app: FastAPI) -> None:
    """Register how the app answers refusals and failures."""

    @app.exception_handler(Refusal)
    def _refused(request: Request, error: Refusal) -> JSONResponse:
        said = without_folders(str(error.detail))
        if said in ("Not Found", "Method Not Allowed"):
            said = f"expected a request that / lists, got {shown(request.method)} {shown(request.url.path)}"
        return JSONResponse({"detail": said}, error.status_code, error.headers)

    @app.exception_handler(ValidationError)
    @app.exception_handler(RequestValidationError)
    def _wrong(request: Request, error: Any) -> JSONResponse:
        return JSONResponse({"detail": fault_of(error)}, 400)

    @app.exception_handler(Exception)
    def _failed(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": FAILED}, 500)
