"""The bundle with augmentation on the device: the same ranges, exact resume, and workers that may outlive an epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image

from qfae_monai.networks.grey import MEAN, STD
from qfae_monai.transforms import LoadGreyImage
from tests.bundles.conftest import RESUMABLE, config, run_bundle, same, weights

PHANTOMS = ("train", "device_augmentation")
RANGES = {"crop_area": [0.8, 0.9], "crop_aspect": [0.7, 1.4], "max_angle": 7.0, "flip_prob": 0.3, "jitter": 0.2}


def parsed(*names: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(config(*names))
    parser.update({**RANGES, "preset": "tiny"})
    return parser


def test_ranges_are_those_of_the_transforms_on_the_cpu() -> None:
    geometry, jitter, normalize = parsed("train").get_parsed_content("augment").transforms
    batch, normalize_batch = parsed(*PHANTOMS).get_parsed_content("augment_batch").transforms
    for name in ("area", "aspect", "max_angle", "flip_prob"):
        assert getattr(batch.geometry, name) == getattr(geometry.draw, name)
    assert batch.geometry.resample.size == geometry.draw.resample.size == 64
    assert batch.jitter.ranges == jitter.jitter.ranges == (0.2, 0.2)
    assert (normalize_batch.subtrahend, normalize_batch.divisor) == (MEAN, STD)
    image = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(normalize_batch(image)[1], torch.Tensor(normalize({"image": image[1]})["image"]))


@pytest.mark.cpu
@pytest.mark.parametrize("num_workers", [0, 1])
def test_resumed_run_repeats_uninterrupted_one(num_workers: int, cohort: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "dataset_dir": cohort,
        "max_epochs": 2,
        "val_interval": 1,
        "max_angle": 8.0,
        "num_workers": num_workers,
    }
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    run_bundle(*PHANTOMS, **settings, model_dir=straight, **RESUMABLE)
    (first_epoch,) = (straight / "training").glob(
        "resume*epoch=1.pt"
    )  # the second epoch of "straight" has its workers of the first
    run_bundle(*PHANTOMS, **settings, model_dir=resumed, resume=first_epoch)
    assert same(weights(straight), weights(resumed))


@pytest.mark.parametrize("overlays", [[], ["device_augmentation"]])
def test_image_folders_are_decoded_once(overlays: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split, count in (("train", 4), ("valid", 1)):
        (tmp_path / split / "good").mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 200, (70 + number, 64)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / split / "good" / f"{number}.png")
    read: list[str] = []
    load = LoadGreyImage.__call__

    def count_reads(loader: LoadGreyImage, path: str) -> torch.Tensor:
        read.append(str(path))
        return load(loader, path)

    monkeypatch.setattr(LoadGreyImage, "__call__", count_reads)
    run_bundle(
        "train",
        "datasets/bmad",
        *overlays,
        dataset_dir=tmp_path,
        model_dir=tmp_path / "model",
        batch_size=2,
        max_epochs=3,
        val_interval=9,
        check_data=None,
    )
    # once for near-duplicates, once for three epochs, and when they are over once for the mean training image, and once
    # for the fingerprint
    assert len([path for path in read if "train" in path]) == 4 * 4
