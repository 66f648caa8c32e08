"""CT window: Hounsfield units to [0, 1] by MONAI's ScaleIntensityRange, refusing images that hold none."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import get_track_meta
from monai.transforms import MapTransform, ScaleIntensityRange, Transform
from monai.utils import convert_to_tensor

from qfae_monai.transforms.volume_check import source_name

__all__ = ["CTWindow", "CTWindowd"]

HU_BELOW_WATER = -50.0  # fat lies at about -100 HU, air at -1000: every CT slice of a patient reaches below this
HU_METAL = 32767.0  # the most that 16 bits hold


class CTWindow(Transform):
    """Clip to a window of HU and scale it to [0, 1]. The window is given by center and width, or by low and high.

    Args:
        center: of the window, in HU.
        width: of the window, in HU: it reaches from center - width / 2 to center + width / 2.
        low: HU that become 0.
        high: HU that become 1.

    Example:
        >>> CTWindow(center=50, width=400)(torch.tensor([-1000.0, -150.0, 50.0, 250.0, 900.0])).tolist()
        [0.0, 0.0, 0.5, 1.0, 1.0]
        >>> CTWindow(low=-150, high=250)(torch.tensor([-1000.0, 50.0])).tolist()
        [0.0, 0.5]
    """

    def __init__(
        self,
        center: float | None = None,
        width: float | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        if center is not None and width is not None and low is None and high is None:
            low, high = center - width / 2, center + width / 2
        elif center is not None or width is not None or low is None or high is None:
            raise ValueError(
                f"expected center and width, or low and high, got center {center}, width {width}, "
                f"low {low} and high {high}."
            )
        if not low < high:
            raise ValueError(f"expected a window wider than 0 HU, got {low:g} to {high:g}.")
        self.low, self.high = low, high
        self.scale = ScaleIntensityRange(low, high, 0.0, 1.0, clip=True)

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """
        Args:
            img: any shape, in HU.

        Returns:
            The same shape, float32 in [0, 1].

        Raises:
            ValueError: when the image has NaN or infinite pixels, or does not look like HU: stored values whose rescale
                intercept was not applied, or a range such as 0..255 or [0, 1], never reach below -50.
        """
        image = convert_to_tensor(img, track_meta=get_track_meta())
        low, high = float(image.min()), float(image.max())
        if not low <= HU_BELOW_WATER or not high <= HU_METAL or low == float("-inf"):
            raise ValueError(
                f"{source_name(image)}: expected HU, with fat or air below {HU_BELOW_WATER:g} and nothing above "
                f"{HU_METAL:g}, got {low:g} to {high:g}; was the rescale intercept applied?"
            )
        return convert_to_tensor(self.scale(image), track_meta=get_track_meta())


class CTWindowd(MapTransform):
    """Dictionary twin of :class:`CTWindow`.

    Args:
        keys: keys of the images.
        center: of the window, in HU.
        width: of the window, in HU.
        low: HU that become 0, instead of center and width.
        high: HU that become 1.
        allow_missing_keys: whether a key may be absent.
    """

    def __init__(
        self,
        keys: KeysCollection,
        center: float | None = None,
        width: float | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.window = CTWindow(center, width, low=low, high=high)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.window(d[key])
        return d
