"""RSNA: published counts, and its phantom from DICOM to images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from preprocessing.rsna_cxr import RsnaCXR, app
from qfae_monai.recipes import Source
from tests.preprocessing.conftest import pixels
from tests.preprocessing.phantoms import rsna


def test_published_counts_follow_from_the_rule() -> None:
    labels = [0] * 8851 + [1] * (6012 + 11821)
    sources = [Source(f"id{i}", f"id{i}", ("x",), image_label=label) for i, label in enumerate(labels)]
    assert len(sources) == 26684
    planned = RsnaCXR().plan(sources, [], seed=0)
    counts = Counter(((s.slices or {})[0], s.image_label) for s in planned)
    assert counts == {
        ("train", 0): 8000,
        ("valid", 0): 70,
        ("valid", 1): 1420,
        ("test", 0): 781,
        ("test", 1): 16413,
    }


@pytest.fixture(scope="module")
def radiographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rsna(tmp_path_factory.mktemp("rsna") / "in", normal=20, opacity=8, other=6)


def test_published(radiographs: Path, run: Any) -> None:
    made = run(app, radiographs)
    assert made.exit_code == 0, made.text
    assert made.counts == {("train", 0): 18, ("test", 0): 2, ("valid", 1): 1, ("test", 1): 13}
    assert all(row["mask"] == "" for row in made.rows)
    row = made.rows[0]
    image = pixels(made.output / row["output"])
    files = sorted(radiographs.rglob("*.dcm"))
    originals = [pydicom.dcmread(path).pixel_array for path in files]
    assert image.shape == (12, 10)
    assert sum(np.array_equal(image, original) for original in originals) == 1
    assert not any(path.stem.encode() in content for path in files for content in made.files().values())


def test_corrected_keeps_people_apart(radiographs: Path, run: Any) -> None:
    made = run(app, radiographs, "--variant", "corrected", "--people", radiographs / "mapping.json")
    assert made.exit_code == 0, made.text
    splits = [made.patients(split) for split in ("train", "valid", "test")]
    assert not splits[0] & splits[1] | splits[0] & splits[2] | splits[1] & splits[2]
    assert len(made.rows) == 34
    assert len(splits[0] | splits[1] | splits[2]) == 17  # two images each


def test_corrected_needs_to_know_the_people(radiographs: Path, run: Any) -> None:
    made = run(app, radiographs, "--variant", "corrected")
    assert made.exit_code == 2
    assert "expected --people" in made.text


def test_tables_that_contradict_each_other_are_refused(tmp_path: Path, run: Any) -> None:
    folder = rsna(tmp_path / "in", normal=2, opacity=1, other=0)
    table = folder / "stage_2_train_labels.csv"
    table.write_text(table.read_text().replace(",0\n", ",1\n", 1).replace(",0\r\n", ",1\r\n", 1))
    made = run(app, folder)
    assert made.exit_code == 2
    assert "Target 1 for opacities alone" in made.text


def test_missing_image_is_refused(tmp_path: Path, run: Any) -> None:
    folder = rsna(tmp_path / "in", normal=4, opacity=2, other=0)
    next(folder.rglob("00000001-rsna.dcm")).unlink()
    made = run(app, folder)
    assert made.exit_code == 1
    assert "00000001-rsna.dcm" in made.text
    assert not any(b"00000001-rsna" in content for content in made.files().values())
