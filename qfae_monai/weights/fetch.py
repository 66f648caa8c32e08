"""Fetch published weights into a folder that can be carried to a machine without a network."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from qfae_monai.files import sha256_of
from qfae_monai.weights import hub
from qfae_monai.weights.catalogue import find_entry
from qfae_monai.weights.checksums import SUMS_FILE, ChangedFileError, read_sums, record_sum


class Fetched(NamedTuple):
    """path: of the file; revision: commit of the repository that it is of; sha256: of the file."""

    path: Path
    revision: str
    sha256: str


def fetch_weights(
    name: str, output: str | os.PathLike, *, revision: str | None = None, sha256: str | None = None
) -> Fetched:
    """Download one set of weights and record its SHA-256 in the folder's SHA256SUMS.

    The file appears under its name only when it is complete. What SHA256SUMS recorded at the first fetch holds for
    every later one, unless another sum is given.

    Args:
        name: of the catalogue or of timm.
        output: folder, made if it does not exist; the file becomes `<output>/<name>` and the published suffix.
        revision, sha256: commit and sum to insist on; None for the catalogue's, where it has them.

    Raises:
        ValueError: if the name is not known or nothing is published under it.
        ConnectionError: if the hub cannot be reached.
        ChangedFileError: if the file is not the one that was expected, recorded or described by the hub.
    """
    entry = find_entry(name)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".fetch-") as partial:
        came, commit = hub.download(entry, partial, revision=revision, sha256=sha256)
        path = folder / f"{entry.name}{came.suffix}"
        recorded, found = read_sums(folder).get(path.name), sha256_of(came)
        if sha256 is None and recorded not in (None, found):
            raise ChangedFileError(f"{entry.name}: {folder / SUMS_FILE} recorded SHA-256 {recorded} at an earlier "
                                   f"fetch, got {found}; sha256={found!r} insists on the new one")  # fmt: skip
        os.replace(came, path)
    return Fetched(path, commit, record_sum(path))
