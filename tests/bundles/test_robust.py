"""The bundle's options of robust reconstruction: off is what it was, on acts in training alone and resumes exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

from tests.bundles.conftest import RESUMABLE, TINY, config, run_bundle, same, weights

OPTIONS = {
    "corruption_std": 0.2,
    "changes::foreground_weight": 4.0,
    "changes::query_dropout": 0.2,
    "changes::token_dropout": 0.5,
}


def parsed(*overlays: str, **settings: Any) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(config(*TINY, *overlays))
    parser.update({"preset": "tiny", **settings})
    return parser


def train(folder: Path, cohort: Path, *overlays: str, **settings: Any) -> dict[str, torch.Tensor]:
    run_bundle(
        *TINY, *overlays, dataset_dir=cohort, model_dir=folder, **{"max_epochs": 1, "val_interval": 1, **settings}
    )
    return weights(folder)


def test_options_are_off_by_default() -> None:
    parser = parsed()
    network, loss = parser.get_parsed_content("network_def"), parser.get_parsed_content("loss_def")
    images = torch.rand(2, 1, 64, 64)
    prepared, target = parser.get_parsed_content("train::trainer::prepare_batch")({"image": images}, device="cpu")
    assert prepared is target
    assert (network.token_dropout, network.qformer.query_dropout, loss.foreground_weight) == (0, 0, 1)


@pytest.fixture(scope="module")
def plain(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What a training without options ends in."""
    return train(tmp_path_factory.mktemp("plain"), cohort)


@pytest.mark.parametrize("option", OPTIONS)
def test_each_option_changes_training_and_not_evaluation(
    option: str, plain: dict[str, torch.Tensor], cohort: Path, tmp_path: Path
) -> None:
    robust = train(tmp_path / "robust", cohort, **{option: OPTIONS[option]})
    assert any(not torch.equal(robust[key], plain[key]) for key in plain)
    image = torch.rand(2, 1, 64, 64)
    maps = []
    for settings in ({}, {option: OPTIONS[option]}):
        parser = parsed("evaluate", model_dir=str(tmp_path / "robust"), **settings)
        network = parser.get_parsed_content("network_def")
        network.load_state_dict(robust)
        with torch.no_grad():
            maps.append(parser.get_parsed_content("scorer")(image, network.eval()(image)).anomaly_map)
    assert torch.equal(*maps)


@pytest.mark.parametrize("overlays", [[], ["device_augmentation"]])
def test_resumed_run_repeats_uninterrupted_one(overlays: list[str], cohort: Path, tmp_path: Path) -> None:
    straight = train(tmp_path / "straight", cohort, *overlays, **OPTIONS, **RESUMABLE, max_epochs=2)
    (first_epoch,) = (tmp_path / "straight" / "training").glob("resume*epoch=1.pt")
    resumed = train(tmp_path / "resumed", cohort, *overlays, **OPTIONS, max_epochs=2, resume=str(first_epoch))
    assert same(resumed, straight)


@pytest.mark.parametrize("overlays", [[], ["device_augmentation"]])
def test_the_network_sees_noise_and_the_target_has_none(overlays: list[str]) -> None:
    parser = parsed(*overlays, corruption_std=0.2)
    image, target = parser.get_parsed_content("train::trainer::prepare_batch")(
        {"image": torch.full((2, 1, 64, 64), 0.5)}, device="cpu"
    )
    assert not torch.equal(image, target)
    assert len(target[0].unique()) == 1
    held_out, clean = parser.get_parsed_content("validate::evaluator::prepare_batch")({"image": target}, device="cpu")
    assert held_out is clean
