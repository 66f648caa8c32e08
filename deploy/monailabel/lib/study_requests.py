"""Requests on studies: images, labels, marks, sessions with a viewer's own volume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import FileResponse
from monailabel.interfaces.utils.app import app_instance
from starlette.datastructures import FormData

from lib import parameters as p
from lib.answers import answered
from lib.gate import Options
from lib.own_folder import pseudonym, pseudonyms_of
from lib.uploads import form, parsed, received

None_ = Annotated[p.Nothing, Query()]
router = APIRouter()


def options(request: Request) -> Options:
    """What the server was started with."""
    found: Options = request.app.state.options
    return found


Allowed = Annotated[Options, Depends(options)]


def uploads(allowed: Allowed) -> Options:
    """The options, where studies may be added."""
    if not allowed.allow_upload:
        raise HTTPException(403, "expected a server that was started with --allow-upload, got one that adds no studies")
    return allowed


def removals(allowed: Allowed) -> None:
    """Refuses, unless studies may be removed."""
    if not allowed.allow_delete:
        raise HTTPException(403, "expected a server that was started with --allow-delete, got one that removes nothing")


@router.get("/datastore/", summary="Counts of studies; with output=all each study's scores, marks and labels")
def datastore(query: Annotated[p.Listing, Query()]) -> Any:
    store = app_instance().datastore()
    return store.json() if query.output == "all" else store.status()


@router.put("/datastore/", summary="Add a study (--allow-upload)")
@router.put("/datastore/image", summary="Add a study (--allow-upload)")
def add_image(
    query: Annotated[p.OfImage, Query()],
    allowed: Annotated[Options, Depends(uploads)],
    given: Annotated[FormData, Depends(form("params", file="file"))],
) -> dict[str, str]:
    parsed(p.ByViewer, given.get("params") or "{}")
    with received(given.get("file"), allowed.upload_bytes) as path, answered():
        if not app_instance().datastore().add_study(query.image, path):
            raise HTTPException(409, f"{query.image}: expected the name of no study yet, got one that is taken")
    return {"image": query.image}


@router.delete("/datastore/", summary="Remove a study (--allow-delete)", dependencies=[Depends(removals)])
@router.delete("/datastore/image", summary="Remove a study (--allow-delete)", dependencies=[Depends(removals)])
def remove_image(query: Annotated[p.OfImageId, Query()]) -> dict[str, str]:
    with answered():
        app_instance().datastore().remove_image(query.id)
    return {}


@router.get("/datastore/image", summary="A study as NIfTI")
def image(query: Annotated[p.OfImage, Query()]) -> FileResponse:
    store = app_instance().datastore()
    with answered():
        store.source(query.image)
        return _file(store.get_image_uri(query.image))


@router.get("/datastore/image/info", summary="A study's score, marks and file")
def image_info(query: Annotated[p.OfImage, Query()]) -> Any:
    store = app_instance().datastore()
    with answered():
        store.source(query.image)
        return store.get_image_info(query.image)


@router.put("/datastore/image/info", summary="Mark a study: normal, patient")
def mark(query: Annotated[p.OfImage, Query()], given: Annotated[FormData, Depends(form("info"))]) -> None:
    marks = parsed(p.Marks, given.get("info") or "{}").model_dump(exclude_unset=True)
    store = app_instance().datastore()
    if marks.get("patient"):  # what tells patients apart is kept, and not who they are
        marks["patient"] = pseudonym(pseudonyms_of(store.studies), marks["patient"])
    with answered():
        store.update_image_info(query.image, marks)


@router.get("/datastore/label", summary="A study's label")
def label(query: Annotated[p.OfLabel, Query()]) -> FileResponse:
    with answered():
        return _file(app_instance().datastore().get_label_uri(query.label, query.tag))


@router.put("/datastore/label", summary="Save a label of a study")
def save_label(
    query: Annotated[p.ForLabel, Query()],
    allowed: Allowed,
    given: Annotated[FormData, Depends(form("params", file="label"))],
) -> dict[str, str]:
    said = parsed(p.Label, given.get("params") or "{}").model_dump(exclude_unset=True)
    with received(given.get("label"), allowed.upload_bytes) as path, answered():
        saved = app_instance().datastore().save_label(query.image, str(path), query.tag, said)
    return {"image": query.image, "label": saved}


@router.delete("/datastore/label", summary="Remove a label (--allow-delete)", dependencies=[Depends(removals)])
def remove_label(query: Annotated[p.OfLabelId, Query()]) -> dict[str, str]:
    with answered():
        app_instance().datastore().remove_label(query.id, query.tag)
    return {}


@router.put("/session/", summary="Open a session with a volume of the viewer's own (--allow-upload)")
def open_session(
    query: None_,
    allowed: Annotated[Options, Depends(uploads)],
    given: Annotated[FormData, Depends(form("client_id", file="files"))],
) -> dict[str, Any]:
    with received(given.get("files"), allowed.upload_bytes) as path:
        session, about = app_instance().sessions().add_session(str(path), session_id=str(uuid4()))
    return {"session_id": session, "session_info": _about(about)}


@router.get("/session/{session}", summary="State of a session")
def session_state(session: p.SessionId, query: Annotated[p.OfSession, Query()]) -> dict[str, Any]:
    return _about(session_of(session, update_ts=query.update_ts))


@router.delete("/session/{session}", summary="End a session and remove its volume")
def end_session(session: p.SessionId, query: None_) -> dict[str, Any]:
    about = _about(session_of(session))
    app_instance().sessions().remove_session(session)
    return about


def _file(path: str) -> FileResponse:
    if not path or not Path(path).is_file():
        raise HTTPException(404, "expected a file of a study, got none")
    return FileResponse(path, filename=Path(path).name)


def session_of(session: str, *, update_ts: bool = True) -> Any:
    """An open session.

    Raises:
        HTTPException: 404 if there is none of this id.
    """
    found = app_instance().sessions().get_session(session, update_ts=update_ts)
    if found is None:
        raise HTTPException(404, f"{session}: expected an open session, got none of this id")
    return found


def _about(session: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {key: getattr(session, key) for key in ("name", "create_ts", "last_access_ts", "expiry")}
    return kept
