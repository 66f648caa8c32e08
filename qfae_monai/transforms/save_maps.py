"""Maps of a volume: masks above a threshold, and files on the grid of the scan."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from qfae_monai.files.tables import check_file_name
from qfae_monai.reading.nifti_file import write_nifti

__all__ = ["SaveMapsd", "ThresholdMap", "ThresholdMapd"]

# Mask of an anomaly map above a calibrated threshold.


class ThresholdMap(Transform):
    """Anomaly map to mask: 1 is above the threshold, 0 is not.

    Args:
        threshold: map value, in the map's own unit.

    Raises:
        TypeError: when the threshold is no number: without a calibration there is none.

    Example:
        >>> ThresholdMap(0.5)(torch.tensor([0.4, 0.5, 0.6])).tolist()
        [0, 0, 1]
    """

    def __init__(self, threshold: float) -> None:
        if not isinstance(threshold, float | int):
            raise TypeError(f"expected a threshold of the anomaly map, got {threshold!r}; `calibrating` gives one")
        self.threshold = float(threshold)

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """
        Args:
            img: anomaly map of any shape.

        Returns:
            uint8 of the same shape, on the same grid.
        """
        return (img > self.threshold).to(torch.uint8)


class ThresholdMapd(MapTransform):
    """Dictionary twin of `ThresholdMap`, for a map that stays beside its mask.

    Args:
        keys: key of the map.
        threshold: as in `ThresholdMap`; None makes no mask.
        mask_key: where the mask goes.
    """

    def __init__(self, keys: KeysCollection = "pred", threshold: float | None = None, mask_key: str = "mask") -> None:
        super().__init__(keys)
        self.mask_key = mask_key
        self.mask = None if threshold is None else ThresholdMap(threshold)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            if self.mask is not None:
                d[self.mask_key] = self.mask(d[key])
        return d


# Maps written as NIfTI beside each other, one file per case, complete or absent.


class SaveMapsd(MapTransform):
    """Write maps as `<output_dir>/<case>_<name>.nii.gz`, on the grid and affine that they carry: float32, masks uint8.

    Args:
        keys: maps or masks, (1, X, Y, Z) MetaTensors; or (1, H, W) of images, written as (H, W).
        output_dir: folder, made if it is missing.
        names: what each key is called in the file's name; the key itself where not given.
        case_key: identifier of the case in the dictionary.
        allow_missing_keys: whether a key may be absent.
    """

    def __init__(
        self,
        keys: Any,
        output_dir: str | os.PathLike,
        names: Mapping[str, str] | None = None,
        case_key: str = "case",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir = Path(output_dir)
        self.names = dict(names or {})
        self.case_key = case_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """
        Raises:
            ValueError: when the case would lead out of the folder.
        """
        d = dict(data)
        case = check_file_name(d[self.case_key], f"{self.output_dir}, {self.case_key}")
        for key in self.key_iterator(d):
            name = f"{case}_{self.names.get(str(key), str(key))}"
            kept = d[key] if d[key].dtype == torch.uint8 else d[key].float()
            pixels = kept[0].as_subclass(torch.Tensor).cpu().numpy()  # (X, Y, Z) or (H, W)
            # of an image, 1 mm a pixel and axes as displayed: nothing more is known
            affine = kept.affine.cpu().numpy() if pixels.ndim == 3 else np.diag([-1.0, -1.0, 1.0, 1.0])
            write_nifti(self.output_dir / f"{name}.nii.gz", pixels, affine)
        return d
