"""A training set is looked at before it is learned from: constant images, sizes, and a hash of the content alone."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import Dataset

from qfae_monai.pretraining import CheckImaged, survey_data


def dataset(*shapes: tuple[int, int]) -> Dataset:
    return Dataset(
        [{"image": torch.rand(1, *shape), "case": f"case-{n}"} for n, shape in enumerate(shapes)], CheckImaged()
    )


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_an_image_without_content_is_refused_by_name(value: float) -> None:
    image = torch.full((1, 4, 4), 0.5)
    image[0, 0, 0] = value
    item: dict[Hashable, Any] = {"image": image, "case": "scan-7", "slice_index": 12}
    with pytest.raises(ValueError, match=r"scan-7, slice 12: expected an image of finite, differing pixels"):
        CheckImaged()(item)


def test_images_of_several_proportions_are_worth_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = survey_data(dataset((8, 8), (16, 16)), [])
    assert found.sizes == {"16 x 16": 1, "8 x 8": 1}
    assert not caplog.records
    survey_data(dataset((8, 8), (8, 8), (8, 12)), [])
    assert "2 of 8 x 8, 1 of 8 x 12 pixels" in caplog.text


def test_the_hash_is_of_the_content_whatever_its_order_names_and_place(tmp_path: Path) -> None:
    entries: list[dict[str, Any]] = []
    for name in ("a", "b"):
        (tmp_path / f"{name}.bin").write_bytes(name.encode())
        entries.append({"image": str(tmp_path / f"{name}.bin"), "case": name})
    shutil.copy(tmp_path / "a.bin", tmp_path / "c.bin")
    moved = [entries[1], {"image": str(tmp_path / "c.bin"), "case": "other"}]
    hashes = [survey_data(dataset((8, 8)), some).sha256 for some in (entries, moved, entries[:1])]
    assert hashes[0] == hashes[1] != hashes[2]
