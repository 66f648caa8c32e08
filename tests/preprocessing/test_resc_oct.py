"""RESC: published counts, and its phantom from files to slices."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocessing.resc_oct import RescOCT, app
from qfae_monai.recipes import Source
from tests.preprocessing.conftest import pixels
from tests.preprocessing.phantoms import resc


def test_published_counts_follow_from_the_rule() -> None:
    cubes = [("train", i) for i in range(70)] + [("test", i) for i in range(15)]
    sources = [
        Source(f"P{split}{i}", f"P{split}{i}_cube", ("x",) * 128, ("x",) * 128, split=split) for split, i in cubes
    ]
    # 4,297 of 70 x 128 training B-scans are free of lesions
    lesions = np.arange(70 * 128) >= 4297
    surveys = [*lesions.reshape(70, 128).tolist(), *[[True] * 128] * 15]
    planned = RescOCT().plan(sources, surveys, seed=0)
    assert Counter(split for s in planned for split in (s.slices or {}).values()) == {
        "train": 4297,
        "valid": 115,
        "test": 1805,
    }


@pytest.fixture(scope="module")
def cubes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return resc(tmp_path_factory.mktemp("resc"), train=3, validation=4, scans=8)


def test_published(cubes: Path, run: Any) -> None:
    made = run(app, cubes)
    assert made.exit_code == 0, made.text
    assert made.counts[("train", 0)] == 12  # B-scans 2, 4, 6, 8 of 3 cubes
    assert sum(count for (split, _), count in made.counts.items() if split == "valid") == 2  # 115 : 1805 of 32
    row = next(row for row in made.rows if row["label"] == "1")
    image = pixels(made.output / row["output"])
    scan = int(row["slice_index"]) + 1
    originals = [pixels(p) for p in cubes.rglob(f"original_images/*/{scan}.bmp")]
    assert sum(np.array_equal(image, original) for original in originals) == 1
    assert row["lesion_pixels"] == "16"
    assert row["affine"] == ""  # a bmp does not tell where it was


def test_corrected_splits_validation_by_patient(cubes: Path, run: Any) -> None:
    made = run(app, cubes, "--variant", "corrected")
    assert made.exit_code == 0
    assert len(made.patients("valid")) == 1
    assert not made.patients("valid") & made.patients("test")


def test_cube_without_masks_is_refused(tmp_path: Path, run: Any) -> None:
    folder = resc(tmp_path / "in", train=2, validation=3)
    next(folder.rglob("label_images/*/3.bmp")).unlink()
    made = run(app, folder)
    assert made.exit_code == 1
    assert "expected a mask a B-scan" in made.refused[0]["reason"]
    assert "3.bmp" in made.text


def test_16_bits_are_not_offered(cubes: Path, run: Any) -> None:
    made = run(app, cubes, "--format", "png16")
    assert made.exit_code == 2
    assert "expected a format of resc_oct, png8, npy, got 'png16'" in made.text
