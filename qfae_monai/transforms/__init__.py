"""Transforms that MONAI has no part for: checks at the door, intensity scaling, the paper's augmentation."""

from __future__ import annotations

from qfae_monai.transforms.arrays import LoadArray, LoadArrayD, LoadArrayd, LoadArrayDict
from qfae_monai.transforms.augmentation import (
    RandResizedCropRotateFlip,
    RandResizedCropRotateFlipD,
    RandResizedCropRotateFlipd,
    RandResizedCropRotateFlipDict,
)
from qfae_monai.transforms.batch_augmentation import RandAugmentBatch
from qfae_monai.transforms.bilateral_filter import (
    BilateralFilter,
    BilateralFilterD,
    BilateralFilterd,
    BilateralFilterDict,
)
from qfae_monai.transforms.bit_depth import ScaleBitDepth, ScaleBitDepthD, ScaleBitDepthd, ScaleBitDepthDict
from qfae_monai.transforms.coarse_noise import CoarseNoise
from qfae_monai.transforms.ct_window import CTWindow, CTWindowD, CTWindowd, CTWindowDict
from qfae_monai.transforms.equalize import EqualizeNonzero, EqualizeNonzeroD, EqualizeNonzerod, EqualizeNonzeroDict
from qfae_monai.transforms.foreground import (
    ScaleIntensityForegroundPercentiles,
    ScaleIntensityForegroundPercentilesD,
    ScaleIntensityForegroundPercentilesd,
    ScaleIntensityForegroundPercentilesDict,
    foreground_mask,
)
from qfae_monai.transforms.images import LoadGreyImage, LoadGreyImageD, LoadGreyImaged, LoadGreyImageDict, grey
from qfae_monai.transforms.jitter import (
    BrightnessContrast,
    RandBrightnessContrast,
    RandBrightnessContrastD,
    RandBrightnessContrastd,
    RandBrightnessContrastDict,
)
from qfae_monai.transforms.normal_label import NormalLabelD, NormalLabeld, NormalLabelDict
from qfae_monai.transforms.quantize import QuantizeSlice, QuantizeSliceD, QuantizeSliced, QuantizeSliceDict
from qfae_monai.transforms.region_canvas import (
    RegionCanvas,
    RegionCanvasD,
    RegionCanvasd,
    RegionCanvasDict,
    bounding_box,
)
from qfae_monai.transforms.resized_crop import ResizedCropRotateFlip
from qfae_monai.transforms.save_maps import SaveMapsD, SaveMapsd, SaveMapsDict
from qfae_monai.transforms.slice_choice import SliceChoice
from qfae_monai.transforms.slice_summary import TRIVIAL_FEATURES, SliceSummaryD, SliceSummaryd, SliceSummaryDict
from qfae_monai.transforms.threshold_map import ThresholdMap, ThresholdMapD, ThresholdMapd, ThresholdMapDict
from qfae_monai.transforms.volume_check import CheckVolume, CheckVolumeD, CheckVolumed, CheckVolumeDict, source_name

__all__ = [
    "TRIVIAL_FEATURES",
    "BilateralFilter",
    "BilateralFilterD",
    "BilateralFilterDict",
    "BilateralFilterd",
    "BrightnessContrast",
    "CTWindow",
    "CTWindowD",
    "CTWindowDict",
    "CTWindowd",
    "CheckVolume",
    "CheckVolumeD",
    "CheckVolumeDict",
    "CheckVolumed",
    "CoarseNoise",
    "EqualizeNonzero",
    "EqualizeNonzeroD",
    "EqualizeNonzeroDict",
    "EqualizeNonzerod",
    "LoadArray",
    "LoadArrayD",
    "LoadArrayDict",
    "LoadArrayd",
    "LoadGreyImage",
    "LoadGreyImageD",
    "LoadGreyImageDict",
    "LoadGreyImaged",
    "NormalLabelD",
    "NormalLabelDict",
    "NormalLabeld",
    "QuantizeSlice",
    "QuantizeSliceD",
    "QuantizeSliceDict",
    "QuantizeSliced",
    "RandAugmentBatch",
    "RandBrightnessContrast",
    "RandBrightnessContrastD",
    "RandBrightnessContrastDict",
    "RandBrightnessContrastd",
    "RandResizedCropRotateFlip",
    "RandResizedCropRotateFlipD",
    "RandResizedCropRotateFlipDict",
    "RandResizedCropRotateFlipd",
    "RegionCanvas",
    "RegionCanvasD",
    "RegionCanvasDict",
    "RegionCanvasd",
    "ResizedCropRotateFlip",
    "SaveMapsD",
    "SaveMapsDict",
    "SaveMapsd",
    "ScaleBitDepth",
    "ScaleBitDepthD",
    "ScaleBitDepthDict",
    "ScaleBitDepthd",
    "ScaleIntensityForegroundPercentiles",
    "ScaleIntensityForegroundPercentilesD",
    "ScaleIntensityForegroundPercentilesDict",
    "ScaleIntensityForegroundPercentilesd",
    "SliceChoice",
    "SliceSummaryD",
    "SliceSummaryDict",
    "SliceSummaryd",
    "ThresholdMap",
    "ThresholdMapD",
    "ThresholdMapDict",
    "ThresholdMapd",
    "bounding_box",
    "foreground_mask",
    "grey",
    "source_name",
]
