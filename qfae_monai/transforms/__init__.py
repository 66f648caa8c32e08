"""Transforms that MONAI has no part for: checks at the door, intensity scaling, the paper's augmentation."""

from __future__ import annotations

from qfae_monai.transforms.antialias import QuickResize, QuickResized
from qfae_monai.transforms.arrays import LoadArray, LoadArrayd, NormalLabeld
from qfae_monai.transforms.augmentation import (
    RandAugmentBatch,
    RandResizedCropRotateFlip,
    RandResizedCropRotateFlipd,
)
from qfae_monai.transforms.bit_depth import ScaleBitDepth, ScaleBitDepthd
from qfae_monai.transforms.equalize import (
    BilateralFilter,
    EqualizeNonzero,
)
from qfae_monai.transforms.foreground import (
    ScaleIntensityForegroundPercentiles,
    ScaleIntensityForegroundPercentilesd,
    foreground_mask,
)
from qfae_monai.transforms.images import LoadGreyImage, LoadGreyImaged, grey
from qfae_monai.transforms.jitter import (
    BrightnessContrast,
    CoarseNoise,
    RandBrightnessContrast,
    RandBrightnessContrastd,
)
from qfae_monai.transforms.quantize import QuantizeSlice
from qfae_monai.transforms.region_canvas import RegionCanvas, bounding_box
from qfae_monai.transforms.resized_crop import ResizedCropRotateFlip
from qfae_monai.transforms.save_maps import SaveMapsd, ThresholdMap, ThresholdMapd
from qfae_monai.transforms.slice_choice import TRIVIAL_FEATURES, SliceChoice, SliceSummaryd
from qfae_monai.transforms.volume_check import CheckVolume, CheckVolumed, source_name

__all__ = [
    "TRIVIAL_FEATURES",
    "BilateralFilter",
    "BrightnessContrast",
    "CheckVolume",
    "CheckVolumed",
    "CoarseNoise",
    "EqualizeNonzero",
    "LoadArray",
    "LoadArrayd",
    "LoadGreyImage",
    "LoadGreyImaged",
    "NormalLabeld",
    "QuantizeSlice",
    "QuickResize",
    "QuickResized",
    "RandAugmentBatch",
    "RandBrightnessContrast",
    "RandBrightnessContrastd",
    "RandResizedCropRotateFlip",
    "RandResizedCropRotateFlipd",
    "RegionCanvas",
    "ResizedCropRotateFlip",
    "SaveMapsd",
    "ScaleBitDepth",
    "ScaleBitDepthd",
    "ScaleIntensityForegroundPercentiles",
    "ScaleIntensityForegroundPercentilesd",
    "SliceChoice",
    "SliceSummaryd",
    "ThresholdMap",
    "ThresholdMapd",
    "bounding_box",
    "foreground_mask",
    "grey",
    "source_name",
]
