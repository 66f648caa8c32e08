"""Downloads from the Hugging Face hub and files in its local cache; no other file talks to the hub."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache

from qfae_monai.files import sha256_of
from qfae_monai.weights.catalogue import WeightsEntry, find_entry
from qfae_monai.weights.checksums import ChangedFileError, record_sum, store_file


def cached_file(entry: WeightsEntry) -> Path | None:
    """The entry's file in the local hub cache, None if it is not there; never asks the network."""
    if entry.repository is None:
        return None
    for name in entry.remote_files:
        path = try_to_load_from_cache(entry.repository, name)
        if isinstance(path, str):  # the hub answers with an object of its own for "known not to exist"
            return Path(path)
    return None


def download(
    entry: WeightsEntry, folder: str | Path | None = None, *, revision: str | None = None, sha256: str | None = None
) -> tuple[Path, str]:
    """Download the entry's file at one commit, and compare it with every sum that is known of it.

    Args:
        entry: what to download.
        folder: where to; None is the hub's own cache.
        revision: commit, branch or tag; None for the catalogue's, or else the newest.
        sha256: that the file must have; None for the catalogue's, or else what the hub reports.

    Returns:
        The file, and the commit that it is of.

    Raises:
        ValueError: if the network has no published weights.
        ConnectionError: if the hub cannot be reached or refuses.
        ChangedFileError: if what came is not what was expected, or not what the hub describes.
    """
    repository = entry.repository
    if repository is None:
        raise ValueError(f"{entry.name}: timm knows of no published weights for it")
    try:
        # Asked first because, without a connection, this fails at once, while a download retries for half a minute.
        commit = str(HfApi().repo_info(repository, revision=revision or entry.revision).sha)
        found = HfApi().get_paths_info(repository, list(entry.remote_files), revision=commit)
        described = {item.path: item for item in found}
        name = next((name for name in entry.remote_files if name in described), None)
        if name is None:
            raise FileNotFoundError(f"expected one of {', '.join(entry.remote_files)}, the repository has none of them")
        path = Path(hf_hub_download(repository, name, local_dir=folder, revision=commit))
    except Exception as error:  # the hub's client changes its network library, and so its errors, between versions
        raise ConnectionError(
            f"{entry.name} could not be fetched from the Hugging Face repository {repository}: "
            f"{type(error).__name__}: {error}"
        ) from error
    _compare_with_hub(path, described[name])
    wanted = sha256 or entry.sha256
    if wanted is not None and sha256_of(path) != wanted.lower():
        raise ChangedFileError(
            f"{entry.name}: expected a file of SHA-256 {wanted.lower()}, got {sha256_of(path)} from "
            f"{repository} at {commit}"
        )
    return path, commit


def _compare_with_hub(path: Path, described: object) -> None:
    """The hub reports a SHA-256 for large files only; a small file carries none."""
    large_file = getattr(described, "lfs", None)
    if large_file is None:
        return
    found = sha256_of(path)
    if found != large_file.sha256:
        raise ChangedFileError(f"{path}: the hub describes SHA-256 {large_file.sha256}, what came has {found}")


# Fetch published weights into a folder that can be carried to a machine without a network.


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
        came, commit = download(entry, partial, revision=revision, sha256=sha256)
        path = store_file(came, folder / f"{entry.name}{came.suffix}", insisted=sha256 is not None)
    return Fetched(path, commit, record_sum(path))
