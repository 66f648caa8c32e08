"""Each grey augmentation does what its name says, to its own image of a batch only, and repeats with its seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.transforms import GaussianSmooth
from torch import Tensor

from qfae_monai.pretraining import RandGreyBatch
from qfae_monai.pretraining.augment import blur, change_gamma, erase


@pytest.fixture
def batch() -> Tensor:
    """Four images (4, 1, 24, 20), all of them body."""
    return 0.05 + 0.95 * torch.rand(4, 1, 24, 20, generator=torch.Generator().manual_seed(1))


def test_gamma(batch: Tensor) -> None:
    found = change_gamma(batch, torch.tensor([1.0, 2.0, 0.5, 1.0]))
    torch.testing.assert_close(found[0], batch[0])
    torch.testing.assert_close(found[1], batch[1] ** 2)


def test_blur_is_monais_inside_and_leaves_other_images_alone(batch: Tensor) -> None:
    found = blur(batch, torch.tensor([0.0, 1.2, 0.0, 0.5]))
    torch.testing.assert_close(found[0], batch[0])
    expected = torch.as_tensor(GaussianSmooth(1.2, approx="sampled")(batch[1]))
    torch.testing.assert_close(found[1, :, 5:-5, 5:-5], expected[:, 5:-5, 5:-5], atol=2e-3, rtol=0)
    assert torch.equal(blur(batch, torch.zeros(4)), batch)


def test_an_erased_box_has_one_grey(batch: Tensor) -> None:
    boxes = torch.zeros(4, 1, 4)
    boxes[1, 0] = torch.tensor([0.25, 0.5, 0.5, 0.75])  # top, left, bottom, right
    found = erase(batch, boxes, torch.full((4, 1), 0.6))
    assert (found[1, 0, 6:12, 10:15] == 0.6).all()
    changed = found != batch
    assert changed.nonzero().amin(0).tolist() == [1, 0, 6, 10]
    assert changed.nonzero().amax(0).tolist() == [1, 0, 11, 14]


def test_a_seed_repeats_the_draw_and_the_range_is_kept(batch: Tensor) -> None:
    first, again, other = (RandGreyBatch().set_random_state(seed)(batch) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == batch.shape
    assert first.min() >= 0
    assert first.max() <= 1


def test_without_probability_nothing_happens(batch: Tensor) -> None:
    torch.testing.assert_close(RandGreyBatch(prob=0.0)(batch), batch)


@pytest.mark.parametrize("arguments", [{"prob": 2.0}, {"gamma": (0.0, 1.0)}, {"noise_grid": 0}, {"erased_side": 1.5}])
def test_values_out_of_range_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments)).split("_")[0]):
        RandGreyBatch(**arguments)
