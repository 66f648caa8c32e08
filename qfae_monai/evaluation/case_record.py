"""Record of one evaluated case: rows for the tables, histograms for the pixel metrics; a few kilobytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from monai.data import MetaTensor
from numpy.typing import NDArray

from qfae_monai.anomaly import Calibration
from qfae_monai.data.acquisition import FileFeatures, file_features
from qfae_monai.evaluation.detection import detect, of_rule
from qfae_monai.evaluation.engine_output import plain, scored_slices
from qfae_monai.evaluation.froc import candidate_level, kept_peaks
from qfae_monai.evaluation.histogram import COARSE_BITS, MapHistogram
from qfae_monai.evaluation.lesions import label_lesions, lesion_rows
from qfae_monai.evaluation.surfaces import surfaces
from qfae_monai.evaluation.truth_table import truth_row
from qfae_monai.transforms.slice_choice import TRIVIAL_FEATURES

Row = dict[str, Any]
MAPS = {
    "anomaly_map": "anomaly_map",
    "image": "image",
    "mean_distance": "mean_distance_map",
    "neighbours": "neighbours_map",
    "mean_image": "mean_image_map",
}
"""Name in `pixels.npz` -> key of the evaluator's output."""

RIVALS = ("neighbours", "mean_image")
"""Rivals whose scores become columns."""


@dataclass(frozen=True)
class CaseRecord:
    """Rows of `slices`, `volumes`, `truth` and `lesions.csv`; what `pixels.npz` holds of it, nothing without a mask."""

    slices: list[Row]
    volume: Row
    truth: Row = field(default_factory=dict)
    lesions: list[Row] = field(default_factory=list)
    maps: dict[str, MapHistogram] = field(default_factory=dict)
    map_of_case: MapHistogram | None = None
    neighbours_of_case: MapHistogram | None = None
    false_peaks: NDArray[np.float32] | None = None


def case_record(
    found: Mapping[str, Any],
    *,
    axis: int,
    calibration: Calibration | None = None,
    pixel_threshold: float | None = None,
    strata: Sequence[str] = (),
) -> CaseRecord:
    """Reduce one case of an evaluator's output.

    Args:
        found: batch item and output together: `case`, `image`, `label` where known, what `AnomalyInferer` returned, and
            what `SliceSummaryd` added; maps are (1, X, Y, Z) or (1, H, W).
        axis: spatial axis along which a volume is sliced.
        calibration: for p-values.
        pixel_threshold: map value above which a voxel is called abnormal.
        strata: columns of the data list to keep.
    """
    rows = _slice_rows(found, calibration)
    _add_errors(rows, found, axis)
    volume = _volume_row(found, rows, axis, calibration)
    truth = {**_names(found), **truth_row(found, strata)}
    if found.get("label") is None:
        return CaseRecord(rows, volume, truth)
    mask = plain(found["label"])[0].numpy() > 0  # (X, Y, Z) or (H, W)
    anomaly_map = plain(found["anomaly_map"])[0].numpy()  # same shape
    regions, _ = label_lesions(mask)  # numbered in the whole volume, skipped slices too
    columns, lesions, peaks = lesion_record(
        anomaly_map, regions, pixel_threshold, voxel_mm3=_voxel_mm3(found), spacing=_spacing(found)
    )
    volume |= columns
    lesions = [{"case": volume["case"], "patient": volume["patient"], **lesion} for lesion in lesions]
    scored = scored_slices({**found, "regions": regions[None]}, "regions", axis).numpy()  # (scored slices, H, W)
    for row, region in zip(rows, scored, strict=True):
        row["lesion_pixels"] = int((region > 0).sum())  # pixels as scored
    maps = {name: _histogram(found, key, scored, axis) for name, key in MAPS.items() if key in found}
    # kept for each case, so 16 bits instead of 20
    coarse = {name: maps[name].fitting(COARSE_BITS) for name in ("anomaly_map", "neighbours") if name in maps}
    return CaseRecord(rows, volume, truth, lesions, maps, coarse["anomaly_map"], coarse.get("neighbours"), peaks)


def lesion_record(
    anomaly_map: NDArray,
    regions: NDArray[np.int32],
    pixel_threshold: float | None,
    *,
    voxel_mm3: float | None,
    spacing: list[float] | None,
) -> tuple[Row, list[Row], NDArray[np.float32]]:
    """A map held against the lesions of its case.

    Args:
        anomaly_map: (X, Y, Z) or (H, W).
        regions: component numbers from `label_lesions`, same shape.
        pixel_threshold: map value above which a voxel is called abnormal.
        voxel_mm3: volume of a voxel.
        spacing: of a volume's voxels, mm.

    Returns:
        Its columns of `volumes.csv`, rows of `lesions.csv` without case and patient, and its false peaks.
    """
    level = candidate_level(anomaly_map) if pixel_threshold is None else pixel_threshold
    detection = detect(anomaly_map, regions, level)
    peaks, level = kept_peaks(detection.false_peaks, level)
    lesions = [row._asdict() for row in lesion_rows(regions, anomaly_map, pixel_threshold, voxel_mm3)]
    mask = regions > 0
    volume: Row = {"mask": True, "lesion_voxels": int(mask.sum()), "lesions": len(lesions), "candidate_level": level}
    if pixel_threshold is not None:
        volume |= detection.columns() | (surfaces(detection.called, mask, spacing)._asdict() if spacing else {})
        for number, lesion in enumerate(lesions):
            lesion.update({of_rule("found", rule): bool(hit[number]) for rule, hit in detection.found.items()})
    return volume, lesions, peaks


