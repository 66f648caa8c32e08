"""Differences between groups of patients, with Holm's correction for their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np

from qfae_monai.evaluation.differences import independent_difference
from qfae_monai.evaluation.levels import Level

MEASURE = "auroc"
"""What groups are compared by: it depends on no threshold, nor on how many of a group are abnormal."""

MOST_IN_PAIRS = 4
"""Groups of which each pair is compared; of more, each is compared with all others together."""

OTHERS = "all others"


def differences(parts: Mapping[str, Mapping[str, Level]]) -> list[dict[str, Any]]:
    """Every difference in AUROC between groups that share no patient.

    Args:
        parts: level -> group -> its rows.

    Returns:
        `level`, `first`, `second` (names), the interval of first minus second, `p`, and `p_holm` after Holm's
        correction for the number of differences that are defined.
    """
    found = [
        {
            "level": level,
            "first": one,
            "second": other,
            **asdict(independent_difference(second.estimates[MEASURE], first.estimates[MEASURE])),
        }
        for level, groups in parts.items()
        for one, first, other, second in _pairs(groups)
        if not set(first.patients.tolist()) & set(second.patients.tolist())
    ]
    corrected = iter(holm([row["p"] for row in found if np.isfinite(row["p"])]))
    return [{**row, "p_holm": next(corrected) if np.isfinite(row["p"]) else float("nan")} for row in found]


def _pairs(groups: Mapping[str, Level]) -> list[tuple[str, Level, str, Level]]:
    """Groups with both classes, and what each is compared with."""
    whole = {name: level for name, level in groups.items() if level.normals and level.abnormals}
    if len(whole) <= MOST_IN_PAIRS:
        return [(one, whole[one], other, whole[other]) for one, other in combinations(whole, 2)]
    return [
        (name, level, OTHERS, _joined([other for key, other in groups.items() if key != name]))
        for name, level in whole.items()
    ]


def _joined(levels: Sequence[Level]) -> Level:
    first = levels[0]
    columns = {name: np.concatenate([level.rows[name] for level in levels]) for name in first.rows.columns}
    return Level(first.name, type(first.rows)(columns), first.specificity)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, so that one false alarm among all is as rare as of one test (Holm 1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.array(p_values)[order] * np.arange(len(order), 0, -1)  # the smallest times their number, and so on
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()
