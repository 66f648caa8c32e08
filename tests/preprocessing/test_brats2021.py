"""BraTS2021: the rule that gives the published counts, and its phantom from files to slices."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imsave
from PIL import Image

from preprocessing.brats2021 import Brats2021, app
from qfae_monai.recipes import Source
from tests.preprocessing.conftest import pixels
from tests.preprocessing.phantoms import AFFINE, brats

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


def stored(cohort: Path, index: int) -> list[np.ndarray]:
    """One slice of each patient, (X, Y) as `nibabel` gives it."""
    volumes: list[Any] = [nib.load(path) for path in sorted(cohort.rglob("*_flair.nii.gz"))]
    return [volume.get_fdata()[:, :, index] for volume in volumes]


def abnormal_one(made: Any) -> tuple[dict[str, str], Image.Image, np.ndarray]:
    """Row, image and mask of an abnormal slice whose lesion is the voxel (x 2, y 3)."""
    row = next(row for row in made.rows if row["label"] == "1")
    assert row["lesion_pixels"] == "1"
    return row, Image.open(made.output / row["output"]), pixels(made.output / row["mask"])


def test_published_pixels_are_those_that_matplotlib_saves(cohort: Path, run: Any, tmp_path: Path) -> None:
    row, image, mask = abnormal_one(run(app, cohort))
    expected = []
    for number, plane in enumerate(stored(cohort, int(row["slice_index"]))):
        # BMAD's script in one line: plt.imsave(path, flair[:, :, j], cmap="bone")
        imsave(tmp_path / f"{number}.png", plane, cmap="bone")
        expected.append(np.asarray(Image.open(tmp_path / f"{number}.png")))
    assert image.mode == "RGBA"
    assert sum(np.array_equal(np.asarray(image), one) for one in expected) == 1
    assert (np.ptp(np.asarray(image)[..., :3].astype(int), axis=2) > 0).any()  # colours, no grey
    # rows run along the first stored axis, of the mask, too
    assert mask.shape == (6, 5)
    assert mask.nonzero() == (np.array([2]), np.array([3]))
    assert mask.max() == 255
    affine = np.array(row["affine"].split(), dtype=float).reshape(4, 4)
    assert np.allclose(affine @ [2, 3, 0, 1], AFFINE @ [2, 3, int(row["slice_index"]), 1])
    assert row["spacing_mm"] == "2 3 5"


def test_corrected_slices_are_upright_and_grey(cohort: Path, run: Any) -> None:
    row, image, mask = abnormal_one(run(app, cohort, "--variant", "corrected"))
    slices = [plane.T for plane in stored(cohort, int(row["slice_index"]))]
    scaled = [np.rint((s - s.min()) / (s.max() - s.min()) * 255) for s in slices]
    assert image.mode == "L"
    assert sum(np.array_equal(np.asarray(image), s) for s in scaled) == 1
    assert mask.nonzero() == (np.array([3]), np.array([2]))
    affine = np.array(row["affine"].split(), dtype=float).reshape(4, 4)
    # voxel (x 2, y 3) is column 2 of row 3
    assert np.allclose(affine @ [3, 2, 0, 1], AFFINE @ [2, 3, int(row["slice_index"]), 1])
    assert row["spacing_mm"] == "3 2 5"


def test_published_arrays_hold_what_is_read_of_the_colours(cohort: Path, run: Any) -> None:
    colours, arrays = run(app, cohort), run(app, cohort, "--format", "npy", name="npy")
    name = colours.rows[0]["output"]
    luminance = np.asarray(Image.open(colours.output / name).convert("L"))
    assert np.array_equal(np.load((arrays.output / name).with_suffix(".npy")), luminance.astype(np.float32) / 255)
    refused = run(app, cohort, "--format", "png16", name="png16")
    assert refused.exit_code == 2
    assert "expected a format of brats2021, png8, npy, got 'png16'" in refused.text


LISTS = {"train": ["00000", "00001"], "test": ["BraTS2021_00002", "00003"], "valid": ["00004", "00005"]}


def split_file(path: Path, **sections: Any) -> Path:
    path.write_text(json.dumps({**LISTS, **sections}))
    return path


def test_split_file_decides(cohort: Path, run: Any, tmp_path: Path) -> None:
    listed = split_file(tmp_path / "lists.json", valid_abnormal=["00006"])
    made = run(app, cohort, "--split", listed)
    assert made.exit_code == 0, made.text
    # 12 + 10 tumour-free slices train, 8 + 6 test, 2 + 1 validate; one abnormal patient validates by 4 slices, 5 by 5
    assert made.counts == {("train", 0): 22, ("valid", 0): 3, ("valid", 1): 4, ("test", 0): 14, ("test", 1): 25}
    said = "normal slices of 2 patients to train, of 2 to validation, of 2 to test; abnormal slices of the 6 others, in"
    assert f"split file: {said} validation the 1 in the file" in made.text
    assert not any(b"BraTS2021_" in content or b"00006" in content for content in made.files().values())
    drawn = run(app, cohort, "--split", split_file(listed), name="drawn")
    assert drawn.exit_code == 0, drawn.text
    assert drawn.counts == {("train", 0): 22, ("valid", 0): 3, ("test", 0): 14, ("test", 1): 30}  # 11 : 615 of 6
    again = run(app, cohort, "--split", split_file(listed, train=["00001", "00000"]), name="drawn")
    assert again.exit_code == 2
    assert "expected the settings that it was begun with" in again.text
    assert "split_hmac" in again.text


SPLIT_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"valid": ["00004", "4711"]}, "got 1 of 6 that are not there: 4711"),
    ({"valid": ["00004", "BraTS2021_00000"]}, "each patient once in all lists, got 1 again: BraTS2021_00000"),
    ({"valid": ["00004"]}, "and 1 not there that have some: BraTS2021_00005"),
    ({"valid": ["00004", "00005", "00006"]}, "got 1 there that have none: BraTS2021_00006"),
    ({"valid": "00004"}, "valid: expected a list"),
    ({"validation": []}, "expected lists of patients by split, got a file that is not"),
]


@pytest.mark.parametrize(("sections", "message"), SPLIT_ERRORS)
def test_split_file_of_other_patients(
    sections: dict[str, Any], message: str, cohort: Path, run: Any, tmp_path: Path
) -> None:
    made = run(app, cohort, "--split", split_file(tmp_path / "lists.json", **sections))
    assert made.exit_code == 2
    assert message in made.text
    assert "lists.json" in made.text


def test_split_file_belongs_to_the_published_variant(cohort: Path, run: Any, tmp_path: Path) -> None:
    made = run(app, cohort, "--split", split_file(tmp_path / "lists.json"), "--variant", "corrected")
    assert made.exit_code == 2
    assert "--split: expected --variant published beside it, got corrected" in made.text


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
