"""FROC: lesions found against false positives per volume, over all thresholds (Bunch et al. 1978; Bandos et al. 2009).

A detection is a connected component of the map above the candidate level, rated by its highest value; a lesion is
rated by its own highest value. At a threshold, a lesion whose rating reaches it is found, and a detection whose rating
reaches it and that touches no lesion is false: the rule `any` of `detection.py`, exact at the candidate level. Above
it, pieces into which a detection falls apart count once, and a piece that separates from a lesion does not count.

The candidate level is the calibrated pixel threshold. Without a calibration it is the value that 1 % of a case's own
voxels exceed. A case keeps its 1,000 highest false detections; its level is then that of the next one.

Curve and score are those of MONAI's `compute_froc_curve_data` and `compute_froc_score`, from CAMELYON16, where no
lesion ties with a false detection; a tie is not interpolated here. The score is LUNA16's: the mean sensitivity at the
rates below (Setio et al. 2017, Medical Image Analysis 42:1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from qfae_monai.evaluation import counts
from qfae_monai.evaluation.estimates import Estimate
from qfae_monai.evaluation.jackknife import Sample
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.evaluation.weighted import CHUNK, Array

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per volume, or per image."""

CANDIDATE_SHARE = 0.01  # of a case's voxels, without a calibration
MOST_PEAKS = 1000  # of one case


def candidate_level(anomaly_map: NDArray) -> float:
    """Map value above which detections are candidates where no threshold was calibrated.

    Args:
        anomaly_map: of one case, any shape.
    """
    if not anomaly_map.size:
        return 0.0
    level = np.float32(np.quantile(anomaly_map, 1 - CANDIDATE_SHARE, method="higher"))
    # a value that many voxels share is a candidate, unless it is the background's
    return float(np.nextafter(level, np.float32(-np.inf)) if level > anomaly_map.min() else level)


def kept_peaks(peaks: NDArray[np.float32], level: float) -> tuple[NDArray[np.float32], float]:
    """At most `MOST_PEAKS` of a case's false peaks, and the level above which none is missing.

    Args:
        peaks: highest first.
        level: above which they all lie.
    """
    if len(peaks) <= MOST_PEAKS:
        return peaks, level
    level = float(peaks[MOST_PEAKS])
    return peaks[peaks > np.float32(level)], level


@dataclass(frozen=True)
class Froc:
    """Ratings of all cases with a mask.

    patients: (N,), of each case. lesions: (N,), how many. thresholds: (K,) ascending, -inf and the ratings of lesions.
    found, false: (N, K), lesions and false detections of each case that are rated at a threshold or up to the next.
    """

    patients: NDArray
    lesions: NDArray[np.float64]
    thresholds: NDArray[np.float32]
    found: csr_array
    false: csr_array

    @classmethod
    def of(cls, run: RunFolder) -> Froc | None:
        """None without masks, and for a run of an older version, of which the ratings are unknown."""
        masked = run.volumes.where(run.volumes["mask"] == 1)
        peaks, levels = run.pixels.peaks, masked["candidate_level"]
        names = masked["case"].tolist()
        if not names or np.isnan(levels).any() or not set(names) <= set(peaks):
            return None
        place = {name: number for number, name in enumerate(names)}
        lesions = run.lesions.where(np.isin(run.lesions["case"], names))
        rows = np.array([place[name] for name in lesions["case"].tolist()], dtype=np.intp)
        ratings = lesions["peak"].astype(np.float32)  # nine digits give a float32 back exactly
        hit = ratings > levels[rows].astype(np.float32)
        thresholds = np.append(np.float32(-np.inf), np.unique(ratings[hit]))
        owners = np.repeat(np.arange(len(names)), [len(peaks[name]) for name in names])
        false = np.concatenate([peaks[name] for name in names])
        shape = (len(names), len(thresholds))
        return cls(
            masked["patient"],
            masked["lesions"],
            thresholds,
            _table(rows[hit], ratings[hit], thresholds, shape),
            _table(owners, false, thresholds, shape),
        )

    def mean_sensitivity(self, weights: Array, rates: Sequence[float] = RATES) -> Array:
        """Sensitivity averaged over rates, for weights of the cases (R, N): (R,)."""
        parts = np.array_split(weights, max(1, -(-len(weights) * len(self.thresholds) // CHUNK)))
        return np.concatenate([counts.froc(*self._counts(part), rates).mean(-1) for part in parts])

    @cached_property
    def curve(self) -> tuple[Array, Array]:
        """False positives per volume and sensitivity at each threshold, (K,) each, the lowest threshold first."""
        false, found, lesions, volumes = (part[0] for part in self._counts(np.ones((1, len(self.patients)))))
        with np.errstate(invalid="ignore"):
            return counts.from_above(false) / volumes, counts.from_above(found) / lesions

    def best_f1(self) -> tuple[float, float]:
        """Largest lesion-wise F1 over all thresholds, and the threshold, which values reach; NaN without lesions."""
        lesions = self.lesions.sum()
        if not lesions:
            return float("nan"), float("nan")
        alarms, sensitivity = self.curve
        found, false = sensitivity * lesions, alarms * len(self.patients)
        f1 = 2 * found / (found + lesions + false)
        best = len(f1) - 1 - int(f1[::-1].argmax())  # the highest: -inf is no threshold to state
        return float(f1[best]), float(self.thresholds[best])

    def figures(self) -> dict[str, Any]:
        """Sensitivity at each rate and the score, with intervals over patients."""
        return {
            "sensitivity": [{"rate": rate, **asdict(self._estimate((rate,)).interval())} for rate in RATES],
            "score": asdict(self._estimate(RATES).interval()),
            "volumes": len(self.patients),
            "lesions": int(self.lesions.sum()),
            "false_detections": int(self.false.sum()),
        }

    def _estimate(self, rates: Sequence[float]) -> Estimate:
        """Sensitivity averaged over rates, of the patients with lesions."""
        statistic = partial(self.mean_sensitivity, rates=rates)
        value = float(statistic(np.ones((1, len(self.patients))))[0]) if len(self.patients) else float("nan")
        return Estimate(value, Sample(self.patients, self.lesions[:, None]), statistic)

    def _counts(self, weights: Array) -> tuple[Array, Array, Array, Array]:
        """False detections and found lesions at each threshold, (R, K) each; lesions and volumes, (R,) each."""
        false, found = (np.asarray(weights @ table) for table in (self.false, self.found))
        return false, found, weights @ self.lesions, weights.sum(-1)


def _table(
    rows: NDArray[np.intp], ratings: NDArray[np.float32], thresholds: NDArray[np.float32], shape: tuple[int, int]
) -> csr_array:
    """Ratings counted by case and by the highest threshold that they reach."""
    columns = np.searchsorted(thresholds, ratings, side="right") - 1
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
