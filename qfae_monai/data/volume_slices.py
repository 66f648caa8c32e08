"""The wanted slices of one volume, cut out of it: what a training set is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_tensor

from qfae_monai.transforms.grey_slices import GreySlices, SlicedVolume
from qfae_monai.transforms.slice_choice import SliceChoice, places_along
from qfae_monai.transforms.volume_check import CheckVolumed, source_name

__all__ = ["SliceCutter", "VolumeSlices"]


LESION = "with a lesion"


@dataclass
class VolumeSlices:
    """N slices of one volume, in memory or mapped from a file.

    Attributes:
        image: (N, H, W) float32.
        slice_index: (N,) int64, where in the volume each slice lay.
        position: (N,) float32, its place along the stack, in [0, 1], from the first slice with foreground to the last.
        label: (N, H, W) boolean, True is lesion; None where it is not known or not kept.
        image_label: (N,) int64, 1 abnormal, 0 normal, of the slice; None where it is not known.
        lesion_position: (K,) float32, places of those that were left out for a lesion; None where that is not known.
        skipped: how many slices were left out, by reason.
    """

    image: torch.Tensor
    slice_index: torch.Tensor
    position: torch.Tensor
    label: torch.Tensor | None = None
    image_label: torch.Tensor | None = None
    lesion_position: torch.Tensor | None = None
    skipped: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.slice_index)

    def sample(self, row: int) -> dict[str, Any]:
        """Slice number `row` of these: `image` (1, H, W), `slice_index`, `position` and, where known, its labels.

        The pixels are copies, which a transform may change in place and a worker may send without the whole volume.
        """
        sample: dict[str, Any] = {"image": _copy(self.image[row : row + 1])}
        if self.label is not None:
            sample["label"] = _copy(self.label[row : row + 1])
        if self.image_label is not None:
            sample["image_label"] = int(self.image_label[row])
        return {**sample, "slice_index": int(self.slice_index[row]), "position": float(self.position[row])}


class SliceCutter:
    """Reads a volume and keeps the slices that are wanted.

    Args:
        volume_transform: gives `image` (1, X, Y, Z) and, where there is one, `label` on its grid.
        axis: spatial axis (0, 1 or 2) that is cut across, in the volume as `volume_transform` leaves it.
        index_range: first and last slice to take, both included; None takes all.
        share: of the foreground's extent to take instead, as in `SliceChoice`; None takes all.
        normal_only: whether slices with any label voxel above 0 are left out. No labels are kept then: all are 0.
        min_foreground: least share of a slice's pixels that are foreground, in [0, 1]; others are left out as empty.

    Raises:
        ValueError: when an argument is out of its range.
    """

    def __init__(
        self,
        volume_transform: Callable[[dict[str, Any]], Any],
        *,
        axis: int = 2,
        index_range: tuple[int, int] | None = None,
        share: tuple[float, float] | None = None,
        normal_only: bool = False,
        min_foreground: float = 0.01,
    ) -> None:
        self.volume_transform = volume_transform
        self.choice = SliceChoice(axis=axis, index_range=index_range, share=share, min_foreground=min_foreground)
        self.axis, self.normal_only = axis, normal_only
        self.checker = CheckVolumed()

    def __call__(self, entry: dict[str, Any]) -> VolumeSlices:
        """
        Args:
            entry: one volume, as `qfae_monai.data.volume_datalist` lists it.

        Raises:
            ValueError: when the volume cannot be read, is not one finite 3D image, has a label on another grid, or when
                `normal_only` is asked for and nothing says what is normal.
        """
        volume, slices = self._read(entry)
        label = self._label(volume, entry)  # (1, X, Y, Z)
        visible, inside = self.choice(slices)  # (slices,) booleans
        reasons = self._reasons(visible, inside, label)
        # (N,) slice numbers
        wanted, ill = (
            torch.tensor([index for index, reason in enumerate(reasons) if reason == given], dtype=torch.int64)
            for given in (None, LESION)
        )
        places = places_along(visible).cpu()  # (slices,)
        # copies of their own, or they would keep the whole volume in memory
        lesion = None if label is None else label[0].movedim(self.axis, 0)[wanted].contiguous()  # (N, H, W)
        return VolumeSlices(
            image=slices[wanted].contiguous(),
            slice_index=wanted,
            position=places[wanted],
            label=None if self.normal_only else lesion,
            image_label=None if lesion is None else lesion.flatten(1).any(1).to(torch.int64),
            lesion_position=places[ill],
            skipped=dict(Counter(reason for reason in reasons if reason is not None)),
        )

    def _read(self, entry: dict[str, Any]) -> tuple[dict[str, torch.Tensor], GreySlices]:
        """The volume's checked `image` and `label` as plain tensors, and the image's slices in grey values."""
        try:
            prepared, slices = SlicedVolume(self.volume_transform, self.axis)(entry)
            volume = self.checker(prepared)
            low, high = slices.extremes
            if low == high:
                raise ValueError(f"{source_name(volume['image'])}: expected an image, got {low:g} in every voxel")
        except Exception as error:
            cause: BaseException = error
            while cause.__cause__ is not None:  # MONAI wraps the reason in "applying transform ..."
                cause = cause.__cause__
            raise ValueError(f"{entry.get('image')}: volume refused, {type(cause).__name__}: {cause}") from error
        kept = [key for key in ("image", "label") if key in volume]
        return {key: convert_to_tensor(volume[key], track_meta=False) for key in kept}, slices

    def _label(self, volume: dict[str, Any], entry: dict[str, Any]) -> torch.Tensor | None:
        """Mask of a volume's lesions, (1, X, Y, Z) boolean; None if that is not known."""
        if "label" in volume:
            return volume["label"] > 0
        if entry.get("image_label") == 0:
            return torch.zeros_like(volume["image"], dtype=torch.bool)
        if self.normal_only:
            raise ValueError(
                f"{entry.get('image')}: expected a label or image_label 0 to know which slices are normal, "
                f"got the keys {sorted(entry)} and image_label {entry.get('image_label')}"
            )
        return None

    def _reasons(self, visible: torch.Tensor, inside: torch.Tensor, label: torch.Tensor | None) -> list[str | None]:
        """Reason that each slice is left out; None for a wanted slice."""
        outside = "outside of the index range" if self.choice.share is None else "outside of the share"
        reasons: list[str | None] = []
        for index, (seen, wanted) in enumerate(zip(visible.tolist(), inside.tolist(), strict=True)):
            if not wanted:
                reasons.append(outside)
            elif not seen:
                reasons.append("empty")
            # axis 0 of the label is its channel
            elif self.normal_only and label is not None and label.select(self.axis + 1, index).any():
                reasons.append(LESION)
            else:
                reasons.append(None)
        return reasons


def _copy(pixels: torch.Tensor) -> torch.Tensor:
    """A float32 copy; by NumPy, for torch would share so small a copy out among threads at more than its cost."""
    return torch.from_numpy(pixels.numpy().astype(np.float32))
