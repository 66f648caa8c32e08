"""Every configuration on a pretended accelerator: nothing stays on the host, and no step has the host wait."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser
from torch import Tensor

from qfae_monai.experiments.rows import find_row
from qfae_monai.experiments.sizes import row_settings
from tests.bundles.conftest import CONFIGS, config
from tests.experiments.own_weights import write_own
from tests.pretended_device import DEVICE, PretendedDevice, pretended_device

EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiments").glob("*.yaml"))
DATASETS = sorted(path.stem for path in (CONFIGS / "datasets").glob("*.yaml"))
OTHERS = {"calibrate", "device_augmentation", "evaluate", "images", "inference", "own_weights", "pretrain", "train"}
OTHERS |= {"pretrain_dino", "pretrain_mae"}
PROCESSES = {"distributed"}  # several, each with a device of its own: not pretended here
NEEDED = {"brats2015_equalised": ["brats2015"], "image_list": ["bmad"]}
"""Data sets that an overlay of `datasets/` comes after."""
STEPS = 2
BATCH = 2
IMAGES = "$[{'image': torch.rand(1, @model['image_size'], @model['image_size'])}] * 8"
FROM_MEMORY = {"_target_": "monai.data.Dataset", "data": IMAGES}
TRAINING = {
    "batch_size": BATCH,
    "max_epochs": 2,
    "changes::dim": 48,
    "optimizer::fused": False,  # which no meta tensor has
    "train::dataset": FROM_MEMORY,
    "validate::dataset": FROM_MEMORY,
    "reference_dataset": {**FROM_MEMORY, "_mode_": "callable"},
}


def parsed(folder: Path, *overlays: str, base: str = "train", **settings: Any) -> ConfigParser:
    """A configuration on the device, its slices in memory."""
    parser = ConfigParser()
    parser.read_config(config(base, *overlays))
    parser.update(
        {
            "preset": "tiny",
            "device": DEVICE,
            "weights_dir": "checkpoint",  # values that come later: none is looked at
            "model_dir": str(folder),
            "bundle_root": str(folder),
            "dataset_dir": str(folder),
            "slice_axis": 2,
            "num_workers": 0,
            **({} if base == "inference" else TRAINING),
            **settings,
        }
    )
    return parser


def train(parser: ConfigParser, device: PretendedDevice) -> list[str]:
    """What two steps wait for."""
    trainer, waits = parser.get_parsed_content("train::trainer"), []
    parser.get_parsed_content("training_guard").attach(trainer)
    trainer.add_event_handler(Events.ITERATION_STARTED, device.waits.clear)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: waits.extend(device.waits))
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=STEPS), trainer.terminate)
    trainer.run()
    assert trainer.state.iteration == STEPS
    return waits


def score(parser: ConfigParser, device: PretendedDevice, inferer: str = "validate::inferer") -> None:
    """Maps and scores of a batch by the method and its rivals; the one wait is for whether scores are finite."""
    images = torch.rand(BATCH, 1, *[parser.get_parsed_content("model")["image_size"]] * 2).to("meta")
    network = parser.get_parsed_content("network").eval()
    device.waits.clear()
    found = parser.get_parsed_content(inferer)(images, network)
    assert [key for key in found if key.endswith(("map", "score", "scores")) and not found[key].is_meta] == []
    assert len(device.waits) == 1


def test_no_configuration_is_left_out() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == OTHERS | PROCESSES
    assert {path.name for path in CONFIGS.iterdir() if path.is_dir()} == {"datasets", "experiments", "presets"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment(name: str, tmp_path: Path) -> None:
    own = row_settings(find_row(name), "tiny")
    with pretended_device() as device:
        assert train(parsed(tmp_path, f"experiments/{name}", **own), device) == []
        score(parsed(tmp_path, f"experiments/{name}", "evaluate", **own), device)


@pytest.mark.parametrize("name", DATASETS)
def test_dataset(name: str, tmp_path: Path) -> None:
    overlays = [f"datasets/{one}" for one in dict.fromkeys([*NEEDED.get(name, []), name])]
    with pretended_device() as device:
        assert train(parsed(tmp_path, *overlays), device) == []
        score(parsed(tmp_path, *overlays, "evaluate"), device)


@pytest.mark.parametrize(
    ("overlays", "settings"),
    [
        ([], {"checkpointing": "light"}),
        ([], {"checkpointing": "full"}),
        ([], {"accumulation_steps": 2, "batch_size": 2 * BATCH}),
        (["device_augmentation"], {}),
        (["experiments/robust-all", "device_augmentation"], {}),
    ],
    ids=["checkpointing-light", "checkpointing-full", "accumulation", "device_augmentation", "robust-on-device"],
)
def test_option(overlays: list[str], settings: dict[str, Any], tmp_path: Path) -> None:
    with pretended_device() as device:
        assert train(parsed(tmp_path, *overlays, **settings), device) == []


@pytest.mark.parametrize("overlays", [["evaluate"], ["evaluate", "calibrate"]], ids=["evaluate", "calibrate"])
def test_scoring(overlays: list[str], tmp_path: Path) -> None:
    with pretended_device() as device:
        score(parsed(tmp_path, *overlays), device)


@pytest.mark.parametrize("overlays", [[], ["images"]], ids=["inference", "images"])
def test_inference_and_the_detector_of_an_export(overlays: list[str], tmp_path: Path) -> None:
    parser = parsed(tmp_path, *overlays, base="inference")
    with pretended_device() as device:
        score(parser, device, "inferer")
        device.waits.clear()
        found = parser.get_parsed_content("detector_def")(torch.rand(BATCH, 1, 64, 64).to("meta"))
    assert [one.is_meta for one in found] == [True] * 3
    assert device.waits == []


# Other packages wait twice, and not here: lightly's loss of hidden patches, which counts them on the device, and
# MONAI's smoothing in front of smaller views, which reads its width there.
@pytest.mark.parametrize(("method", "settings"), [("mae", {}), ("dino", {"patch_weight": 0.0, "local_size": 64})])
def test_pretraining(method: str, settings: dict[str, Any], tmp_path: Path) -> None:
    overlays = ("pretrain", f"pretrain_{method}", "presets/pretrain_tiny")
    unread: dict[str, Any] = {"check_interval": 10, "export::data": {}}
    with pretended_device() as device:
        assert train(parsed(tmp_path, *overlays, **unread, **settings), device) == []


def test_own_weights(tmp_path: Path) -> None:
    files = {
        name: str(write_own(tmp_path / f"{name}.safetensors", seed=1, inside=True))
        for name in ("own_encoder", "own_perceptual")
    }
    with pretended_device() as device:
        assert train(parsed(tmp_path, "own_weights", **files), device) == []
        score(parsed(tmp_path, "own_weights", "evaluate", **files), device)


def test_a_rivals_own_network_follows_the_images(tmp_path: Path) -> None:
    trunk = {"_target_": "qfae_monai.model.create_frozen", "network": "$@model['encoder']", "image_size": 64}
    own: dict[str, Any] = {"rivals::neighbours::trunk": trunk}
    with pretended_device() as device:
        score(parsed(tmp_path, "evaluate", **own), device)


FAULTS: list[tuple[Callable[[Tensor], object], type[Exception] | None]] = [
    (lambda image: image + torch.ones(2, 2), RuntimeError),
    (lambda image: image @ torch.ones(2, 2), RuntimeError),
    (lambda image: torch.cat([image, torch.ones(2, 2)]), RuntimeError),
    (lambda image: image[image > 0], NotImplementedError),
    (lambda image: image.nonzero(), NotImplementedError),
    (lambda image: image.sum().item(), None),
    (lambda image: bool(image.any()), None),
    (lambda image: image.tolist(), None),
    (lambda image: image.cpu(), None),
    (lambda image: torch.ones(2, 2).copy_(image), None),
    (lambda image: image.masked_fill_(image > 0, 0).index_put_((image > 0,), torch.tensor(1.0)), None),
]


@pytest.mark.parametrize(("act", "error"), FAULTS)
def test_the_device_finds_what_stays_behind_and_what_waits(
    act: Callable[[Tensor], object], error: type[Exception] | None
) -> None:
    with pretended_device() as device:
        image = torch.ones(2, 2).to("meta") * torch.tensor(2.0)  # a single number of the host may mix
        assert device.waits == []
        if error is None:
            act(image)
            assert len(device.waits) == 1
        else:
            with pytest.raises(error):
                act(image)
