"""Slices of volumes, read once and kept in memory: what the autoencoder is trained on."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.data import Dataset
from monai.utils import convert_to_tensor
from tqdm import tqdm

from qfae_monai.transforms.foreground import foreground_mask
from qfae_monai.transforms.volume_check import CheckVolumed

__all__ = ["SliceDataset"]

logger = logging.getLogger(__name__)


class SliceDataset(Dataset):
    """Slices of volumes as a MONAI dataset.

    Each volume is read once, by ``volume_transform``; its slices stay in memory as plain float32 tensors. Training sets
    of the paper's size fit: 7,500 slices of 240 x 240 are 1.7 GB. They are listed in ``data`` as dictionaries of
    ``image`` (1, H, W), ``case``, ``slice_index`` and, where known, ``label`` (1, H, W; 1 is lesion, 0 is not) and
    ``image_label`` (1 abnormal, 0 normal, of the slice). Slices of different volumes may differ in size.

    Args:
        data: dictionaries of volumes, as :func:`qfae_monai.data.volume_datalist` lists them.
        volume_transform: gives ``image`` (1, X, Y, Z) and, where there is one, ``label`` on its grid.
        transform: applied to a slice's dictionary each time it is asked for.
        axis: spatial axis (0, 1 or 2) that is cut across, in the volume as ``volume_transform`` leaves it.
        index_range: first and last slice to take, both included; None takes all.
        skip_empty: whether slices with too little foreground, constant ones above all, are left out.
        normal_only: whether slices with any label voxel above 0 are left out. No labels are kept then: all are 0.
        min_foreground: least share of a slice's pixels above the volume's minimum, in [0, 1].
        progress: whether to show a progress bar over the volumes.

    Raises:
        ValueError: when a volume cannot be read, is not one finite 3D image, or has a label on another grid; when
            ``normal_only`` is asked for and nothing says what is normal; when no slice is left.
    """

    def __init__(
        self,
        data: Sequence[dict[str, Any]],
        volume_transform: Callable[[dict[str, Any]], Any],
        transform: Callable | Sequence[Callable] | None = None,
        *,
        axis: int = 2,
        index_range: tuple[int, int] | None = None,
        skip_empty: bool = True,
        normal_only: bool = False,
        min_foreground: float = 0.01,
        progress: bool = False,
    ) -> None:
        if axis not in (0, 1, 2):
            raise ValueError(f"expected a spatial axis 0, 1 or 2, got {axis}.")
        if index_range is not None and not 0 <= index_range[0] <= index_range[1]:
            raise ValueError(f"expected an index_range 0 <= first <= last, got {tuple(index_range)}.")
        if not 0 <= min_foreground <= 1:
            raise ValueError(f"expected min_foreground in [0, 1], got {min_foreground}.")
        self.axis, self.index_range = axis, index_range
        self.skip_empty, self.min_foreground, self.normal_only = skip_empty, min_foreground, normal_only
        skipped: Counter[str] = Counter()
        slices: list[dict[str, Any]] = []
        for entry in tqdm(data, desc="reading volumes", unit="volume", disable=not progress):
            slices += self._cut(_read(entry, volume_transform), entry, skipped)
        reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items()) or "none skipped"
        if not slices:
            raise ValueError(f"expected slices from {len(data)} volumes, got none: {reasons}.")
        logger.info("%d slices from %d volumes; skipped: %s", len(slices), len(data), reasons)
        super().__init__(slices, transform)

    def _cut(self, volume: dict[str, Any], entry: dict[str, Any], skipped: Counter[str]) -> list[dict[str, Any]]:
        """Slices of one volume that are wanted; counts the others by reason."""
        image, label = volume["image"], self._label(volume, entry)
        foreground = foreground_mask(image)
        first, last = self.index_range or (0, image.shape[self.axis + 1] - 1)
        slices = []
        for index in range(image.shape[self.axis + 1]):
            lesion = None if label is None else label.select(self.axis + 1, index)
            reason = None
            if not first <= index <= last:
                reason = "outside of the index range"
            elif self.skip_empty and self._is_empty(image, foreground, index):
                reason = "empty"
            elif self.normal_only and lesion is not None and lesion.any():
                reason = "with a lesion"
            if reason is None:
                slices.append(self._sample(image.select(self.axis + 1, index), lesion, index, entry))
            else:
                skipped[reason] += 1
        return slices

    def _label(self, volume: dict[str, Any], entry: dict[str, Any]) -> torch.Tensor | None:
        """Where a volume has lesions, (1, X, Y, Z) boolean; None when that is not known."""
        if "label" in volume:
            return volume["label"] > 0
        if entry.get("image_label") == 0:
            return torch.zeros_like(volume["image"], dtype=torch.bool)
        if self.normal_only:
            raise ValueError(
                f"{entry.get('image')}: expected a label or image_label 0 to know which slices are normal, "
                f"got the keys {sorted(entry)} and image_label {entry.get('image_label')}."
            )
        return None

    def _is_empty(self, image: torch.Tensor, foreground: torch.Tensor, index: int) -> bool:
        pixels = image.select(self.axis + 1, index)
        count = int(foreground.select(self.axis + 1, index).sum())
        return count < self.min_foreground * pixels.numel() or bool(pixels.min() == pixels.max())

    def _sample(
        self, pixels: torch.Tensor, lesion: torch.Tensor | None, index: int, entry: dict[str, Any]
    ) -> dict[str, Any]:
        # a copy of its own, or one slice would keep the whole volume in memory
        sample: dict[str, Any] = {"image": pixels.clone(memory_format=torch.contiguous_format)}
        if lesion is not None and not self.normal_only:
            sample["label"] = lesion.to(torch.float32, memory_format=torch.contiguous_format)
        if lesion is not None:
            sample["image_label"] = int(lesion.any())
        return {**sample, "case": str(entry.get("case", entry.get("image"))), "slice_index": index}


def _read(entry: dict[str, Any], volume_transform: Callable[[dict[str, Any]], Any]) -> dict[str, torch.Tensor]:
    """The volume's checked ``image`` (float32) and ``label`` as plain tensors."""
    try:
        volume = CheckVolumed()(volume_transform(entry))
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # MONAI wraps the reason in "applying transform ..."
            cause = cause.__cause__
        raise ValueError(f"{entry.get('image')}: volume refused, {type(cause).__name__}: {cause}") from error
    image = convert_to_tensor(volume["image"], dtype=torch.float32, track_meta=False)
    label = {"label": convert_to_tensor(volume["label"], track_meta=False)} if "label" in volume else {}
    return {"image": image, **label}
