"""Figures of each class of abnormal cases, and of each stratum of a column of the data list."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.evaluation.at_threshold import THRESHOLD_OF, at_threshold
from qfae_monai.evaluation.group_differences import differences
from qfae_monai.evaluation.levels import Level
from qfae_monai.evaluation.run_folder import RunFolder

# Groups are of cases, so a patient may be in several; the data list names them.

NONE = "(none)"
"""Name of the group of cases without a value."""

FEW = 10
"""Patients in the smaller class of a group below which its figures are a hint and no verdict."""

MOST = 20
"""Groups of a column beyond which they are counted and not evaluated: it is a number rather than a stratum."""


@dataclass(frozen=True)
class Group:
    """Cases that share a value, in whatever spelling.

    name: the commonest spelling. spellings: all of them. cases: names. rest: cases it is held against.
    """

    name: str
    spellings: tuple[str, ...]
    cases: frozenset[str]
    rest: frozenset[str] = frozenset()

    def part(self, level: Level) -> Level:
        """Its rows of a level."""
        kept = self.cases | self.rest
        return level.where(np.array([case in kept for case in level.rows["case"].tolist()], dtype=bool))


def by_class(run: RunFolder, levels: Sequence[Level]) -> list[dict[str, Any]]:
    """Abnormal cases of each class against all normal cases; none where no abnormal case has a class."""
    label = _labels(run)
    ill = {case: run.truth.classes.get(case, "") for case, value in label.items() if value == 1}
    if not any(ill.values()):
        return []
    normal = frozenset(case for case, value in label.items() if value == 0)
    groups = [Group(one.name, one.spellings, one.cases, normal) for one in grouped(ill)]
    return _evaluated(run, levels, groups)


def by_stratum(run: RunFolder, levels: Sequence[Level]) -> dict[str, dict[str, Any]]:
    """Column -> figures of each of its groups, and differences between them."""
    found: dict[str, dict[str, Any]] = {}
    for column, values in run.truth.strata.items():
        groups = grouped({case: values.get(case, "") for case in run.patient_of})
        parts = {level.name: {group.name: group.part(level) for group in groups} for level in levels}
        found[column] = {
            "groups": _evaluated(run, levels, groups),
            "differences": differences(parts) if len(groups) <= MOST else [],
        }
    return found


def grouped(values: Mapping[str, str]) -> list[Group]:
    """Cases by value: upper and lower case, spaces and underscores tell no two values apart.

    Args:
        values: case -> text, "" where there is none.

    Returns:
        In the order of the names; cases without a value come last.

    Example:
        >>> found = grouped({"a": "low grade", "b": "Low_Grade", "c": "", "d": "Low_Grade"})
        >>> [(one.name, len(one.cases)) for one in found]
        [('Low_Grade', 3), ('(none)', 1)]
    """
    spelt: dict[str, Counter[str]] = defaultdict(Counter)
    cases: dict[str, set[str]] = defaultdict(set)
    for case, value in sorted(values.items()):
        key = re.sub(r"[\s_]+", " ", unicodedata.normalize("NFKC", value)).strip().casefold()
        key = "" if key == NONE else key  # so spelt by who lists what is missing
        spelt[key][value] += 1
        cases[key].add(case)
    groups = []
    for key in sorted(spelt, key=lambda key: (key == "", _in_order(key))):
        names = sorted(spelt[key], key=lambda name: (-spelt[key][name], name))
        groups.append(Group(names[0] if key else NONE, tuple(names) if key else (), frozenset(cases[key])))
    return groups


def _in_order(key: str) -> list[tuple[int, int, str]]:
    """Numbers within a text by their value."""
    parts = re.split(r"([0-9]+)", key)
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts]


def _evaluated(run: RunFolder, levels: Sequence[Level], groups: Sequence[Group]) -> list[dict[str, Any]]:
    few = len(groups) <= MOST
    return [_described(run, group, [group.part(level) for level in levels] if few else []) for group in groups]


def _described(run: RunFolder, group: Group, levels: Sequence[Level]) -> dict[str, Any]:
    """Counts of a group and, where it has more than one patient, its figures."""
    label = _labels(run)
    inside = group.cases | group.rest
    patients = {
        value: {run.patient_of[case] for case in inside if label[case] == value} for value in (0, 1)
    }  # 1 abnormal, 0 normal; NaN equals neither
    alone = len({run.patient_of[case] for case in inside}) < 2
    lesions = run.lesions.where(np.isin(run.lesions["case"], sorted(group.cases)))
    judged = lesions["found"][~np.isnan(lesions["found"])]
    return {
        "name": group.name,
        "spellings": list(group.spellings),
        "cases": len(group.cases),
        "unlabelled_cases": sum(bool(np.isnan(label[case])) for case in group.cases),
        "patients": len({run.patient_of[case] for case in group.cases}),
        "normal_patients": len(patients[0]),
        "abnormal_patients": len(patients[1]),
        "smaller_class": min(len(patients[0]), len(patients[1])),
        "metrics": {} if alone else {level.name: _figures(level) for level in levels},
        "threshold": {} if alone else _found(run, levels),
        "lesions": len(lesions),
        "lesions_found": int(judged.sum()) if len(judged) else None,
    }


def _figures(level: Level) -> dict[str, Any]:
    return {name: asdict(interval) for name, interval in level.intervals().items()}


def _found(run: RunFolder, levels: Sequence[Level]) -> dict[str, Any]:
    """Level -> abnormal items, and the share above the calibrated threshold; none without one."""
    calibration = run.run["calibration"] or {}
    return {
        level.name: {
            "abnormal": level.abnormals,
            "sensitivity": asdict(at_threshold(level.scores, level.labels, threshold, level.patients).sensitivity),
        }
        for level in levels
        if (threshold := calibration.get(THRESHOLD_OF[level.name])) is not None
    }


def _labels(run: RunFolder) -> dict[str, float]:
    """Case -> 1 abnormal, 0 normal, NaN unknown."""
    labels: NDArray[np.float64] = run.volumes["label"]
    return dict(zip(run.volumes["case"].tolist(), labels.tolist(), strict=True))
