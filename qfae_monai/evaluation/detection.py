"""A thresholded map held against the lesions: Dice, lesions found and false positives by four rules, false peaks.

A lesion is a connected component of the mask, a detection one of the thresholded map. When a lesion counts as found:

- `any`: the map touches it in one voxel or more, the convention of many segmentation challenges and the most lenient.
- `overlap10`: 10 % of its voxels or more are above the threshold, whichever detections they belong to; the first
  condition of the MS lesion challenge (Commowick et al. 2018, Scientific Reports 8:13650, alpha = 10 %).
- `iou10`, `iou50`: a detection of its own has an intersection over union of at least 0.1 or 0.5 with it. Pairs are
  taken one to one, highest IoU first (of equal ones the lower lesion, then the lower detection), until none is left:
  the greedy matching of panoptica (Kofler et al. 2023, arXiv 2312.02608; `NaiveThresholdMatching`). Of several
  detections in one lesion one counts, and of several lesions under one detection one is found. Above an IoU of 0.5 no
  two pairs compete, and every one-to-one matching gives the same.

A false positive is a detection that is part of no lesion's finding: under `any` and `overlap10` it touches no lesion
that is found, under the others it is in no pair.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qfae_monai.evaluation.lesions import check_shapes, label_lesions

RULES = {"any": "touched anywhere", "overlap10": "10 % of it", "iou10": "IoU of 0.1", "iou50": "IoU of 0.5"}
"""Rule -> what it asks of a lesion, for pages."""

SHARE = 0.1  # of a lesion's voxels, for `overlap10`
LEAST_IOU = {"iou10": 0.1, "iou50": 0.5}


def of_rule(column: str, rule: str) -> str:
    """Name of a column under a rule; that of the first rule is the column's own.

    >>> of_rule("found", "any"), of_rule("found", "iou50")
    ('found', 'found_iou50')
    """
    return column if rule == "any" else f"{column}_{rule}"


class Detection(NamedTuple):
    """A map at a threshold.

    called: where it is above, in the map's shape. dice: NaN where the mask is empty. found: rule -> (lesions,), whether
    each is found. false_positives: rule -> detections. false_peaks: the highest value of each detection that touches no
    lesion, highest first.
    """

    called: NDArray[np.bool_]
    dice: float
    found: dict[str, NDArray[np.bool_]]
    false_positives: dict[str, int]
    false_peaks: NDArray[np.float32]

    def columns(self) -> dict[str, float]:
        """Dice, and how many lesions are found and detections false under each rule, by column of `volumes.csv`."""
        row: dict[str, float] = {"dice": self.dice}
        for rule, hit in self.found.items():
            row[of_rule("lesions_found", rule)] = int(hit.sum())
            row[of_rule("false_positives", rule)] = self.false_positives[rule]
        return row


class Overlaps(NamedTuple):
    """Lesions and detections that meet: numbers from 0 of both, (pairs,), the voxels that they share, and all sizes."""

    lesion: NDArray[np.intp]
    detection: NDArray[np.intp]
    voxels: NDArray[np.intp]
    lesion_sizes: NDArray[np.intp]
    detection_sizes: NDArray[np.intp]


def detect(anomaly_map: NDArray, labels: NDArray[np.int32], threshold: float) -> Detection:
    """Threshold a map (strictly above) and hold it against the lesions.

    Args:
        anomaly_map: (H, W) or (X, Y, Z).
        labels: component numbers from `label_lesions`, same shape.
        threshold: in units of the map.

    Raises:
        ValueError: if the shapes differ.
    """
    check_shapes(anomaly_map, labels)
    called = anomaly_map > threshold
    components, count = label_lesions(called)  # of the thresholded map
    own = components[called] - 1  # (above,), what follows is of these few voxels
    overlaps = _overlaps(labels[called], own, np.bincount(labels[labels > 0], minlength=1)[1:], count)
    found, matched = _by_rule(overlaps)
    peaks = np.asarray(ndimage.maximum(anomaly_map[called], own, np.arange(count)), np.float32) if count else own
    return Detection(
        called,
        _dice(*(int(part.sum()) for part in (overlaps.voxels, overlaps.detection_sizes, overlaps.lesion_sizes))),
        found,
        {rule: int(count - hit.sum()) for rule, hit in matched.items()},
        -np.sort(-peaks[~matched["any"]]).astype(np.float32),
    )


def _overlaps(under: NDArray, own: NDArray, lesion_sizes: NDArray[np.intp], count: int) -> Overlaps:
    """under: lesion below each voxel above the threshold, 0 for none. own: its detection, from 0."""
    hit = under > 0
    keys, voxels = np.unique((under[hit].astype(np.int64) - 1) * count + own[hit], return_counts=True)
    lesion, detection = np.divmod(keys, max(count, 1))
    return Overlaps(lesion, detection, voxels, lesion_sizes, np.bincount(own, minlength=count))


def _by_rule(overlaps: Overlaps) -> tuple[dict[str, NDArray[np.bool_]], dict[str, NDArray[np.bool_]]]:
    """Rule -> whether each lesion is found, and whether each detection has a part in that."""
    covered = np.bincount(overlaps.lesion, weights=overlaps.voxels, minlength=len(overlaps.lesion_sizes))
    found = {"any": covered > 0, "overlap10": covered >= SHARE * overlaps.lesion_sizes}
    matched = {rule: _held(overlaps.detection[hit[overlaps.lesion]], overlaps) for rule, hit in found.items()}
    either = overlaps.lesion_sizes[overlaps.lesion] + overlaps.detection_sizes[overlaps.detection] - overlaps.voxels
    iou = overlaps.voxels / either  # (pairs,)
    for rule, least in LEAST_IOU.items():
        pairs = _matching(overlaps, iou, least)
        found[rule] = np.zeros(len(overlaps.lesion_sizes), bool)
        found[rule][overlaps.lesion[pairs]] = True
        matched[rule] = _held(overlaps.detection[pairs], overlaps)
    return found, matched


def _held(numbers: NDArray[np.intp], overlaps: Overlaps) -> NDArray[np.bool_]:
    return np.bincount(numbers, minlength=len(overlaps.detection_sizes)) > 0


def _matching(overlaps: Overlaps, iou: NDArray[np.float64], least: float) -> list[int]:
    """Pairs that are kept: one to one, highest IoU first."""
    lesions, detections, kept = set(), set(), []
    for pair in np.argsort(-iou, kind="stable").tolist():  # stable: pairs lie in the order of lesions and detections
        lesion, detection = overlaps.lesion[pair], overlaps.detection[pair]
        if iou[pair] < least:
            break
        if lesion not in lesions and detection not in detections:
            lesions.add(lesion)
            detections.add(detection)
            kept.append(pair)
    return kept


def _dice(hit: int, called: int, lesion: int) -> float:
    """As MONAI's `compute_dice`, in float32, of how many voxels are in both masks, the map's and the lesions'."""
    return float(np.float32(2) * np.float32(hit) / np.float32(called + lesion)) if lesion else float("nan")
