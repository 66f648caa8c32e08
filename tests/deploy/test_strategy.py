"""Most anomalous first: ties, missing scores, scores of another checkpoint, what readers have done."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs MONAI Label's environment: make test-label")

from lib.datastore import StudyDatastore
from lib.normals import normal_studies, split
from lib.own_folder import open_own_folder, pseudonyms_of
from lib.scoring import ENTRY
from lib.strategy import MostAnomalous

from tests.reading.dicom_factory import series

SHA = "a" * 64


def _volume(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(np.full((4, 4, 4), value, np.int16), np.eye(4)), path)
    return path


@pytest.fixture
def store(tmp_path: Path) -> StudyDatastore:
    for name in "abcdef":
        _volume(tmp_path / f"{name}.nii.gz")
    return StudyDatastore(str(tmp_path))


def _next(store: StudyDatastore) -> dict[str, Any] | None:
    return MostAnomalous(SimpleNamespace(sha256=SHA))({}, store)


def _score(store: StudyDatastore, name: str, score: Any, sha256: str = SHA) -> None:
    store.update_image_info(name, {ENTRY: {"score": score, "checkpoint_sha256": sha256}})


def test_the_highest_score_comes_first_and_of_equal_ones_the_first_by_name(store: StudyDatastore) -> None:
    for name, score in (("a", 0.1), ("d", 0.7), ("c", 0.7), ("e", -0.2)):
        _score(store, name, score)
    assert _next(store) == {"id": "c", "score": 0.7, "waiting": 6}


def test_without_any_score_the_first_by_name_comes_and_says_so(store: StudyDatastore) -> None:
    _score(store, "b", float("nan"))
    _score(store, "c", 5.0, sha256="b" * 64)  # of another checkpoint
    assert _next(store) == {"id": "a", "score": None, "waiting": 6}


def test_a_negative_score_comes_before_a_missing_one(store: StudyDatastore) -> None:
    _score(store, "f", -3.0)
    assert _next(store) == {"id": "f", "score": -3.0, "waiting": 6}


def test_what_a_reader_has_done_or_nobody_can_score_is_left_out(store: StudyDatastore, tmp_path: Path) -> None:
    for place, name in enumerate("abcdef"):
        _score(store, name, float(place))
    store.save_label("f", str(_volume(tmp_path / "given" / "f.nii.gz", 1)), "final", {})
    store.update_image_info("e", {"normal": True})
    store.update_image_info("d", {ENTRY: {"error": "a gap", "checkpoint_sha256": SHA}})
    assert _next(store) == {"id": "c", "score": 2.0, "waiting": 3}
    for name in "abc":
        store.update_image_info(name, {"normal": True})
    assert _next(store) is None


def test_two_processes_do_not_overwrite_each_others_entries(store: StudyDatastore, tmp_path: Path) -> None:
    other = StudyDatastore(str(tmp_path))
    _score(store, "a", 1.0)
    _score(other, "b", 2.0)
    store.save_label("c", str(_volume(tmp_path / "given" / "c.nii.gz")), "final", {})
    assert _next(StudyDatastore(str(tmp_path))) == {"id": "b", "score": 2.0, "waiting": 5}
    assert store.get_image_info("b")[ENTRY]["score"] == 2.0


def test_normal_is_what_has_an_empty_label_or_a_mark(store: StudyDatastore, tmp_path: Path) -> None:
    for name, value in (("a", 0), ("b", 1)):
        store.save_label(name, str(_volume(tmp_path / "given" / f"{name}.nii.gz", value)), "final", {})
    for name in "bc":
        store.update_image_info(name, {"normal": True})  # a label that is not empty counts more than a mark
    assert [study["case"] for study in normal_studies(store)] == ["a", "c"]


def test_patients_are_told_apart_by_pseudonyms_that_only_the_key_makes(tmp_path: Path) -> None:
    named = []
    for place in (tmp_path / "one", tmp_path / "other"):
        _volume(place / "a.nii.gz")
        open_own_folder(place)
        series(place / "b", np.arange(256, dtype=np.int16).reshape(4, 8, 8), PatientID="7654321")
        found = StudyDatastore(str(place))
        found.update_image_info("a", {"normal": True, "patient": "7654321"})
        found.update_image_info("b", {"normal": True})
        named.append({study["patient"] for study in normal_studies(found)})
        assert named[-1] == {pseudonyms_of(place).patient("7654321")}
    assert named[0] != named[1]
    assert sha256(b"7654321").hexdigest()[:8] not in str(named)


def test_no_patient_is_in_both_sections() -> None:
    studies = [{"case": str(number), "patient": f"p{number // 3}"} for number in range(30)]
    sections = split(studies, 0.2)
    patients = {name: {study["patient"] for study in part} for name, part in sections.items()}
    assert (len(patients["training"]), len(patients["validation"])) == (8, 2)
    assert not patients["training"] & patients["validation"]
    with pytest.raises(ValueError, match=r"at least two patients.* got 1"):
        split(studies[:3], 0.2)
    with pytest.raises(ValueError, match=r"held_out: expected a share of the patients in \(0, 1\), got 1"):
        split(studies, 1)
