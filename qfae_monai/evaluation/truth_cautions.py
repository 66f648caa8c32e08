"""Cautions about what the data say: labels against masks, classes and strata that are few, mixed or oddly spelt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qfae_monai.data.columns import CLASS
from qfae_monai.evaluation.groups import FEW, MOST, NONE, grouped
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.files.tables import LONGEST, printable
from qfae_monai.reading.left_aside import counted
from qfae_monai.transforms.slice_choice import EMPTY_OF_ABNORMAL, LESION_OF_NORMAL

SHOWN = 5  # names in a sentence
MEANING = {
    LESION_OF_NORMAL: "what was drawn counts, so they are abnormal",
    EMPTY_OF_ABNORMAL: "they count as abnormal, and their masks as missing",
}


def truth_cautions(run: RunFolder, summary: Mapping[str, Any]) -> list[str]:
    """Sentences about the truth of a run.

    Args:
        run: its tables.
        summary: with `classes` and `strata`.
    """
    return [
        *_left_aside(run.run["data"].get("left_aside") or {}),
        *_contradictions(run.truth.contradictions),
        *_classes(run),
        *(sentence for name, groups in _columns(summary) for sentence in _groups(name, groups)),
        *_shared(run),
    ]


def _left_aside(reasons: Mapping[str, int]) -> list[str]:
    scans = {reason: count for reason, count in reasons.items() if reason != "no image"}  # a note beside the scans
    listed = "; ".join(f"{reason}: {count}" for reason, count in scans.items())
    return [f"Left aside before scoring: {counted(sum(scans.values()), 'scan')} ({listed})."] if scans else []


def _contradictions(values: Mapping[str, str]) -> list[str]:
    cases: dict[str, list[str]] = defaultdict(list)
    for case, value in sorted(values.items()):
        if value:
            cases[value].append(case)
    return [
        f"Label and mask contradict each other in {counted(len(names), 'case')} ({_some(names)}), {value}: "
        f"{MEANING.get(value, 'see truth.csv')}."
        for value, names in sorted(cases.items())
    ]


def _classes(run: RunFolder) -> list[str]:
    """Classes that normal cases bear, and patients with several."""
    label = dict(zip(run.volumes["case"].tolist(), run.volumes["label"].tolist(), strict=True))
    named = {case: value for case, value in run.truth.classes.items() if value}
    ill = grouped({case: value for case, value in named.items() if label[case] == 1})
    normal = grouped({case: value for case, value in named.items() if label[case] == 0})
    both = sorted({one.name.casefold() for one in normal} & {one.name.casefold() for one in ill})
    found = [f"Normal cases bear the class of abnormal ones ({_some(both)}): of normal cases it is not used."]
    several = _in_several({one.name: {run.patient_of[case] for case in one.cases} for one in ill})
    return [*(found if both else []), *_patients(CLASS, several, "they count in each")]


def _columns(summary: Mapping[str, Any]) -> list[tuple[str, Sequence[Mapping[str, Any]]]]:
    return [(CLASS, summary["classes"]), *((name, one["groups"]) for name, one in summary["strata"].items())]


def _groups(column: str, groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is to be known of the groups of a column before their figures are read."""
    found = [
        f"{column} {_short(one['name'])!r} is spelt in {len(one['spellings'])} ways, which are counted as one: "
        f"{_some(map(repr, one['spellings']))}."
        for one in groups
        if len(one["spellings"]) > 1
    ]
    if len(groups) > MOST:
        return [*found, f"{column} has {len(groups)} groups: more than {MOST} are counted and have no figures."]
    alone = [one["name"] for one in groups if not one["metrics"]]
    if alone:
        found.append(f"{column}: one patient is no group ({_some(alone)}): it is counted and has no figures.")
    whole = [one for one in groups if one["metrics"]]
    single = [one["name"] for one in whole if not one["smaller_class"]]
    if single:
        found.append(f"{column}: normal or abnormal cases are missing in {_some(single)}: figures may be undefined.")
    few = [f"{_short(one['name'])} ({one['smaller_class']})" for one in whole if 0 < one["smaller_class"] < FEW]
    if few:
        found.append(
            f"{column}: fewer than {FEW} patients in the smaller class of {_some(few)}: their figures are a hint and "
            "no verdict."
        )
    return found


def _shared(run: RunFolder) -> list[str]:
    """Patients in several groups of a column, which are then not compared."""
    found = []
    for column, values in run.truth.strata.items():
        groups = grouped({case: values.get(case, "") for case in run.patient_of})
        several = _in_several({one.name: {run.patient_of[case] for case in one.cases} for one in groups})
        found += _patients(column, several, "groups that share patients are not compared")
    return found


def _in_several(groups: Mapping[str, set[str]]) -> list[str]:
    seen: dict[str, int] = defaultdict(int)
    for name, patients in groups.items():
        for patient in patients if name != NONE else ():
            seen[patient] += 1
    return sorted(patient for patient, count in seen.items() if count > 1)


def _patients(column: str, several: Sequence[str], meaning: str) -> list[str]:
    if not several:
        return []
    return [f"{column}: {counted(len(several), 'patient')} in several groups ({_some(several)}): {meaning}."]


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(map(_short, listed[:SHOWN])) + (" ..." if len(listed) > SHOWN else "")


def _short(name: str) -> str:
    text = printable(name)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
