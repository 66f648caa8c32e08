"""Which studies a reader has called normal, and which of them are held out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.datastore import DefaultLabelTag

from lib.datastore import StudyDatastore
from lib.own_folder import pseudonym, pseudonyms_of
from qfae_monai.reading import read_series

MARK = "normal"  # of a study's info: {"normal": true}
Sections = dict[str, list[dict[str, Any]]]


def is_marked(info: dict[str, Any]) -> bool:
    """Whether a reader has marked a study as normal."""
    return info.get(MARK) is True


def normal_studies(datastore: StudyDatastore) -> list[dict[str, Any]]:
    """Entries of a data list for studies whose final label is empty, or that have none and are marked normal."""
    datastore.refresh()
    names, found = pseudonyms_of(datastore.studies), []
    for image_id in sorted(datastore.list_images()):
        info = datastore.get_image_info(image_id)
        label = datastore.get_label_uri(image_id, DefaultLabelTag.FINAL)
        if _is_empty(Path(label)) if label else is_marked(info):
            named = info.get("patient") or _patient_id(datastore.source(image_id))
            patient = (
                pseudonym(names, str(named)) if named else image_id
            )  # one study is one patient where none is named
            image = datastore.get_image_uri(image_id)
            found.append({"image": image, "image_label": 0, "case": image_id, "patient": patient})
    return found


def split(studies: Sequence[dict[str, Any]], held_out: float) -> Sections:
    """Training and validation sections without a patient in both.

    Args:
        studies: entries with `patient`.
        held_out: share of the patients, at least one, that thresholds are taken from.

    Raises:
        ValueError: if there are fewer than two patients, or the share is not in (0, 1).
    """
    if not 0 < held_out < 1:
        raise ValueError(f"held_out: expected a share of the patients in (0, 1), got {held_out}")
    patients = sorted({study["patient"] for study in studies}, key=_shuffled)
    if len(patients) < 2:
        raise ValueError(
            f"expected normal studies of at least two patients, one of them held out for thresholds, got "
            f"{len(patients)}: submit empty labels for normal studies, or mark them ({MARK}: true)"
        )
    kept = set(patients[: min(math.ceil(held_out * len(patients)), len(patients) - 1)])
    sections: Sections = {"training": [], "validation": []}
    for study in studies:
        sections["validation" if study["patient"] in kept else "training"].append(study)
    return sections


def _is_empty(label: Path) -> bool:
    return not np.any(read_series(label).array)


def _patient_id(source: Path) -> str | None:
    """What a DICOM header calls the patient; a volume names none."""
    return read_series(source).attributes.get("patient_id") if source.is_dir() else None


def _shuffled(text: str) -> str:
    """Orders names without regard to what they say, the same way each time."""
    return sha256(text.encode()).hexdigest()
