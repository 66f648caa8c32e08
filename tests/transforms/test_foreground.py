"""Scaling by percentiles of the foreground, and MONAI's histogram equalisation inside a mask as the project uses it."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, HistogramNormalized, MaskIntensityd

from qfae_monai.transforms import (
    ScaleIntensityForegroundPercentiles,
    ScaleIntensityForegroundPercentilesd,
    foreground_mask,
)

BAD_PERCENTILES = [(5.0, 5.0), (-1.0, 99.0), (1.0, 101.0), (99.0, 1.0)]


def volume() -> MetaTensor:
    """Background -5 in 24 of 125 voxels, then 101 foreground values -50/50 .. 50/50 - all above the background."""
    values = torch.cat([torch.full((24,), -5.0), torch.arange(-50.0, 51.0) / 50])
    return MetaTensor(values.reshape(1, 5, 5, 5), meta={"filename_or_obj": "brain.nii.gz"})


def test_percentiles_ignore_the_background() -> None:
    out = ScaleIntensityForegroundPercentiles(10, 90)(volume())
    assert isinstance(out, MetaTensor)
    values = out.as_tensor().flatten()
    assert (values[:24] == 0).all()
    # the 10th and the 90th percentile of -1, -0.98, ..., 1 are -0.8 and 0.8
    expected = ((torch.arange(-50.0, 51.0) / 50 + 0.8) / 1.6).clamp(0, 1)
    torch.testing.assert_close(values[24:], expected, atol=1e-6, rtol=1e-6)
    assert out.meta["filename_or_obj"] == "brain.nii.gz"


def test_background_with_round_off_is_background() -> None:
    img = volume()
    img[0, 0] += 1e-6 * torch.arange(25.0).reshape(5, 5)
    assert int(foreground_mask(img).sum()) == 101


def test_mask_below_one_is_foreground() -> None:
    mask = torch.zeros(1, 5, 5, 5)
    mask[:, 2:4] = 0.99999997  # as the brain masks of real data
    out = ScaleIntensityForegroundPercentilesd("image", 0, 100, mask_key="mask")({"image": volume(), "mask": mask})
    inside = out["image"][:, 2:4]
    assert float(inside.min()) == 0
    assert float(inside.max()) == 1
    assert (out["image"][:, [0, 1, 4]] == 0).all()


def test_input_is_not_changed() -> None:
    img = volume()
    before = img.clone()
    ScaleIntensityForegroundPercentiles()(img)
    assert torch.equal(img, before)


def test_constant_foreground_is_refused_by_name() -> None:
    img = volume()
    img[img > -5] = 3.0
    with pytest.raises(ValueError, match=r"brain.nii.gz.*3 at both"):
        ScaleIntensityForegroundPercentiles()(img)


def test_no_foreground_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"brain.nii.gz.*none of 125"):
        ScaleIntensityForegroundPercentiles()(volume(), torch.zeros(1, 5, 5, 5))


def test_mask_of_other_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 5, 5, 4\) and \(1, 5, 5, 5\)"):
        ScaleIntensityForegroundPercentiles()(volume(), torch.ones(1, 5, 5, 4))


@pytest.mark.parametrize(("lower", "upper"), BAD_PERCENTILES)
def test_bad_percentiles_are_refused(lower: float, upper: float) -> None:
    with pytest.raises(ValueError, match="lower < upper"):
        ScaleIntensityForegroundPercentiles(lower, upper)


def test_monai_equalises_inside_a_mask() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.full((1, 20, 20, 20), -3.0)
    mask = torch.zeros_like(image)
    mask[:, 4:16, 4:16, 4:16] = 0.99999997
    image[mask > 0] = torch.randn(12**3, generator=generator).exp()
    equalise = Compose(
        [
            HistogramNormalized("image", min=0, max=1, mask_key="mask"),
            MaskIntensityd("image", mask_key="mask"),
        ]
    )
    out = equalise({"image": image, "mask": mask})["image"]
    assert (out[mask == 0] == 0).all()
    # equalised: a quarter of the voxels below each quarter of the range, to within the bins of the histogram
    quartiles = torch.quantile(out[mask > 0], torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(torch.as_tensor(quartiles), torch.tensor([0.25, 0.5, 0.75]), atol=0.05, rtol=0)
