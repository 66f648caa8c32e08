"""BraTS2021: the rule that gives the published counts, and its phantom from files to slices."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from preprocessing.brats2021 import Brats2021, app
from qfae_monai.recipes import Source
from tests.preprocessing.conftest import pixels
from tests.preprocessing.phantoms import brats

EVERY = range(60, 100)


def surveys() -> list[dict[int, int]]:
    """As many tumour-free slices as the published counts imply: 7,500 of 424 patients, 640 of 162, 39 of 39, none."""
    free = [18] * 292 + [17] * 132 + [4] * 154 + [3] * 8 + [1] * 39 + [0] * 626
    return [{60 + i: int(i >= count) for i in range(40)} for count in free]


def test_published_counts_follow_from_the_rule() -> None:
    found = surveys()
    sources = [Source(f"BraTS2021_{i:05d}", "flair", ("x",)) for i in range(len(found))]
    order = np.random.default_rng(0).permutation(len(sources))
    planned = Brats2021().plan([sources[i] for i in order], [found[i] for i in order], seed=1)
    counts: Counter[tuple[str, bool]] = Counter()
    for source in planned:
        survey = found[int(source.patient[-5:])]
        counts.update((split, survey[k] > 0) for k, split in (source.slices or {}).items())
    assert counts == {
        ("train", False): 7500,
        ("valid", False): 39,
        ("valid", True): 44,
        ("test", False): 640,
        ("test", True): 3075,
    }
    assert sum(counts[split, abnormal] for split in ("test",) for abnormal in (False, True)) == 3715


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six patients with 12, 10, 8, 6, 2 and 1 tumour-free slices, and six full of tumour."""
    tumour = [list(EVERY)[count:] for count in (12, 10, 8, 6, 2, 1)] + [list(EVERY)] * 6
    return brats(tmp_path_factory.mktemp("brats"), tumour)


def test_published(cohort: Path, run: Any) -> None:
    made = run(app, cohort)
    assert made.exit_code == 0, made.text
    # 424 : 162 : 39 of six is 4 : 2 : 0, 11 : 615 of six is 0 : 6
    assert made.counts == {("train", 0): 36, ("test", 0): 3, ("test", 1): 30}
    assert not made.patients("train") & made.patients("test")
    assert {row["slice_index"] for row in made.rows if row["label"] == "1"} == {"60", "68", "76", "84", "92"}


def test_pixels_mask_and_place(cohort: Path, run: Any) -> None:
    made = run(app, cohort)
    row = next(row for row in made.rows if row["label"] == "1")
    image = pixels(made.output / row["output"])
    mask = pixels(made.output / row["mask"])
    volumes: list[Any] = [nib.load(path) for path in sorted(cohort.rglob("*_flair.nii.gz"))]
    slices = [np.asarray(volume.dataobj)[:, :, int(row["slice_index"])].T for volume in volumes]
    scaled = [np.rint((s - s.min()) / (s.max() - s.min()) * 255) for s in slices]
    assert image.dtype == np.uint8
    assert sum(np.array_equal(image, s) for s in scaled) == 1
    assert mask.nonzero() == (np.array([3]), np.array([2]))
    assert mask.max() == 255
    assert row["lesion_pixels"] == "1"
    affine = np.array(row["affine"].split(), dtype=float).reshape(4, 4)
    # voxel (x 2, y 3) is column 2 of row 3
    expected = volumes[0].affine @ [2, 3, int(row["slice_index"]), 1]
    assert np.allclose(affine @ [3, 2, 0, 1], expected)
    assert row["spacing_mm"] == "3 2 5"


def test_corrected_keeps_small_lesions_and_mixes_nothing(cohort: Path, run: Any) -> None:
    made = run(app, cohort, "--variant", "corrected")
    assert made.exit_code == 0
    splits = [made.patients(split) for split in ("train", "valid", "test")]
    assert not splits[0] & splits[1] | splits[0] & splits[2] | splits[1] & splits[2]
    assert all({row["label"] for row in made.rows if row["split"] == s} <= {"0", "1"} for s in ("valid", "test"))
    assert {row["label"] for row in made.rows if row["split"] == "train"} == {"0"}
    held_out = [row for row in made.rows if row["split"] != "train"]
    assert {row["slice_index"] for row in held_out} == {"60", "68", "76", "84", "92"}
    # one pixel of tumour makes a slice abnormal
    assert all((row["label"] == "1") == (row["lesion_pixels"] == "1") for row in held_out)


def test_missing_mask_is_refused_and_the_others_go_on(tmp_path: Path, run: Any) -> None:
    folder = brats(tmp_path / "in", [[99], [99], [98, 99]])
    next(folder.rglob("BraTS2021_00001_seg.nii.gz")).unlink()
    made = run(app, folder)
    assert made.exit_code == 1
    assert "BraTS2021_00001" in made.text  # the user's screen names it, the outputs do not
    assert len(made.refused) == 1
    assert not any(b"BraTS2021" in content for content in made.files().values())


def test_folder_of_something_else(tmp_path: Path, run: Any) -> None:
    made = run(app, tmp_path)
    assert made.exit_code == 2
    assert "_flair.nii.gz, found none" in made.text