def _slice_rows(found: Mapping[str, Any], calibration: Calibration | None) -> list[Row]:
    scores = _numbers(found["slice_scores"])
    p_values = np.full(len(scores), np.nan) if calibration is None else calibration.p_values("slice", scores)
    labels = _numbers(found["slice_labels"])
    columns = {f"trivial_{name}": _numbers(found[f"trivial_{name}"]) for name in TRIVIAL_FEATURES}
    for name in RIVALS:
        if f"{name}_slice_scores" in found:
            columns[f"rival_{name}"] = _numbers(found[f"{name}_slice_scores"])
    last = len(scores) - 1
    return [
        {
            **_names(found),
            "slice": number,
            "position": number / last if last else 0.5,  # [0, 1]; an image is its own middle
            "score": float(scores[number]),
            "p_value": float(p_values[number]),
            "label": None if math.isnan(labels[number]) else int(labels[number]),
            **{name: float(values[number]) for name, values in columns.items()},
        }
        for number in np.flatnonzero(~np.isnan(scores)).tolist()  # NaN: skipped, no row
    ]


def _volume_row(found: Mapping[str, Any], rows: list[Row], axis: int, calibration: Calibration | None) -> Row:
    score = float(plain(found["score"]))
    label = float(plain(found["volume_label"]))
    row: Row = {
        **_names(found),
        "score": score,
        "p_value": None if calibration is None else float(calibration.p_values("volume", score)),
        "label": None if math.isnan(label) else int(label),
        "slices": len(_numbers(found["slice_scores"])),
        "scored": len(rows),
        "empty": int(plain(found["empty"])),
        "outside": int(plain(found["outside"])),
        "mask": False,
        "voxel_mm3": _voxel_mm3(found),
        "slice_axis": axis if _is_volume(found) else None,
        **_file_features(found)._asdict(),
    }
    return row | {f"rival_{name}": float(plain(found[f"{name}_score"])) for name in RIVALS if f"{name}_score" in found}


def _add_errors(rows: list[Row], found: Mapping[str, Any], axis: int) -> None:
    """Mean over pixels of the model's map and of the mean image's, slice by slice."""
    for column, key in (("error", "anomaly_map"), ("mean_image_error", "mean_image_map")):
        if "mean_image_map" in found:
            means = scored_slices(found, key, axis).flatten(1).double().mean(1).tolist()  # (scored slices,)
            for row, mean in zip(rows, means, strict=True):
                row[column] = mean


def _histogram(found: Mapping[str, Any], key: str, regions: NDArray[np.int32], axis: int) -> MapHistogram:
    return MapHistogram.fitted(scored_slices(found, key, axis).numpy(), regions)


def _names(found: Mapping[str, Any]) -> Row:
    return {"case": str(found["case"]), "patient": str(found.get("patient", found["case"]))}


def _numbers(values: Any) -> NDArray[np.float64]:
    return plain(values).reshape(-1).double().numpy()


def _is_volume(found: Mapping[str, Any]) -> bool:
    return plain(found["image"]).dim() == 4


def _axes(found: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """Steps of a volume's voxels along its axes, columns of a (3, 3) matrix, mm; None for images, of no known size."""
    image = found["image"]
    if not (_is_volume(found) and isinstance(image, MetaTensor)):
        return None
    return np.asarray(image.affine, dtype=np.float64)[:3, :3]


def _voxel_mm3(found: Mapping[str, Any]) -> float | None:
    axes = _axes(found)
    return None if axes is None else float(abs(np.linalg.det(axes)))  # mm3; oblique grids and flips included


def _spacing(found: Mapping[str, Any]) -> list[float] | None:
    """mm between voxels along each axis; None where they lie in one place."""
    axes = _axes(found)
    lengths = [] if axes is None else np.linalg.norm(axes, axis=0).tolist()
    return lengths if lengths and min(lengths) > 0 else None


def _file_features(found: Mapping[str, Any]) -> FileFeatures:
    image = found["image"]
    source = image.meta.get("filename_or_obj") if isinstance(image, MetaTensor) else None
    return FileFeatures(0) if not source else file_features(source)
