"""Bodies of requests: documents, forms, and files, which lie in a folder of their own until they are used."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from fastapi import HTTPException, Request
from pydantic import BaseModel, TypeAdapter
from starlette.datastructures import FormData, UploadFile

from lib.names import shown, suffix_of

DOCUMENT_BYTES = 1 << 16
HEADER_BYTES = 1 << 16  # of NRRD and MetaImage, within which the data file stands
ELSEWHERE = re.compile(rb"^\s*(?:data ?file|ElementDataFile)\s*[:=](?!\s*LOCAL\s*$)", re.IGNORECASE | re.MULTILINE)
M = TypeVar("M", bound=BaseModel)


def document(model: type[M]) -> Callable[[Request], Any]:
    """Dependency: the body as a document of this kind; an empty body is one without keys."""

    async def read(request: Request) -> M:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > DOCUMENT_BYTES:
                raise HTTPException(413, f"expected a document of at most {DOCUMENT_BYTES} bytes, got more")
        return parsed(model, body or b"{}")

    return read


def form(*keys: str, file: str | None = None) -> Callable[[Request], Any]:
    """Dependency: the body as a form with these texts, and perhaps one file, which is gone when all is answered."""

    known = keys if file is None else (*keys, file)

    async def read(request: Request) -> AsyncIterator[FormData]:
        limits = {"max_files": int(file is not None), "max_fields": len(keys), "max_part_size": DOCUMENT_BYTES}
        async with request.form(**limits) as given:
            for key, value in given.multi_items():
                if key not in known or isinstance(value, UploadFile) != (key == file):
                    raise HTTPException(400, f"expected a form with {' and '.join(known)}, got {shown(key)}")
            yield given

    return read


def parsed(model: type[M], text: str | bytes) -> M:
    """A document of JSON.

    Raises:
        ValidationError: if it is none, or holds other keys or values than the model knows.
    """
    return TypeAdapter(model).validate_json(text)


@contextmanager
def received(file: Any, limit: int) -> Iterator[Path]:
    """The uploaded volume as a file, alone in a folder that is removed afterwards.

    Raises:
        HTTPException: 400 if there is none or it is no volume by its name, 413 if it is larger than `limit` bytes.
    """
    if not isinstance(file, UploadFile):
        raise HTTPException(400, "expected a file with a volume, got none")
    try:
        suffix = suffix_of(file.filename or "")
    except ValueError as error:
        raise HTTPException(400, str(error)) from error
    if (file.size or 0) > limit:
        raise HTTPException(413, f"expected a file of at most {limit} bytes, got {file.size}")
    if suffix in (".nrrd", ".mha") and ELSEWHERE.search(file.file.read(HEADER_BYTES)):
        raise HTTPException(400, "expected one file that holds its voxels, got a header that names another file")
    file.file.seek(0)
    with TemporaryDirectory(prefix="upload-") as folder:
        path = Path(folder) / f"volume{suffix}"
        with path.open("wb") as stream:
            shutil.copyfileobj(file.file, stream)
        yield path
