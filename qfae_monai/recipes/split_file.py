"""Published split lists from a file: which patients of a data set train, validate and test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qfae_monai.files import printable, read_object, schema

__all__ = ["SplitLists", "read_split"]

IDS = schema.items(schema.text())
SHAPE = schema.record({"train": IDS, "valid": IDS, "test": IDS}, {"valid_abnormal": IDS})
SHOWN = 5  # ids that an error names


@dataclass(frozen=True)
class SplitLists:
    """Patients by what they are for.

    Attributes:
        train, valid, test: whose normal slices go there.
        valid_abnormal: whose abnormal slices go to validation; None where the file does not say.
    """

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    valid_abnormal: tuple[str, ...] | None = None

    @property
    def normal(self) -> dict[str, str]:
        """Patient -> "train", "valid" or "test"."""
        return {
            patient: split
            for split, patients in (("train", self.train), ("valid", self.valid), ("test", self.test))
            for patient in patients
        }


def read_split(path: Path, patients: Collection[str]) -> SplitLists:
    """Read the lists and find their patients in a data set.

    The file is a JSON object with the lists `train`, `valid` and `test`, and `valid_abnormal` where that is known. An
    id is a patient's name in the data set or what stands behind its last underscore: 00441 of BraTS2021_00441.

    Args:
        path: of the file.
        patients: of the data set, by name.

    Raises:
        ValueError: when the file is another one, names a patient twice, or one that the data set does not have.
    """
    content: Mapping[str, Sequence[str]] = read_object(path, SHAPE, what="lists of patients by split")
    ids = [one for section in content.values() for one in section]
    known = _by_id(patients)
    unknown = [one for one in ids if one not in known]
    if unknown:
        raise ValueError(
            f"{path}: expected ids of the {len(patients)} patients in INPUT, got {len(unknown)} of {len(ids)} that are "
            f"not there: {_shown(unknown)}"
        )
    twice = [one for one, count in Counter(known[one] for one in ids).items() if count > 1]
    if twice:
        raise ValueError(f"{path}: expected each patient once in all lists, got {len(twice)} again: {_shown(twice)}")
    return SplitLists(**{section: tuple(known[one] for one in listed) for section, listed in content.items()})


def _by_id(patients: Collection[str]) -> dict[str, str]:
    """Name of each patient by its name and, where no two share it, by what stands behind its last underscore."""
    ends = Counter(patient.rpartition("_")[2] for patient in patients)
    short = {end: patient for patient in patients if ends[end := patient.rpartition("_")[2]] == 1}
    return {**short, **{patient: patient for patient in patients}}


def _shown(ids: Sequence[str]) -> str:
    return ", ".join(map(printable, ids[:SHOWN])) + (" ..." if len(ids) > SHOWN else "")
