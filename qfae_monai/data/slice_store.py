"""A folder of slices cut once: memory-mapped at every later start, shared by all processes that read it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from qfae_monai.data.fingerprint import fingerprint, source_fingerprint
from qfae_monai.data.volume_slices import VolumeSlices
from qfae_monai.files import parse_object, remove_partials, whole_file
from qfae_monai.files.schema import entries, whole

__all__ = ["SliceStore", "StoredSlices"]

logger = logging.getLogger(__name__)

SUFFIX = ".safetensors"
ABANDONED = 24 * 3600
"""Age in seconds from which a file under its temporary name is what a killed writer left behind."""


@dataclass
class StoredSlices(VolumeSlices):
    """Slices whose pixels stay in their file, mapped into memory; pickled as the file's name alone."""

    path: Path = Path()

    @classmethod
    def open(cls, path: Path) -> StoredSlices:
        """
        Args:
            path: file of one volume: `image` (N, H, W) float32, `slice_index` and `position` (N,) and, where known,
                `label` (N, H, W) boolean, `image_label` (N,) and `lesion_position` (K,); the counts of slices left out
                are its metadata.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when the file is truncated, or its tensors are not these.
        """
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
                skipped = parse_object((file.metadata() or {})["skipped"], f"{path}, metadata", entries(whole()))
        except (SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"{path}: expected stored slices, got a damaged or foreign file ({error})") from error
        _check(tensors, path)
        return cls(**tensors, skipped=skipped, path=path)

    def __reduce__(self) -> tuple[Callable[[Path], StoredSlices], tuple[Path]]:
        return StoredSlices.open, (self.path,)


class SliceStore:
    """Gives the slices of a volume, from a folder where they lie and by cutting the volume where they do not.

    A volume's slices are one file, named by what its pixels depend on: the content of the volume's files (SHA-256, read
    in full at each start; their paths do not count), the cutter with its `volume_transform` down to the last number,
    and the versions of the software. Whatever of this changes, the slices are cut anew under another name; nothing is
    deleted. A file is written under a temporary name, then renamed, so that readers see it whole or not at all, and
    processes that write the same one do each other no harm. A file that is truncated or of other shapes is reported in
    the log and written again; flipped pixels are not noticed.

    Args:
        folder: made where missing. It holds pixels, and no name or path of where they came from.
        cut: gives a volume's slices: a `qfae_monai.data.volume_slices.SliceCutter`.

    Raises:
        ValueError: when `cut` is random or has a part that cannot be told from another.
    """

    def __init__(self, folder: str | PathLike, cut: Callable[[dict[str, Any]], VolumeSlices]) -> None:
        self.folder = Path(folder).absolute()
        self.cut = cut
        self.recipe = fingerprint(cut)
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_partials(self.folder, age=ABANDONED)

    def __call__(self, entry: dict[str, Any]) -> StoredSlices:
        """
        Args:
            entry: one volume, as `qfae_monai.data.volume_datalist` lists it.

        Raises:
            ValueError: when the volume cannot be cut, or is described by a file that does not hold its voxels.
        """
        path = self.path(entry)
        if path.is_file():
            try:
                return StoredSlices.open(path)
            except ValueError as error:
                logger.warning("%s It is written again.", error)
        _write(self.cut(entry), path)
        return StoredSlices.open(path)

    def path(self, entry: dict[str, Any]) -> Path:
        """File of a volume's slices, whether it is there or not."""
        key = hashlib.sha256(f"{self.recipe} {source_fingerprint(entry)}".encode()).hexdigest()
        return self.folder / f"{key}{SUFFIX}"


def _write(slices: VolumeSlices, path: Path) -> None:
    tensors = {
        name: tensor
        for name in ("image", "slice_index", "position", "label", "image_label", "lesion_position")
        if (tensor := getattr(slices, name)) is not None
    }
    with whole_file(path, on_disk=True) as partial:
        save_file(tensors, partial, metadata={"skipped": json.dumps(slices.skipped)})


def _check(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Refuse tensors that are not slices of one volume."""
    image, index = tensors.get("image"), tensors.get("slice_index")
    whole = image is not None and index is not None and image.ndim == 3 and len(image) == len(index)
    expected: dict[str, tuple[torch.Size, torch.dtype]] = {}
    ill = tensors.get("lesion_position", torch.zeros(0))
    if image is not None and index is not None and ill.ndim == 1:
        expected = {
            "image": (image.shape, torch.float32),
            "slice_index": (index.shape, torch.int64),
            "position": (index.shape, torch.float32),
            "label": (image.shape, torch.bool),
            "image_label": (index.shape, torch.int64),
            "lesion_position": (ill.shape, torch.float32),
        }
    found = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
    if not whole or "position" not in tensors or any(expected.get(name) != came for name, came in found.items()):
        raise ValueError(
            f"{path}: expected image (N, H, W), slice_index and position (N,) of stored slices, got {found}"
        )
