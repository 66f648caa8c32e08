"""Keys that tell apart DICOM frames at one position: echo, b-value, time, type, dimension index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from qfae_monai.reading.dicom_elements import B_VALUE_TAGS, ORDER_KEYWORDS, VOLUME_KEYWORDS
from qfae_monai.reading.dicom_file import DicomFile

__all__ = ["common_keys", "listed", "own_keys"]

GE_OFFSET = 1e9
MEANINGS = (
    ("MREchoSequence", "EffectiveEchoTime", "EchoTime"),
    ("MRDiffusionSequence", "DiffusionBValue", "DiffusionBValue"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", "TriggerTime"),
    ("FrameContentSequence", "TemporalPositionIndex", "TemporalPositionIdentifier"),
    ("MRImageFrameTypeSequence", "FrameType", "ImageType"),
)
"""Functional groups, what they state, and its name in single-frame files."""
SPACE_TAGS = (0x00209057, 0x00200032, 0x00209113, 0x00209111)  # in-stack position, positions and their sequences


def common_keys(file: DicomFile) -> dict[str, Any]:
    """Values of the whole file."""
    words = (*VOLUME_KEYWORDS, *ORDER_KEYWORDS)
    keys = {word: _text(value) for word in words if (value := file.values.get(word)) not in (None, "")}
    if "DiffusionBValue" not in keys and (value := _private_b_value(file.dataset)) is not None:
        keys["DiffusionBValue"] = value
    return keys


def own_keys(own: Dataset, shared: Sequence[Dataset], pointers: Sequence[int]) -> dict[str, Any]:
    """Values of one frame of several.

    Args:
        own: its functional groups.
        shared: those of all frames, if there are any.
        pointers: tags that its dimension indices stand for.
    """
    meanings = {name: value for group in (*shared, own) for name, value in _meanings(group).items()}
    return {**meanings, **_dimensions(own, pointers)}


def _meanings(group: Dataset) -> dict[str, Any]:
    """Echo, b-value, time and type from functional groups, under the names that single-frame files have."""
    found: dict[str, Any] = {}
    for sequence, keyword, name in MEANINGS:
        item = (group.get(sequence) or [Dataset()])[0]
        if item.get(keyword) not in (None, ""):
            found[name] = _text(item.get(keyword))
    return found


def _dimensions(own: Dataset, pointers: Sequence[int]) -> dict[str, Any]:
    """Keys that tell apart an enhanced file's frames at one position: its indices other than position."""
    keys: dict[str, Any] = {}
    content = (own.get("FrameContentSequence") or [Dataset()])[0]
    values = listed(content.get("DimensionIndexValues"))
    if values and len(values) == len(pointers):
        keys["dimension index"] = tuple(v for v, p in zip(values, pointers, strict=True) if p not in SPACE_TAGS)
    if content.get("StackID") is not None or content.get("TemporalPositionIndex") is not None:
        keys["stack and time"] = (str(content.get("StackID")), content.get("TemporalPositionIndex"))
    segment = (own.get("SegmentIdentificationSequence") or [Dataset()])[0].get("ReferencedSegmentNumber")
    if segment is not None:
        keys["segment"] = int(segment)
    return keys


def _private_b_value(dataset: Dataset) -> str | None:
    """b-value in s/mm2 of scanners that state it in elements of their own."""
    value = next((dataset[tag].value for tag in B_VALUE_TAGS if tag in dataset), None)
    if isinstance(value, bytes):  # a number of 4 or 8 bytes, or text
        kind = {4: "<f4", 8: "<f8"}.get(len(value))
        binary = kind is not None and value.strip(b" 0123456789\\.") != b""
        value = float(np.frombuffer(value, kind)[0]) if binary else value.decode("ascii", "ignore").split("\\")
    try:
        number = float(listed(value)[0])
    except (IndexError, TypeError, ValueError):
        return None
    # GE adds 1e9 to the values of some versions
    return f"{number % GE_OFFSET:g}" if 0 <= number < 2 * GE_OFFSET else None


def _text(value: Any) -> str:
    """A value as text, the values of a list between backslashes as in the file."""
    return "\\".join(map(str, listed(value)))


def listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str | int | float) else list(value)
