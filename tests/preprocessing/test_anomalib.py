"""Outputs of the recipes in anomalib's BMAD data module (2.7.0): its rules in words, and itself where it is installed.

It takes a folder that holds the data set's folder, of any name, and in that `train/good/*.png` and
`{valid,test}/{good,Ungood}/{img,label}/*.png`. Where there are masks at all, it pairs each abnormal image of `valid`
and `test` with a mask by sorted order, and refuses pairs whose names differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocessing import brats2021, liver_ct, resc_oct, rsna_cxr
from tests.preprocessing.phantoms import brats, livers, resc, rsna

EVERY = range(60, 100)


def brain(folder: Path) -> Path:
    return brats(folder, [list(EVERY)[free:] for free in (12, 10, 8, 6, 2, 1)] + [list(EVERY)] * 6, (40, 32, 100))


CATEGORIES: list[tuple[str, Any, Any, bool]] = [
    ("Brain", brats2021.app, brain, True),
    ("Liver", liver_ct.app, lambda folder: livers(folder, btcv=2, lits=5), True),
    ("Retina_RESC", resc_oct.app, lambda folder: resc(folder, train=2, validation=4), True),
    ("Chest", rsna_cxr.app, lambda folder: rsna(folder, normal=40, opacity=8, other=8), False),
]


@pytest.fixture(params=CATEGORIES, ids=[category for category, *_ in CATEGORIES])
def prepared(request: pytest.FixtureRequest, tmp_path: Path, run: Any) -> tuple[Any, bool]:
    """A recipe's output, and whether it has masks."""
    category, app, phantoms, masks = request.param
    made = run(app, phantoms(tmp_path / "raw"), name=category)
    assert made.exit_code == 0, made.text
    return made, masks


def test_abnormal_images_have_masks_of_their_names_or_none_has(prepared: tuple[Any, bool]) -> None:
    made, masks = prepared
    found = {path.relative_to(made.output) for path in made.output.rglob("*.png")}
    assert {path.parts[0] for path in found} <= {"train", "valid", "test"}
    assert {len(path.parts) for path in found if path.parts[0] == "train"} == {3}  # train/good/name
    assert {path.parts[1] for path in found if path.parts[0] == "train"} == {"good"}
    held_out = {path for path in found if path.parts[0] != "train"}
    assert {len(path.parts) for path in held_out} == {4}
    assert {path.parts[1:3] for path in held_out} <= {("good", "img"), ("Ungood", "img"), ("Ungood", "label")}
    images = sorted(path for path in held_out if path.parts[1:3] == ("Ungood", "img"))
    labels = sorted(path for path in held_out if path.parts[1:3] == ("Ungood", "label"))
    assert images
    assert [(one.parts[0], one.name) for one in labels] == [(one.parts[0], one.name) for one in images] * masks


def test_anomalib_reads_the_output(prepared: tuple[Any, bool]) -> None:
    data = pytest.importorskip("anomalib.data", reason="anomalib is not installed")
    made, masks = prepared
    module = data.BMAD(root=made.output.parent, category=made.output.name, num_workers=0)
    module.prepare_data()
    module.setup()
    sections = {"train": module.train_data, "valid": module.val_data, "test": module.test_data}
    for split, dataset in sections.items():
        rows = [row for row in made.rows if row["split"] == split]
        assert len(dataset) == len(rows)
        assert sorted(dataset.samples["label_index"]) == sorted(int(row["label"]) for row in rows)
    if not masks:
        return
    row = next(row for row in made.rows if row["split"] == "test" and row["label"] == "1")
    paths = [Path(path).name for path in module.test_data.samples["image_path"]]
    item = module.test_data[paths.index(Path(row["output"]).name)]
    assert tuple(item.image.shape) == (3, int(row["rows"]), int(row["columns"]))
    assert int(np.count_nonzero(item.gt_mask)) == int(row["lesion_pixels"])
