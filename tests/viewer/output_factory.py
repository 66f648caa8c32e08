"""An output folder such as `qfae predict` leaves behind: round heads with a bright lesion, a map, a mask, scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SHAPE = (48, 56, 24)
SPACING = (4.0, 4.0, 7.0)  # mm
PIXEL_THRESHOLD, THRESHOLD, RATE = 1.25, 1.2, 0.05
LESION_MM = 12.0
NOTICE = "Research use only; not a medical device, not for diagnosis."


def make_output(
    path: Path,
    studies: Sequence[str] = ("head-1", "head-2", "head-3"),
    *,
    calibrated: bool = True,
    shape: tuple[int, int, int] = SHAPE,
    spacing: tuple[float, float, float] = SPACING,
    flips: tuple[int, int, int] = (-1, -1, 1),
) -> Path:
    """Write the studies with rising scores; the first one has no lesion. flips: sense of each stored axis in RAS."""
    rows = []
    for number, name in enumerate(studies):
        image, anomaly_map = _head(number, shape, spacing)
        folder = path / name
        folder.mkdir(parents=True)
        volumes: dict[str, NDArray[Any]] = {"image": image.astype(np.int16), "anomaly_map": anomaly_map}
        if calibrated:
            volumes["mask"] = (anomaly_map > PIXEL_THRESHOLD).astype(np.uint8)
        for file, volume in volumes.items():
            save(folder / f"{file}.nii.gz", volume, spacing, flips)
        scores = scores_of(name, anomaly_map, calibrated=calibrated, flipped=flips[2] < 0)
        (folder / "scores.json").write_text(json.dumps(scores))
        rows.append({key: scores[key] for key in ("study", "score", "p_value", "above_threshold")} | {"status": "done"})
    rows.append({"study": "broken", "status": "failed", "reason": "missing-slice: expected a gap of 5 mm, got 10 mm"})
    (path / "summary.json").write_text(json.dumps({"version": 1, "studies": rows}))
    return path


def save(path: Path, volume: NDArray, spacing: Sequence[float], flips: Sequence[int]) -> None:
    """NIfTI with the volume's middle at 0 mm."""
    affine = np.diag([*(np.array(spacing) * flips), 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(volume.shape) - 1) / 2)
    nib.save(nib.Nifti1Image(volume, affine), path)


def scores_of(name: str, anomaly_map: NDArray, *, calibrated: bool = True, flipped: bool = False) -> dict[str, Any]:
    """Content of `scores.json`: a slice's score is its map's 99th percentile; the two at either end are skipped."""
    if flipped:
        anomaly_map = anomaly_map[..., ::-1]
    scores = np.percentile(anomaly_map, 99, axis=(0, 1))
    scored = range(2, len(scores) - 2) if len(scores) > 4 else range(len(scores))
    p_values = np.clip(np.exp(-2.5 * scores), 0.005, 1.0)
    score = float(np.sort(scores[list(scored)])[-5:].mean())
    return {
        "study": name,
        "kind": "image" if anomaly_map.shape[2] == 1 else "NIfTI",
        "input_sha256": "0" * 64,
        "model": {"checkpoint_sha256": "0" * 64, "preset": "tiny", "version": "0"},
        "settings": {},
        "score": score,
        "p_value": min(1.0, RATE * (THRESHOLD / score) ** 3) if calibrated else None,
        "threshold": THRESHOLD if calibrated else None,
        "above_threshold": score > THRESHOLD if calibrated else None,
        "false_positive_rate": RATE,
        "pixel_threshold": PIXEL_THRESHOLD if calibrated else None,
        "slice_axis": 2,
        "slices": [
            {"slice": n, "score": float(scores[n]), "p_value": float(p_values[n]) if calibrated else None}
            for n in scored
        ],
        "skipped": {"empty": 4, "outside": 0},
        "risks": [],
        "warnings": ["the modality is CT: that of the training scans is MR"],
        "notice": NOTICE,
    }


def _head(number: int, shape: Sequence[int], spacing: Sequence[float]) -> tuple[NDArray, NDArray[np.float32]]:
    """Image (HU-like) and map of one head; the lesion lies at another place in each."""
    random = np.random.default_rng(number)
    grid = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing, strict=True)), indexing="ij"
    )
    radius = np.sqrt(sum((axis / half) ** 2 for axis, half in zip(grid, (74, 92, 76), strict=True)))
    noise = gaussian_filter(random.normal(size=tuple(shape)), [6 / mm for mm in spacing])
    noise /= noise.std()
    brain, skull = radius < 0.9, (radius >= 0.9) & (radius < 1)
    folds = np.cos(grid[0] / 7 + noise) * np.cos(grid[1] / 7 + noise) * np.cos(grid[2] / 9)
    ventricle = (
        sum(((abs(axis) - at) / half) ** 2 for axis, at, half in zip(grid, (9, 0, 4), (7, 24, 14), strict=True)) < 1
    )
    image = np.where(brain, 340 + 55 * folds + 12 * noise, 0) + np.where(skull, 90, 0)
    image = np.where(ventricle, 150 + 8 * noise, image)
    anomaly_map = np.where(radius < 1, 0.42 + 0.1 * noise + 0.25 * (radius > 0.85), 0)
    if number:
        centre = random.uniform((20, -40, -20), (45, 40, 25)) * (np.array(shape) > 1)
        far = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(grid, centre, strict=True)))
        lesion = 1 / (1 + np.exp((far - LESION_MM) / 2.5))
        image = image + 190 * lesion * brain
        anomaly_map = anomaly_map + (1.4 + 0.9 * number) * np.exp(-((far / (1.35 * LESION_MM)) ** 2)) * brain
    image = gaussian_filter(image, [1.5 / mm for mm in spacing])
    return image, gaussian_filter(np.clip(anomaly_map, 0, None), [2 / mm for mm in spacing]).astype(np.float32)
