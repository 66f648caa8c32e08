"""Lesions painted into normal images."""

from __future__ import annotations

import numpy as np
import pytest

from qfae_monai.transforms.synthetic_lesions import KINDS, SIZES, SyntheticLesions

SIDE = 64


def head(seed: int = 0) -> np.ndarray:
    """A textured disc in a black background."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    texture = 0.5 + 0.2 * np.random.default_rng(seed).random((SIDE, SIDE))
    return (texture * (np.hypot(y, x) < SIDE // 3)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", SIZES)
def test_each_kind_changes_the_body_where_its_mask_is(kind: str, share: float) -> None:
    image, other = head(), head(1)
    found = [SyntheticLesions()(image, other, kind=kind, share=share, number=number) for number in range(5)]
    painted = [one for one in found if one is not None]
    assert painted
    for one in painted:
        change = np.abs(one.image - image)
        assert one.mask.any()
        assert not (one.mask & (image <= 0.01)).any()  # inside of the body
        assert change[image <= 0.01].max() == 0
        assert change[one.mask].mean() > change[(image > 0.01) & ~one.mask].mean()
        assert one.image.min() >= 0
        assert one.image.max() <= 1


def test_lesions_cover_about_the_share_that_is_asked_for() -> None:
    image = np.full((SIDE, SIDE), 0.5, np.float32)
    for share in SIZES:
        found = [SyntheticLesions()(image, image, kind="bright", share=share, number=number) for number in range(40)]
        covered = np.mean([one.mask.mean() for one in found if one is not None])
        assert 0.3 * share < covered < 1.3 * share  # at the rim a part lies outside


def test_a_draw_is_the_same_again_and_another_number_another_draw() -> None:
    first, again, other = (
        SyntheticLesions()(head(), head(1), kind="haze", share=0.1, number=number) for number in (3, 3, 4)
    )
    assert first is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(first.image, again.image)
    assert (first.image != other.image).any()


def test_without_a_body_there_is_no_lesion() -> None:
    empty = np.zeros((SIDE, SIDE), np.float32)
    assert SyntheticLesions()(empty, empty, kind="bright", share=0.1, number=0) is None


def test_what_is_no_kind_or_share_is_refused() -> None:
    with pytest.raises(ValueError, match="kind: expected one of bright, dark"):
        SyntheticLesions()(head(), head(), kind="green", share=0.1, number=0)
    with pytest.raises(ValueError, match="share: expected a number in"):
        SyntheticLesions()(head(), head(), kind="bright", share=1.0, number=0)
