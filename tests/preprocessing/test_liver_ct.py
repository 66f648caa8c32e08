"""LiverCT: published counts, and its phantom from CT to slices, number by number."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from preprocessing.liver_ct import LiverCT, app
from qfae_monai.recipes import Source
from tests.preprocessing.conftest import pixels
from tests.preprocessing.phantoms import livers


def test_published_counts_follow_from_the_rule() -> None:
    # 1,542 slices with liver in 30 volumes of BTCV, 1,659 in 28 of LiTS, 733 of these with a lesion
    sizes = {"train": [51] * 18 + [52] * 12, "test": [59] * 21 + [60] * 7}
    lesions = iter([True] * 733 + [False] * 926)
    sources, surveys = [], []
    for split, counts in sizes.items():
        archive = {"train": "btcv", "test": "lits"}[split]
        for number, count in enumerate(counts):
            sources.append(Source(f"{archive}{number}", f"{archive} {number}", ("x",), split=split))
            surveys.append({k: split == "test" and next(lesions) for k in range(count)})
    planned = LiverCT().plan(sources, surveys, seed=0)
    found = {source.patient: survey for source, survey in zip(sources, surveys, strict=True)}
    assert Counter((split, found[s.patient][k]) for s in planned for k, split in (s.slices or {}).items()) == {
        ("train", False): 1542,
        ("valid", False): 93,
        ("valid", True): 73,
        ("test", False): 833,
        ("test", True): 660,
    }


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return livers(tmp_path_factory.mktemp("livers"), btcv=2, lits=5)


def test_published(scans: Path, run: Any) -> None:
    made = run(app, scans)
    assert made.exit_code == 0, made.text
    # 4 slices with liver a volume; 166 : 1493 of 20 is 2 : 18; lesions in 2 slices of 3 volumes
    assert made.counts[("train", 0)] == 8
    assert sum(n for (split, _), n in made.counts.items() if split == "valid") == 2
    assert sum(n for (split, label), n in made.counts.items() if label == 1) == 6
    assert {(row["rows"], row["columns"]) for row in made.rows} == {("224", "224")}
    assert {row["lesion_pixels"] for row in made.rows if row["label"] == "1"} == {"9"}


def recipe_in_words(hu: np.ndarray, liver: np.ndarray, clip: bool) -> np.ndarray:
    """The published rule on one slice as stored, written down plainly; its rows are flipped at the end."""
    hu = hu.astype(float).clip(-200, 250) if clip else hu.astype(float)
    unit = (hu - hu.min()) / (hu.max() - hu.min())
    grey = np.floor(np.linspace(0, 1, 256) * 255)[np.minimum((unit * 256).astype(int), 255)].astype(int)
    grey = (grey * liver)[::-1]
    counts = np.bincount(grey.ravel(), minlength=256).astype(float)
    counts[0] = 0
    table = np.floor(255 * np.cumsum(counts / counts.sum()) + 1e-9)
    table = np.where((table > 0) & (table < 150), np.floor(table / 150 * 120 + 30), table)
    return table[grey]


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_slices_without_canvas_follow_the_rule(variant: str, scans: Path, run: Any) -> None:
    made = run(app, scans, "--no-canvas", "--variant", variant)
    assert made.exit_code == 0, made.text
    images = {row["output"]: pixels(made.output / row["output"]) for row in made.rows}
    for name, label, values, clip in (
        ("BTCV/img/img0000.nii.gz", "BTCV/label/label0000.nii.gz", (6,), False),
        ("LiTS/volume-0.nii", "LiTS/segmentation-0.nii", (1, 2), True),
    ):
        volume: Any = nib.load(scans / name)
        mask: Any = nib.load(scans / label)
        hu, liver = np.asarray(volume.dataobj)[:, :, 2], np.isin(np.asarray(mask.dataobj)[:, :, 2], values)  # (X, Y)
        if variant == "published":  # rows along the first stored axis: what `imsave` makes of volume[:, :, k]
            assert {image.shape for image in images.values()} == {(24, 20)}
            expected = recipe_in_words(hu, liver, clip)
            # round-off of the published sum decides between 254 and 255, see EqualizeNonzero
            assert any(np.abs(image - expected).max() <= 1 for image in images.values()), name
        else:  # upright, the liver where it was
            assert {image.shape for image in images.values()} == {(20, 24)}
            upright = liver.T[::-1]
            inside = [image[upright] for image in images.values() if not image[~upright].any()]
            assert any((found > 0).mean() > 0.7 for found in inside), name  # a sixth is below the window


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_lesion_goes_with_its_slice_onto_the_canvas(variant: str, scans: Path, run: Any) -> None:
    made = run(app, scans, "--variant", variant)
    row = next(row for row in made.rows if row["label"] == "1")
    mask = pixels(made.output / row["mask"])
    rows, columns = np.nonzero(mask)
    affine = np.array(row["affine"].split(), dtype=float).reshape(4, 4)
    lesion_mm = affine @ [rows.mean(), columns.mean(), 0, 1]
    volume: Any = nib.load(scans / "LiTS/volume-0.nii")
    expected = volume.affine @ [9, 10, int(row["slice_index"]), 1]
    assert np.allclose(lesion_mm, expected)


def test_corrected_windows_train_and_test_alike_and_splits_by_patient(scans: Path, run: Any) -> None:
    made = run(app, scans, "--variant", "corrected")
    assert made.exit_code == 0
    assert all('"low": -200, "high": 250' in row["scaling"] for row in made.rows)
    assert made.patients("valid")
    assert not made.patients("valid") & made.patients("test")


def test_volume_without_mask_is_refused(tmp_path: Path, run: Any) -> None:
    folder = livers(tmp_path / "in", btcv=1, lits=2)
    (folder / "LiTS" / "segmentation-1.nii").unlink()
    made = run(app, folder)
    assert made.exit_code == 1
    assert "volume-1.nii: expected its mask" in made.text
    assert "volume-1" not in made.refused[0]["reason"]
