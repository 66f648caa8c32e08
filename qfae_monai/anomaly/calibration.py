"""Thresholds and p-values from normal scans alone: split conformal prediction on held-out normals.

Vovk, Gammerman and Shafer 2005; for anomaly detection Bates et al. 2023, Testing for outliers with conformal p-values.
With n held-out normal scores, a new normal scan exceeds the ceil((n + 1)(1 - a))-th smallest of them with a probability
of at most a. That holds for scans drawn as the held-out ones were, one by one: volumes of different patients. Slices of
one patient resemble each other, so for slices the rate holds on average over patients only.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qfae_monai.files import checked, read_object, sha256_of, shown, write_json
from qfae_monai.files.schema import MOST, entries, items, number, plain_value, record, text, whole

# Settings besides the checkpoint that scores depend on: plain values by name, as a calibration or graph holds them.

SCORE_SETTINGS = entries(plain_value)
"""Schema: values are compared and shown, and never become part of a configuration."""


def as_in_a_file(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from JSON: tuples as lists."""
    found: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    return found


SHOWN, LONGEST = 5, 60  # differences that a message lists, and characters of a name or value in it


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One clause for each value that differs, with its name.

    >>> differences({"model::dim": 128}, {"model::dim": 192, "slice_axis": 2})
    ['model::dim: 128 then, 192 now', 'slice_axis: absent then, 2 now']
    """
    then, now = as_in_a_file(then), as_in_a_file(now)
    return [
        f"{name:.{LONGEST}}: {_short(then.get(name, 'absent'))} then, {_short(now.get(name, 'absent'))} now"
        for name in sorted({*then, *now})
        if (name in then, then.get(name)) != (name in now, now.get(name))
    ]


def listed(clauses: Sequence[str]) -> str:
    """The first few of such clauses, and how many there are beside them.

    >>> listed(["a: 1 then, 2 now"] * 7).endswith("a: 1 then, 2 now, and 2 more")
    True
    """
    more = f", and {len(clauses) - SHOWN} more" if len(clauses) > SHOWN else ""
    return ", ".join(clauses[:SHOWN]) + more


def _short(value: Any) -> str:
    return f"{value!s:.{LONGEST}}"


LevelName = Literal["slice", "volume"]
VERSION = 2
CALIBRATION = record(
    {
        "version": whole(),
        "checkpoint": text(r"[0-9a-f]{64}", "a SHA-256"),
        "settings": SCORE_SETTINGS,
        "patients": whole(),
        "slice_scores": items(number()),
        "volume_scores": items(number()),
        "pixel_values": items(number(), fewest=1),
        "pixel_counts": items(whole(), fewest=1),
    }
)
"""Schema of the file."""
SORTED = ("slice_scores", "volume_scores", "pixel_values")


@dataclass(frozen=True)
class Calibration:
    """Scores of held-out normal scans.

    slice_scores, volume_scores: (N,), ascending.
    pixel_values, pixel_counts: (K,), map values, ascending, and how many pixels of scored slices have at most that
        value and more than the one before.
    patients: how many different ones.
    checkpoint: SHA-256 of the checkpoint file that scored.
    settings: what else the scores depend on, as `qfae_monai.model.signature` gives it: everything that changes
        pixels or scores, by name.
    """

    slice_scores: NDArray[np.float64]
    volume_scores: NDArray[np.float64]
    pixel_values: NDArray[np.float64]
    pixel_counts: NDArray[np.int64]
    patients: int
    checkpoint: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def threshold(self, level: LevelName, false_positive_rate: float) -> float | None:
        """Score that a normal scan exceeds with at most this probability; None if there are too few normals.

        Raises:
            ValueError: for a rate outside of (0, 1).
        """
        _check_rate(false_positive_rate)
        scores = self._scores(level)
        rank = math.ceil((len(scores) + 1) * (1 - false_positive_rate) - 1e-9)  # 1e-9: rounding errors
        return float(scores[rank - 1]) if rank <= len(scores) else None  # ranks count from 1

    def pixel_threshold(self, false_positive_rate: float) -> float:
        """Smallest kept map value that at most this share of normal pixels exceeds.

        Raises:
            ValueError: for a rate outside of (0, 1).
        """
        _check_rate(false_positive_rate)
        above = self.pixel_counts.sum() - np.cumsum(self.pixel_counts)  # (K,) pixels above each kept value
        return float(self.pixel_values[int(np.argmax(above <= false_positive_rate * self.pixel_counts.sum()))])

    def p_values(self, level: LevelName, scores: ArrayLike) -> NDArray[np.float64]:
        """Conformal p-value of each score: (1 + normals that score as high) / (1 + normals).

        NaN stays NaN, and without a normal of this level every p-value is NaN.

        A p-value of 0.008 reads: higher than 99.2 % of normal scans.
        """
        wanted, normals = np.asarray(scores, dtype=np.float64), self._scores(level)
        as_high = len(normals) - np.searchsorted(normals, wanted, side="left")  # left: an equal score is as high
        return np.where(np.isnan(wanted) | (len(normals) == 0), np.nan, (1 + as_high) / (1 + len(normals)))

    def shortage(self, level: LevelName, false_positive_rate: float) -> str | None:
        """A sentence where there are too few normals for the wanted rate, else None."""
        # the smallest p-value of n normals is 1 / (n + 1)
        count, needed = len(self._scores(level)), math.ceil(1 / false_positive_rate - 1e-9) - 1
        if count >= needed:
            return None
        return (
            f"Too few normal {level}s for a false-positive rate of {false_positive_rate:g}: expected at least "
            f"{needed}, got {count} of {self.patients} patients; no {level} threshold is given."
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write JSON, whole or not at all.

        Raises:
            ValueError: if it could not be read again.
        """
        content = {
            "version": VERSION,
            "checkpoint": self.checkpoint,
            "settings": as_in_a_file(self.settings),
            "patients": self.patients,
            "slice_scores": self.slice_scores.tolist(),
            "volume_scores": self.volume_scores.tolist(),
            "pixel_values": self.pixel_values.tolist(),
            "pixel_counts": self.pixel_counts.tolist(),
        }
        write_json(Path(path), checked(content, CALIBRATION, path), indent=None)

    def _scores(self, level: LevelName) -> NDArray[np.float64]:
        return self.slice_scores if level == "slice" else self.volume_scores


