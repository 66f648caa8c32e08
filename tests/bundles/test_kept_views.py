"""The bundle trained from kept views: the same bytes again, after an interruption, from images and in two processes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from qfae_monai.networks import QFAE
from tests.bundles.conftest import RESUMABLE, TINY, run_bundle, same, weights
from tests.forked import in_two_processes

pytestmark = pytest.mark.cpu


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "views").rglob("*.safetensors")}


@pytest.fixture(scope="module")
def settings(cohort: Path) -> dict[str, Any]:
    return {"dataset_dir": cohort, "views": 3, "max_epochs": 2, "val_interval": 1, "max_angle": 8.0, "flip_prob": 0.5}


@pytest.fixture(scope="module")
def straight(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model that was trained from kept views without trouble, and of its store."""
    folder = tmp_path_factory.mktemp("straight")
    run_bundle(*TINY, **settings, model_dir=folder / "model", slice_store=folder / "store", **RESUMABLE)
    return folder


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_resumed_run_repeats_the_uninterrupted_one_and_draws_nothing(
    num_workers: int, straight: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFAE, "states", None)  # which drawing calls
    # nothing that workers do is random: they may outlive an epoch, but then the order is another
    common = {**settings, "slice_store": straight / "store", "num_workers": num_workers, "persistent_workers": True}
    first = straight / "model"
    if num_workers:
        first = tmp_path / "first"
        run_bundle(*TINY, **common, model_dir=first, **RESUMABLE)
    checkpoint = first / "training" / "resume_checkpoint_epoch=1.pt"
    run_bundle(*TINY, **common, model_dir=tmp_path / "resumed", resume=checkpoint)
    assert same(weights(first), weights(tmp_path / "resumed"))


def test_the_record_says_how_many_views_and_the_model_holds_no_place(straight: Path) -> None:
    record = json.loads((straight / "model" / "models" / "training.json").read_text())
    assert (record["views"], record["training_images"]) == (3, 4 * 18)
    assert str(straight) not in (straight / "model" / "configs" / "training.yaml").read_text()
    assert len(files(straight / "store")) == 3 * 3  # 72 slices in files of 32


def test_two_processes_draw_what_one_draws(straight: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    train = partial(run_bundle, *TINY, "distributed", run_id="training", **{**settings, "max_epochs": 1})
    in_two_processes(partial(train, model_dir=tmp_path / "model", slice_store=tmp_path / "store"), tmp_path / "logs")
    assert files(tmp_path / "store") == files(straight / "store")
    assert (tmp_path / "model" / "model.json").is_file()


@pytest.mark.parametrize("overlays", [[], ["device_augmentation"]])
def test_images_are_kept_as_volumes_are_whoever_augments_them(overlays: list[str], tmp_path: Path) -> None:
    for split, count in (("train", 4), ("valid", 1)):
        (tmp_path / split / "good").mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 200, (70 + number, 64)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / split / "good" / f"{number}.png")
    run_bundle(
        "train",
        "datasets/bmad",
        *overlays,
        dataset_dir=tmp_path,
        model_dir=tmp_path / "model",
        batch_size=2,
        max_epochs=2,
        check_data=None,
        corruption_std=0.2,
        accumulation_steps=2,
        views=2,
    )
    first, second = files(tmp_path / "model" / "training").values()
    assert first != second
    assert (tmp_path / "model" / "model.json").is_file()


def test_another_distance_is_refused_before_anything_is_written(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as error:
        run_bundle(
            *TINY,
            "experiments/ablation-loss-mse",
            dataset_dir=cohort,
            model_dir=tmp_path / "model",
            max_epochs=1,
            views=2,
        )
    assert "views: expected a QFAE and a distance of frozen features" in str(error.value.__cause__)
    assert not list(tmp_path.rglob("views"))
