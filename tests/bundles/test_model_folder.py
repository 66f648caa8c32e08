"""A trained folder as others use it: MONAI's own tools find in it what this package finds, to the last bit."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import create_workflow, load
from monai.data import MetaTensor

from qfae_monai.model import create_qfae
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.packing import pack
from qfae_monai.predict.model import Model
from qfae_monai.reading import read_series
from tests.bundles.conftest import TINY, config, run_bundle, weights


@pytest.fixture(scope="module")
def calibrated(trained: Path, cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained model with thresholds, which its own training configuration gave."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("calibrated") / "model")
    run_bundle(
        folder / "configs" / "training.yaml",
        "evaluate",
        "calibrate",
        run_id="calibrating",
        preset=None,
        bundle_root=folder,
        dataset_dir=cohort,
    )
    return folder


@pytest.fixture(scope="module")
def scan(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one scan."""
    folder = tmp_path_factory.mktemp("scan")
    shutil.copy(cohort / "image" / "test-003.nii.gz", folder / "one.nii.gz")
    return folder


def test_monai_finds_what_the_package_finds_to_the_last_bit(calibrated: Path, scan: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"bundle_root": calibrated, "dataset_dir": scan, "output_dir": tmp_path / "out"}
    run_bundle(*config(), calibrated / "configs" / "inference.yaml", run_id="run", preset=None, **settings)
    series = read_series(scan / "one.nii.gz")
    image = MetaTensor(torch.as_tensor(series.array.astype(np.float32))[None], affine=torch.as_tensor(series.affine))
    for folder in (calibrated, pack(calibrated, tmp_path / "model.zip")):
        found = Model(folder)(image)
        saved = nib.Nifti1Image.from_filename(tmp_path / "out" / "one_anomaly_map.nii.gz").get_fdata(dtype=np.float32)
        np.testing.assert_array_equal(saved, found.anomaly_map)
        (volume,) = csv.DictReader((tmp_path / "out" / "volumes.csv").open())
        assert float(volume["score"]) == pytest.approx(found.score, rel=5e-9)
        slices = {
            int(row["slice"]): float(row["score"]) for row in csv.DictReader((tmp_path / "out" / "slices.csv").open())
        }
        np.testing.assert_allclose(
            [found.slice_scores[index] for index in slices], list(slices.values()), rtol=5e-9
        )  # of nine digits
        assert found.mask is not None


def test_the_packages_own_overlay_calibrates_as_the_folders_training_does(
    calibrated: Path, trained: Path, cohort: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(trained, tmp_path / "model")
    run_bundle(*TINY, "evaluate", "calibrate", run_id="calibrating", dataset_dir=cohort, model_dir=folder)
    assert (folder / "calibration.json").read_bytes() == (calibrated / "calibration.json").read_bytes()
    assert "calibration.json" in Model(folder).folder.files


def test_bundle_load_fills_a_network_given_and_create_workflow_one_of_its_own(
    calibrated: Path, scan: Path, tmp_path: Path
) -> None:
    network: Any = load(calibrated.name, model=create_qfae("tiny"), bundle_dir=str(calibrated.parent), device="cpu")
    workflow = create_workflow(
        config_file=str(calibrated / "configs" / "inference.yaml"),
        workflow_type="inference",
        logging_file=False,
        meta_file=str(calibrated / "configs" / "metadata.json"),
        bundle_root=str(calibrated),
        dataset_dir=str(scan),
        output_dir=str(tmp_path),
    )
    for one in (network, workflow.network_def):
        assert all(torch.equal(value, weights(calibrated)[key]) for key, value in one.state_dict().items())


def test_bundle_runs_what_the_command_runs(calibrated: Path, scan: Path, tmp_path: Path) -> None:
    settings = {"bundle_root": str(calibrated), "dataset_dir": str(scan), "output_dir": str(tmp_path / "out")}
    Bundle([calibrated / "configs" / "inference.yaml"], settings).run("run")
    assert (tmp_path / "out" / "one_anomaly_map.nii.gz").is_file()
