"""The data list that a training reads."""

from __future__ import annotations

from pathlib import Path

from qfae_monai.data import check_patient_disjoint, volume_datalist
from qfae_monai.model.scans import look
from qfae_monai.model.split import split, write_datalist
from tests.model.made_up import mask, volume


def test_it_is_read_by_training_and_names_nobody(tmp_path: Path) -> None:
    for number in range(4):
        volume(tmp_path / "scans" / f"sub-Doe{number}_T1w.nii.gz", number)
    mask(tmp_path / "masks" / "sub-Doe0_T1w.nii.gz", lesion=True)
    parts = split(look(tmp_path / "scans", masks=tmp_path / "masks"))
    path = write_datalist(parts, tmp_path / "training", key=bytes(32))
    check_patient_disjoint(path)
    entries = [entry for section in ("training", "validation", "test") for entry in volume_datalist(path, section)]
    assert len(entries) == 4
    assert [entry["image_label"] for entry in volume_datalist(path, "test")] == [1]
    assert not any("Doe" in entry["patient"] + entry["case"] for entry in entries)
