"""The reader in MONAI's seams: what a transform chain gets, and that nothing steps in when a series is refused."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImage, Orientationd

from qfae_monai.reading import LoadSeries, LoadSeriesd, SeriesReader, read_series
from tests.reading import dicom_factory as factory


@pytest.mark.slow
def test_reading_a_series_loads_neither_torch_nor_monai() -> None:
    code = "import sys, qfae_monai.reading as r; r.read_series; sys.exit(bool({'torch', 'monai'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_array_and_affine_arrive_in_the_tensor(tmp_path: Path) -> None:
    factory.series(tmp_path, RescaleSlope=0.5, RescaleIntercept=-3)
    found = LoadSeries()(tmp_path)
    assert isinstance(found, MetaTensor)
    assert found.dtype == torch.float32
    assert torch.equal(found.as_tensor(), torch.from_numpy(factory.volume().T * 0.5 - 3).float()[None])
    assert np.allclose(found.affine, read_series(tmp_path).affine)
    assert (found.meta["modality"], found.meta["risks"]) == ("CT", "")


def test_metadata_hold_no_identifier(tmp_path: Path) -> None:
    factory.series(tmp_path / "a")
    found: Any = LoadSeries()(tmp_path / "a")
    text = " ".join(str(value) for key, value in found.meta.items() if key != "filename_or_obj")
    assert "4711" not in text
    assert "Doe" not in text
    assert factory.SERIES not in text


def test_load_image_takes_the_reader(tmp_path: Path) -> None:
    factory.series(tmp_path, gaps=[2.5, 2.5, 3.5, 2.5])
    found: Any = LoadImage(reader=SeriesReader(allow=["varying-spacing"]))(tmp_path)
    assert found.shape == (3, 4, 5)
    assert found.meta["risks"].startswith("varying-spacing: gaps")


def test_refusal_comes_through_where_load_image_would_fall_back(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 3), np.float32), np.eye(4)), tmp_path / "a.nii")
    # MONAI's own reader steps in silently ...
    assert LoadImage(reader=SeriesReader())(tmp_path / "a.nii").shape == (2, 2, 2, 3)
    # ... which ours does not let it
    with pytest.raises(ValueError, match="expected one volume, got 3: volume 1 of 3"):
        LoadSeries()(tmp_path / "a.nii")
    assert LoadSeries(volume=2)(tmp_path / "a.nii").shape == (1, 2, 2, 2)
    assert len(LoadSeries().loader.readers) == 1


def test_a_label_has_one_affine_and_no_warning_on_it(tmp_path: Path) -> None:
    factory.series(tmp_path / "image")
    factory.series(tmp_path / "label", factory.volume() % 2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Setting affine")
        loaded: Any = LoadSeriesd(("image", "label"))({"image": tmp_path / "image", "label": tmp_path / "label"})
    assert np.array_equal(loaded["label"].affine, loaded["image"].affine)


def test_dictionary_twin_follows_keys(tmp_path: Path) -> None:
    factory.series(tmp_path / "image")
    factory.series(tmp_path / "label", factory.volume() % 2)
    chain = Compose([LoadSeriesd(("image", "label", "mask"), allow_missing_keys=True), Orientationd("image", "RAS")])
    loaded: Any = chain({"image": tmp_path / "image", "label": [tmp_path / "label"], "case": "a"})
    assert loaded["image"].shape == loaded["label"].shape == (1, 3, 4, 5)
    assert loaded["case"] == "a"
    assert loaded["label"].max() == 1
    assert (np.diag(loaded["image"].affine)[:3] > 0).all()


def test_lists_are_slices_of_dicom_and_channels_of_volumes(tmp_path: Path) -> None:
    paths = factory.series(tmp_path / "dicom")
    assert LoadSeries()(paths).shape == (1, 3, 4, 5)
    for name in ("a", "b"):
        nib.save(nib.Nifti1Image(np.ones((2, 3, 4), np.float32), np.eye(4)), tmp_path / f"{name}.nii")
    assert LoadSeries()([tmp_path / "a.nii", tmp_path / "b.nii"]).shape == (2, 2, 3, 4)
    nib.save(nib.Nifti1Image(np.ones((2, 3, 4), np.float32), np.eye(4) * 2), tmp_path / "c.nii")
    with pytest.raises(ValueError, match=r"c\.nii: expected the grid of .*a\.nii"):
        LoadSeries()([tmp_path / "a.nii", tmp_path / "c.nii"])


def test_unknown_risk_is_refused_when_the_reader_is_made() -> None:
    with pytest.raises(ValueError, match="got \\['all'\\]"):
        LoadSeriesd("image", allow=["all"])
