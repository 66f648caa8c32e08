"""The benchmark on real patients, shortened: it runs, and its data list keeps patients apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qfae_monai.data import check_patient_disjoint, volume_datalist

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "brats2015.py"


@pytest.mark.realdata
@pytest.mark.skipif("QFAE_REAL_DATA" not in os.environ, reason="QFAE_REAL_DATA does not point at real scans")
def test_table_has_a_column_for_each_run(tmp_path: Path) -> None:
    scans = Path(os.environ["QFAE_REAL_DATA"]) / "brats2015_nifti"
    command = [sys.executable, str(SCRIPT), str(scans), str(tmp_path), "--epochs", "1", "--splits", "1"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    header, _, *rows = (tmp_path / "table.md").read_text().splitlines()
    runs = [name.strip() for name in header.strip("| ").split("|")]
    assert runs == ["FLAIR, split 0", "T1c equalised, split 0"]
    cells = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]] for row in rows}
    assert cells["volume AUROC"] == ["undefined"] * 2  # every patient has a tumour
    assert all(0 <= float(cell.split()[0]) <= 1 for cell in cells["slice AUROC"])
    assert all(float(cell) > 0.4 for cell in cells["AUROC trivial_p99"])
    assert len(list(tmp_path.glob("*/evaluation/report.html"))) == 2
    for path in tmp_path.glob("*/dataset.json"):
        sections = json.loads(path.read_text())
        cases = [entry["case"] for section in sections.values() for entry in section]
        assert len(cases) == len(set(cases)) == 6


@pytest.mark.slow
def test_folds_test_every_patient_once(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    for number in range(6):
        patient = scans / "train" / f"patient-{number}"
        patient.mkdir(parents=True)
        for name in ("Flair_subtrMeanDivStd", "T1c_subtrMeanDivStd", "OTMultiClass", "brainmask"):
            (patient / f"{name}.nii.gz").touch()
    command = [sys.executable, str(SCRIPT), str(scans), str(tmp_path / "folds"), "--folds"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    for sequence in ("Flair_subtrMeanDivStd", "T1c_subtrMeanDivStd"):
        folders = [Path(line) for line in printed if Path(line).parent.name == sequence]
        assert [folder.name for folder in folders] == ["fold-0", "fold-1", "fold-2"]
        tested = []
        for folder in folders:
            check_patient_disjoint(folder / "dataset.json")
            test = volume_datalist(folder / "dataset.json", "test")
            assert all(sequence in entry["image"] for entry in test)
            tested += [entry["case"] for entry in test]
        assert sorted(tested) == [f"patient-{number}" for number in range(6)]
