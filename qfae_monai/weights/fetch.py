"""Fetch published weights into a folder that can be carried to a machine without a network."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from qfae_monai.weights import hub
from qfae_monai.weights.catalogue import find_entry
from qfae_monai.weights.checksums import record_sum


def fetch_weights(name: str, output: str | os.PathLike) -> Path:
    """Download one set of weights and record its SHA-256 in the folder's SHA256SUMS.

    The file appears under its name only when it is complete.

    Args:
        name: of the catalogue or of timm.
        output: folder, made if it does not exist; the file becomes `<output>/<name>` and the published suffix.

    Returns:
        Path of the file.

    Raises:
        ValueError: if the name is not known or nothing is published under it.
        ConnectionError: if the hub cannot be reached.
        ChangedFileError: if the file is not the one that the hub describes.
    """
    entry = find_entry(name)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".fetch-") as partial:
        came = hub.download(entry, partial)
        path = folder / f"{entry.name}{came.suffix}"
        os.replace(came, path)
    record_sum(path)
    return path
