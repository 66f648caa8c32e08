"""A note on few voxels far outside of all others, and none on what only looks like that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qfae_monai.reading.voxel_check import outlying_voxels

SCAN = np.random.default_rng(0).integers(1, 4000, (20, 20, 20))


def spiked(value: float, dtype: Any, *, count: int = 1, of: np.ndarray = SCAN) -> np.ndarray:
    array = of.astype(dtype)
    array.ravel()[:count] = value
    return array


def sparse() -> np.ndarray:
    """Air around a small body, as most of a volume is."""
    array = np.zeros((40, 40, 40))
    array[:20, :20, :20] = SCAN
    return array


NOTED = {
    "times 10,000": spiked(4e7, np.int32),
    "float": spiked(4e7, np.float32),
    "double": spiked(1e300, np.float64),
    "unsigned": spiked(1 << 63, np.uint64),
    "below": spiked(-4e7, np.float32),
    "integers below": spiked(-(1 << 62), np.int64),
    "several": spiked(4e7, np.int32, count=7),
    "CT": spiked(3e7, np.int32, of=SCAN - 1024),
    "small": spiked(65535, np.uint16, of=np.ones((6, 6, 6)) + np.arange(6)),
    "in air": spiked(4e7, np.float32, of=sparse()),
    "memory order": np.asfortranarray(spiked(4e7, np.int32)),
    "strided": spiked(4e7, np.int32)[::2],
}
QUIET = {
    "scan": SCAN,
    "times 100": spiked(4e5, np.int32),
    "many": spiked(4e7, np.int32, count=80),
    "mask of a voxel": spiked(1, np.uint8, of=np.zeros((20, 20, 20))),
    "mask of all but one": spiked(0, np.uint8, of=np.ones((20, 20, 20))),
    "boolean": SCAN > 5,
    "constant": np.full((5, 5, 5), 7.0),
    "not a number": spiked(np.nan, np.float32),
    "infinite": spiked(np.inf, np.float32),
    "nothing": np.zeros((0, 4, 4)),
}


@pytest.mark.parametrize("name", NOTED)
def test_outliers_are_noted(name: str) -> None:
    found = outlying_voxels(NOTED[name])
    assert found is not None
    assert found.startswith("outlying-voxels: 7 of" if name == "several" else "outlying-voxels: 1 of")


@pytest.mark.parametrize("name", QUIET)
def test_what_has_none_is_not(name: str) -> None:
    assert outlying_voxels(QUIET[name]) is None
