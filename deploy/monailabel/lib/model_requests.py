"""Requests on the model: login, what it is, inference, the next study, scoring, training."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException, Query
from monailabel.endpoints.activelearning import sample
from monailabel.endpoints.infer import send_response
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.task import AsyncTask
from starlette.datastructures import FormData

from lib import parameters as p
from lib.answers import answered, task_for_viewers
from lib.gate import NO_TOKEN
from lib.study_requests import Allowed, None_, session_of
from lib.uploads import document, form, parsed, received

router = APIRouter()


@router.get("/auth/", summary="Whether the server asks for its token")
def asks(query: None_, allowed: Allowed) -> dict[str, bool]:
    return {"enabled": allowed.token is not None}


@router.post("/auth/token", summary="The token, for whoever gives it as the password, as 3D Slicer does")
def login(
    query: None_,
    allowed: Allowed,
    given: Annotated[FormData, Depends(form("username", "password", "grant_type", "scope", "client_id"))],
) -> dict[str, str]:
    password = str(given.get("password", ""))
    if not allowed.is_token(password):
        raise HTTPException(401, NO_TOKEN)
    return {"access_token": password, "token_type": "Bearer"}


@router.get("/auth/token/valid", summary="An answer, where the token is right")
def logged_in(query: None_) -> dict[str, str]:
    return {"username": "viewer"}


@router.get("/info/", summary="Model, trainer, strategy, scoring method")
def info(query: None_) -> dict[str, Any]:
    with answered():
        found: dict[str, Any] = app_instance().info()
        return found


@router.post("/infer/{model}", summary="Mask or map of a study with its scores")
def infer(
    model: p.Text,
    query: Annotated[p.ForInference, Query()],
    allowed: Allowed,
    given: Annotated[FormData, Depends(form("params", file="file"))],
    background: BackgroundTasks,
) -> Any:
    said = parsed(p.Inference, given.get("params") or "{}").model_dump(exclude_none=True, exclude={"result_dtype"})
    app = app_instance()
    if given.get("file") is not None:
        with received(given.get("file"), allowed.upload_bytes) as path:
            result = app.infer({**said, "model": model, "source": str(path)})
    elif query.session_id:
        result = app.infer({**said, "model": model, "source": session_of(query.session_id).image})
    elif query.image:
        result = app.infer({**said, "model": model, "image": query.image})
    else:
        raise HTTPException(400, "expected a study's name, a session's id or a file, got none")
    return send_response(app.datastore(), result, query.output, background)


@router.get("/batch/infer", summary="State of the inference of many")
def batch_state(query: Annotated[p.OfTask, Query()]) -> Any:
    return _state("batch_infer", query)


@router.post("/batch/infer/{model}", summary="Masks of many studies, as labels with the tag original")
def batch(
    model: p.Text, query: Annotated[p.ForBatch, Query()], said: Annotated[p.Batch, Depends(document(p.Batch))]
) -> Any:
    wanted = said.model_dump(exclude_none=True)
    for study in said.images or ():
        with answered():
            app_instance().datastore().source(study)
    return _run("batch_infer", {"model": model, "images": query.images, **wanted}, sync=query.run_sync)


@router.delete("/batch/infer", summary="Stop it")
def stop_batch(query: None_) -> Any:
    return task_for_viewers(AsyncTask.stop("batch_infer"))


@router.post("/activelearning/{strategy}", summary="The next study")
def next_study(
    strategy: p.Text, query: None_, said: Annotated[p.ByViewer, Depends(document(p.ByViewer))]
) -> dict[str, Any]:
    found: dict[str, Any] = sample(strategy, said.model_dump(exclude_none=True), None)
    return found


@router.get("/scoring/", summary="State of the scoring")
def scoring_state(query: Annotated[p.OfTask, Query()]) -> Any:
    return _state("scoring", query)


@router.post("/scoring/{method}", summary="Score what has no score")
def score(
    method: p.Text, query: Annotated[p.ForTask, Query()], said: Annotated[p.ByViewer, Depends(document(p.ByViewer))]
) -> Any:
    return _run("scoring", {"method": method}, sync=query.run_sync, enqueue=query.enqueue)


@router.delete("/scoring/", summary="Stop it")
def stop_scoring(query: None_) -> Any:
    return task_for_viewers(AsyncTask.stop("scoring"))


@router.get("/train/", summary="State of the training")
def training_state(query: Annotated[p.OfTask, Query()]) -> Any:
    return _state("train", query)


@router.post("/train/{model}", summary="Train on with the normal studies")
def train(
    model: p.Text, query: Annotated[p.ForTask, Query()], said: Annotated[p.Training, Depends(document(p.Training))]
) -> Any:
    wanted = said.model_dump(exclude_none=True)
    return _run("train", {"model": model, **wanted}, sync=query.run_sync, enqueue=query.enqueue)


@router.delete("/train/", summary="Stop it")
def stop_training(query: None_) -> Any:
    return task_for_viewers(AsyncTask.stop("train"))


def _run(kind: str, request: dict[str, Any], *, sync: bool, enqueue: bool = False) -> Any:
    with answered():
        app_instance().known(kind, request)
    done, reason = AsyncTask.run(kind, request=request, force_sync=sync, enqueue=enqueue)
    if done is None:
        raise HTTPException(429, reason)
    return done if sync else task_for_viewers(done)


def _state(kind: str, query: p.OfTask) -> Any:
    found, reason = AsyncTask.status(kind, query.all, query.check_if_running)
    if found is None:
        raise HTTPException(404, reason)
    return [task_for_viewers(task) for task in found] if isinstance(found, list) else task_for_viewers(found)
