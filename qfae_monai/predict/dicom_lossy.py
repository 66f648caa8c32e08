"""Lossy compression of a source, in DICOM's own terms."""

from __future__ import annotations

import math
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import format_number_as_ds

__all__ = ["lossy_compression"]

METHODS = """
    ISO_10918_1 ISO_14495_1 ISO_15444_1 ISO_15444_15 ISO_18181_1 ISO_13818_2 ISO_14496_10 ISO_23008_2
""".split()  # noqa: SIM905  (DICOM PS3.3, C.7.6.1.1.5.1)


def lossy_compression(header: Dataset) -> Dataset:
    """LossyImageCompression, its ratios and methods, as far as they are values that the standard knows.

    Anything else that stands there could be anybody's words, and goes into no result, be it anonymous or not.

    >>> header = Dataset()
    >>> header.LossyImageCompression, header.LossyImageCompressionRatio = "01", "12.345678"
    >>> header.LossyImageCompressionMethod = "JANE_DOE"
    >>> [str(element.value) for element in lossy_compression(header)]
    ['01', '12.3']
    """
    lossy = Dataset()
    if str(header.get("LossyImageCompression")) not in ("00", "01"):
        return lossy
    lossy.LossyImageCompression = str(header.LossyImageCompression)
    ratios = [_ratio(value) for value in _values(header, "LossyImageCompressionRatio")]
    methods = [str(value) for value in _values(header, "LossyImageCompressionMethod")]
    if ratios and all(ratio is not None for ratio in ratios):
        lossy.LossyImageCompressionRatio = [format_number_as_ds(ratio) for ratio in ratios if ratio is not None]
    if methods and all(method in METHODS for method in methods):
        lossy.LossyImageCompressionMethod = methods
    return lossy


def _values(header: Dataset, keyword: str) -> list[Any]:
    value = header.get(keyword)
    return list(value) if isinstance(value, list | MultiValue) else [] if value in (None, "") else [value]


def _ratio(value: Any) -> float | None:
    """Three digits of it, which tell how much was lost and nothing else; None where it is no ratio."""
    try:
        ratio = float(value)
    except (TypeError, ValueError):
        return None
    return float(f"{ratio:.3g}") if math.isfinite(ratio) and 0 < ratio < 1e6 else None
