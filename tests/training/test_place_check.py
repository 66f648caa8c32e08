"""Places along the stack where no training slice is normal."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace

import pytest
import torch

from qfae_monai.data.volume_slices import VolumeSlices
from qfae_monai.training import PlaceCheck


def volume(normal: list[float], ill: list[float] | None) -> VolumeSlices:
    pixels = torch.zeros(len(normal), 2, 2)
    places = None if ill is None else torch.tensor(ill)
    return VolumeSlices(pixels, torch.arange(len(normal)), torch.tensor(normal), lesion_position=places)


@pytest.mark.parametrize(
    ("volumes", "told"),
    [
        (
            [volume([0.0, 0.1, 0.2], [0.25, 0.35, 0.6, 1.0])],
            "3 of 4 .* from 0.35 to 0.35 and from 0.60 to 0.60 and from",
        ),
        ([volume([0.0, 0.1], [0.6, 0.7]), volume([0.65], [0.1])], ""),  # another volume is normal there
        (
            [volume([0.5], [0.0, 0.05]), volume([0.45], [0.95, 1.0])],
            "4 of 4 .* from 0.00 to 0.05 and from 0.95 to 1.00",
        ),
        ([volume([0.5], None), volume([0.4], [])], ""),
    ],
)
def test_places_where_all_slices_have_lesions_are_told(
    caplog: pytest.LogCaptureFixture, volumes: list[VolumeSlices], told: str
) -> None:
    check = PlaceCheck(SimpleNamespace(data=SimpleNamespace(volumes=volumes)))
    with caplog.at_level(logging.WARNING):
        check()
    assert len(check.warnings) == bool(told)
    assert caplog.messages == check.warnings
    if told:
        assert re.search(told, check.warnings[0])


@pytest.mark.parametrize("dataset", [SimpleNamespace(data=[{"image": torch.zeros(1, 2, 2)}]), [torch.zeros(1, 2, 2)]])
def test_single_images_have_no_places(dataset: object) -> None:
    check = PlaceCheck(dataset)
    check()
    assert check.warnings == []
