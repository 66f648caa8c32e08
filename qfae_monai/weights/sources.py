"""File that a network's weights are read from: a search that downloads nothing unless asked to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import constants

from qfae_monai.weights import hub
from qfae_monai.weights.catalogue import WeightsEntry, find_entry

HUB = "hub"


class WeightsNotFoundError(FileNotFoundError):
    """Weights are not where they were looked for; the message says where they belong and how to get them."""


def find_weights(name: str, weights: str | os.PathLike, *, download: bool = False) -> Path:
    """The file with the weights of a network.

    Args:
        name: of the catalogue or of timm.
        weights: `hub` for the local Hugging Face cache, a file, or a folder that holds `<name>.safetensors` or,
            as the hub lays it out, `<name>/model.safetensors`.
        download: with `hub`, may the network be asked for what the cache lacks.

    Raises:
        ValueError: if the name is not known, or a download is asked for that is not from the hub.
        WeightsNotFoundError: if there is no such file; decided without the network, unless `download` is set.
        ConnectionError: if a download was asked for and failed.
    """
    entry = find_entry(name)
    if weights == HUB:
        path = hub.cached_file(entry)
        if path is None and download:
            path, _ = hub.download(entry)
        if path is None:
            raise WeightsNotFoundError(_not_in_cache(entry))
        return path
    if download:
        raise ValueError(f"download is for weights={HUB!r}, got weights={os.fspath(weights)!r}")
    return _find_local(entry, Path(weights))


def find_in_folder(entry: WeightsEntry, folder: Path) -> Path | None:
    """The entry's file in a weights folder, None if it is not there."""
    return next((folder / name for name in entry.local_files if (folder / name).is_file()), None)


def _find_local(entry: WeightsEntry, path: Path) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        found = find_in_folder(entry, path)
        if found is None:
            raise WeightsNotFoundError(_not_found(entry, [path / name for name in entry.local_files], path))
        return found
    # A path that does not exist yet: a suffix tells a file from a folder.
    folder = path.parent if path.suffix in (".safetensors", ".pt", ".pth", ".bin") else path
    raise WeightsNotFoundError(_not_found(entry, [path], folder))


def _not_in_cache(entry: WeightsEntry) -> str:
    where = f"{' or '.join(entry.remote_files)} of {entry.repository} in the cache {constants.HF_HUB_CACHE}"
    return f"{_not_found(entry, [where], 'DIR')} (then weights='DIR'), or allow the download with download=True"


def _not_found(entry: WeightsEntry, looked_for: Sequence[str | Path], folder: str | Path) -> str:
    return (
        f"weights of {entry.name} not found: looked for {', '.join(map(str, looked_for))}. "
        f"Licence: {entry.licence}. "
        f"On a connected machine: qfae weights fetch {entry.name} --output {folder}"
    )
