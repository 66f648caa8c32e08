"""A checkpoint that scores: slices and thresholds of its calibration, another preset told apart, maps on the grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from qfae_monai.data import read_series
from qfae_monai.predict.model import Model


@pytest.fixture(scope="module")
def model(bundle: Path, checkpoint: Path) -> Model:
    return Model(bundle, checkpoint=checkpoint, preset="tiny")


def _tensor(path: Path) -> MetaTensor:
    series = read_series(path)
    pixels = torch.as_tensor(series.array.astype(np.float32))[None]
    return MetaTensor(pixels, affine=torch.as_tensor(series.affine))


def test_maps_lie_on_the_inputs_grid_and_are_cut_at_the_threshold(model: Model, scans: Path) -> None:
    image = _tensor(next(iter((scans / "image").glob("test-*"))))
    seen: list[tuple[int, int]] = []
    found = model(image, lambda done, total: seen.append((done, total)))
    assert found.anomaly_map.shape == tuple(image.shape[1:])
    assert found.mask is not None
    assert model.pixel_threshold is not None
    np.testing.assert_array_equal(found.mask, found.anomaly_map > model.pixel_threshold)
    assert seen[-1] == (18, image.shape[3])  # slices 3 to 20
    assert np.flatnonzero(~np.isnan(found.slice_scores)).tolist() == list(range(3, 21))
    assert found.outside == image.shape[3] - 18


def test_a_flipped_scan_gives_the_flipped_map(model: Model, scans: Path) -> None:
    image = _tensor(next(iter((scans / "image").glob("test-*"))))
    turned = torch.flip(image.as_tensor(), (1,))
    affine = image.affine.clone()
    affine[:, 3] += affine[:, 0] * (image.shape[1] - 1)
    affine[:, 0] *= -1
    found, other = model(image), model(MetaTensor(turned, affine=affine))
    np.testing.assert_allclose(found.anomaly_map, other.anomaly_map[::-1], atol=1e-5)
    assert found.score == pytest.approx(other.score, abs=1e-5)


def test_settings_come_from_the_calibration(model: Model, checkpoint: Path) -> None:
    calibrated = json.loads((checkpoint.parent / "calibration.json").read_text())["settings"]
    assert calibrated["slice_range"] == [3, 20]
    assert {key: model.settings[key] for key in calibrated} == calibrated


def test_without_calibration_there_is_a_map_and_no_mask(
    bundle: Path, checkpoint: Path, scans: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "model.pt"
    alone.write_bytes(checkpoint.read_bytes())
    found = Model(bundle, checkpoint=alone, preset="tiny")(_tensor(next(iter((scans / "image").glob("test-*")))))
    assert found.mask is None
    assert found.anomaly_map.max() > 0


def test_another_preset_is_told_from_missing_weights(bundle: Path, checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="was it trained with another preset than 'small'"):
        Model(bundle, checkpoint=checkpoint, preset="small")
    with pytest.raises(FileNotFoundError, match=r"presets/huge\.json"):
        Model(bundle, checkpoint=checkpoint, preset="huge")


def test_a_single_image_keeps_its_size(bundle: Path, checkpoint: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 70), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = Model(bundle, checkpoint=checkpoint, preset="tiny", images=True)(tmp_path / "a.png")
    assert found.anomaly_map.shape == (50, 70)
    assert found.slice_scores.shape == (1,)
