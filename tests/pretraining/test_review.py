"""The training image unlike all others comes first, and its own scan's slices are no excuse."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import Dataset

from qfae_monai.pretraining import TrainingSetReview
from tests.pretraining.conftest import small_trunk


def scans(cases: int) -> list[dict[str, Any]]:
    """Four slices per scan, alike but for noise; the last scan has a bright square in slices 1 and 2."""
    base = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    items = []
    for case in range(cases):
        for number in range(4):
            image = base[number] + 0.02 * torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(case))
            if case == cases - 1 and number in (1, 2):
                image[:, 8:24, 8:24] = 3.0
            items.append({"image": image, "case": f"scan-{case}", "slice_index": number})
    return items


def test_the_odd_scan_is_flagged_though_its_slices_resemble_each_other(tmp_path: Path) -> None:
    review = TrainingSetReview(tmp_path / "flagged.csv", small_trunk(), Dataset(scans(5)), flagged=3)
    review(None)  # type: ignore[arg-type]
    rows = list(csv.DictReader((tmp_path / "flagged.csv").open()))
    assert len(rows) == 3
    assert {(row["case"], row["slice"]) for row in rows[:2]} == {("scan-4", "1"), ("scan-4", "2")}
    assert float(rows[0]["ratio"]) > 2 > float(rows[2]["ratio"])


@pytest.mark.parametrize("named", [True, False])
def test_a_single_scan_is_compared_with_itself(tmp_path: Path, named: bool) -> None:
    items = [item if named else {"image": item["image"]} for item in scans(1)]
    rows = TrainingSetReview(tmp_path / "flagged.csv", small_trunk(), Dataset(items)).rows()
    assert [row["score"] for row in rows] == pytest.approx([0] * 4, abs=1e-2)