def load_calibration(
    path: str | os.PathLike, *, checkpoint: str | os.PathLike, settings: Mapping[str, Any], required: bool = False
) -> Calibration | None:
    """Calibration of a checkpoint; None if there is no such file and none is required.

    Args:
        path: file that a calibration run wrote.
        checkpoint: file of the network that is going to score.
        settings: what else its scores depend on.
        required: whether a missing file is an error.

    Raises:
        FileNotFoundError: if a required file is missing.
        ValueError: if the file is no calibration, or was made with another checkpoint or other settings.
    """
    path = Path(path)
    if not path.is_file():
        if required:
            raise FileNotFoundError(f"{path}: expected the calibration that `qfae calibrate` writes, got no such file")
        return None
    found = read_calibration(path, checkpoint=checkpoint, checkpoint_sha256=sha256_of(checkpoint))
    changes = differences(found.settings, settings)
    if changes:
        raise ValueError(f"{path}: expected thresholds of the same scores, got other settings ({listed(changes)})")
    return found


def read_calibration(
    path: Path, *, checkpoint: str | os.PathLike, checkpoint_sha256: str, former: bool = False
) -> Calibration:
    """Read a calibration file; refuse it unless it is a calibration of this checkpoint.

    Args:
        path: file that a calibration run wrote.
        checkpoint: name of the checkpoint, for messages.
        checkpoint_sha256: of its file.
        former: whether the first version, whose settings have other names, passes too.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no calibration, or one of another checkpoint.
    """
    content = read_object(path, what="a calibration")
    if content.get("version") != VERSION and not (former and content.get("version") == 1):
        raise ValueError(
            f"{path}: expected a calibration of version {VERSION}, got {shown(content.get('version'))}; "
            "`qfae calibrate` makes it anew"
        )
    checked(content, CALIBRATION, path, what="a calibration")
    if content["checkpoint"] != checkpoint_sha256:
        raise ValueError(
            f"{path}: expected thresholds of {checkpoint} (SHA-256 {checkpoint_sha256[:12]}), got those of another "
            f"checkpoint ({content['checkpoint'][:12]}); run `qfae calibrate` again"
        )
    _check_order(content, path)
    numbers = {key: np.array(content[key], dtype=np.float64) for key in SORTED}
    counts = np.array(content["pixel_counts"], dtype=np.int64)
    patients, settings = content["patients"], content["settings"]
    return Calibration(
        **numbers, pixel_counts=counts, patients=patients, checkpoint=checkpoint_sha256, settings=settings
    )


def _check_order(content: Mapping[str, Any], path: Path) -> None:
    for key in SORTED:
        if any(high < low for low, high in pairwise(content[key])):
            raise ValueError(f"{path}: {key}: expected ascending numbers, got others")
    values, counts = content["pixel_values"], content["pixel_counts"]
    if len(values) != len(counts) or not 0 < sum(counts) <= MOST:
        raise ValueError(
            f"{path}: pixel_counts: expected pixels for each of {len(values)} pixel_values, got "
            f"{len(counts)} counts of {sum(counts)} in all"
        )


def _check_rate(false_positive_rate: float) -> None:
    if not 0 < false_positive_rate < 1:
        raise ValueError(f"false_positive_rate must be in (0, 1), got {false_positive_rate}")
