"""Both pretrainings as a user runs them: weights that both frozen networks load, exact resumption, what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from qfae_monai.anomaly import PerceptualLoss
from qfae_monai.networks import FrozenViT
from qfae_monai.pretraining import CollapseError, NothingLearnedError, read_card
from qfae_monai.weights import create_vit
from tests.bundles.conftest import BUNDLE, RESUMABLE, config, run_bundle, weights
from tests.forked import in_two_processes

METHODS = ("mae", "dino")
SMALL: dict[str, Any] = {
    "batch_size": 8,
    "depth": 1,
    "width": 32,
    "heads": 2,
    "image_size": 32,
    "num_local": 1,
    "local_size": 16,
    "prototypes": 32,
    "head_width": 32,
    "head_bottleneck": 16,
    "decoder_dim": 32,
    "decoder_depth": 1,
    "slice_range": [8, 15],
    "feature_blocks": [-1],
    "mae_images": 60,
    "dino_images": 60,
    "checks": 2,
    "held_out_images": 8,
    "reference_images": 16,
    "least_gain": "$None",  # so short a run need not beat random weights
}


def names(method: str, dataset: str = "phantoms") -> tuple[str, ...]:
    if method == "dino":
        pytest.importorskip("lightly", reason="the extra pretraining is not installed")
    return "train", "pretrain", f"pretrain_{method}", f"datasets/{dataset}", "presets/pretrain_tiny"


def pretrain(method: str, data: Path, folder: Path, *, dataset: str = "phantoms", **settings: Any) -> None:
    run_bundle(
        *names(method, dataset),
        run_id=f"pretraining_{method}",
        preset=None,
        dataset_dir=data,
        ckpt_dir=folder,
        **{**SMALL, **settings},
    )


def cause(error: pytest.ExceptionInfo[RuntimeError]) -> BaseException:
    """What MONAI wraps."""
    found: BaseException = error.value
    while found.__cause__ is not None:
        found = found.__cause__
    return found


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums of several threads round differently from run to run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=METHODS)
def pretrained(request: pytest.FixtureRequest, cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder, named after the method, of a complete run of two epochs."""
    folder = tmp_path_factory.mktemp("pretrained") / request.param
    pretrain(request.param, cohort, folder, **RESUMABLE)
    return folder


def test_the_weights_fill_encoder_and_perceptual_network(pretrained: Path) -> None:
    path = pretrained / f"{pretrained.name}.safetensors"
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["create_vit"]["image_size"] == 32
    trunk = create_vit(**card["create_vit"], weights=path)
    image = torch.rand(2, 1, 32, 32)
    assert FrozenViT(trunk, blocks=(-1,))(image).shape == (2, 17, 32)
    loss = PerceptualLoss(trunk, blocks=(0,), patch_sizes=(8, 16))
    assert loss(image, image).item() == pytest.approx(0, abs=1e-5)
    assert loss(image.flip(3), image).item() > 1e-4


def test_the_method_trains_and_is_judged_with_both(pretrained: Path, cohort: Path, tmp_path: Path) -> None:
    own = str(pretrained / f"{pretrained.name}.safetensors")
    order = ("train", "own_weights", "datasets/phantoms")
    settings: dict[str, Any] = {
        "own_encoder": own,
        "own_perceptual": own,
        "model_dir": tmp_path / "model",
        "dataset_dir": cohort,
        "slice_range": [8, 15],
        "changes::image_size": 32,
    }
    run_bundle(*order, max_epochs=1, **settings)
    state = weights(tmp_path / "model")
    trunk = create_vit(**json.loads(Path(own).with_suffix(".json").read_text())["create_vit"], weights=own).state_dict()
    assert all(torch.equal(state[f"encoders.0.trunk.{key}"], value) for key, value in trunk.items())
    run_bundle(*order, "evaluate", "calibrate", run_id="calibrating", **settings)
    made_with = json.loads((tmp_path / "model" / "calibration.json").read_text())["settings"]
    assert (made_with["model::score_blocks"], made_with["model::metric"]) == ([0], "cosine")
    assert made_with["model::perceptual::embed_dim"] == SMALL["width"]
    run_bundle(*order, "evaluate", run_id="evaluating", output_dir=tmp_path / "evaluation", **settings)
    assert json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())["counts"]["cases"] == 4


def test_the_card_says_what_it_is_and_stands_in_the_file_too(pretrained: Path) -> None:
    path = pretrained / f"{pretrained.name}.safetensors"
    card, inside = json.loads(path.with_suffix(".json").read_text()), read_card(path)
    assert inside == {key: value for key, value in card.items() if key not in ("file", "sha256")}
    assert card["method"] == pretrained.name
    assert card["data"]["images"] == 32
    assert card["data"]["sizes"] == {"64 x 64": 32}
    assert card["epochs"] == {"done": 2, "planned": 2}
    assert card["settings"]["seed"] == 42
    assert card["last"]["neighbour_score"] > 0
    judged = card["judgement"]
    assert judged["least_gain"] is None
    assert judged["lesions"] > 200
    assert all(0 < judged[name] < 1 for name in ("auroc", "untrained_twin"))
    assert judged["summary"] in (pretrained / "report.html").read_text()


def test_curves_and_log_hold_losses_and_figures(pretrained: Path) -> None:
    rows = list(csv.DictReader((pretrained / "curves.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    score = {"mae": "val_loss", "dino": "shared_information"}[pretrained.name]
    assert {"train_loss", score, "neighbour_score", "spread_over_images", "spread_over_patches"} <= set(rows[0])
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    tags = EventAccumulator(str(pretrained / "logs")).Reload().Tags()["scalars"]
    assert {"train_loss", score, "neighbour_score"} <= set(tags)


def test_training_images_are_flagged_for_review(pretrained: Path) -> None:
    rows = list(csv.DictReader((pretrained / "flagged.csv").open()))
    assert len(rows) == 20
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert {row["case"] for row in rows} <= {f"training-00{number}" for number in range(4)}


def test_a_resumed_run_repeats_an_uninterrupted_one(pretrained: Path, cohort: Path, tmp_path: Path) -> None:
    (first_epoch,) = pretrained.glob("resume*epoch=1.pt")
    pretrain(pretrained.name, cohort, tmp_path, resume=first_epoch)
    straight, resumed = (torch.load(folder / "whole.pt", weights_only=True) for folder in (pretrained, tmp_path))
    for part in ("model", "loss"):
        assert straight[part].keys() == resumed[part].keys()
        assert all(torch.equal(value, resumed[part][key]) for key, value in straight[part].items())
    assert straight["curves"] == resumed["curves"]
    assert straight["early_stop"] == resumed["early_stop"]
    assert (pretrained / "curves.csv").read_text() == (tmp_path / "curves.csv").read_text()


def test_given_weights_are_gone_on_with(pretrained: Path, cohort: Path, tmp_path: Path) -> None:
    path = pretrained / f"{pretrained.name}.safetensors"
    pretrain("mae", cohort, tmp_path, initial_weights=path, max_epochs=1, learning_rate=1e-9)
    before, after = (
        create_vit(**json.loads(one.with_suffix(".json").read_text())["create_vit"], weights=one)
        for one in (path, tmp_path / "mae.safetensors")
    )
    for key, value in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[key], value, atol=1e-6, rtol=0)
    card = json.loads((tmp_path / "mae.json").read_text())
    assert card["started_from"]["file"] == path.name


def test_a_run_without_progress_stops_early_and_is_complete(cohort: Path, tmp_path: Path) -> None:
    pretrain("mae", cohort, tmp_path, learning_rate=0.0, max_epochs=9, checks=9, patience=1)
    card = json.loads((tmp_path / "mae.json").read_text())
    assert card["epochs"] == {"done": 2, "planned": 9}


@pytest.mark.parametrize("method", METHODS)
def test_a_collapsed_network_stops_the_run_and_writes_nothing(method: str, cohort: Path, tmp_path: Path) -> None:
    key = {"mae": "network_def::trunk", "dino": "network_def::student"}[method]
    blind: dict[str, Any] = {key: {"_target_": "tests.bundles.blind_trunk.blind", "trunk": "@trunk"}}
    with pytest.raises(RuntimeError) as error:
        pretrain(method, cohort, tmp_path, max_epochs=3, checks=3, **blind)
    assert isinstance(cause(error), CollapseError)
    assert "expected spread_over_images of at least" in str(cause(error))
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("method", METHODS)
def test_a_network_no_better_than_its_twin_stops_the_run_and_writes_nothing(
    method: str, cohort: Path, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError) as error:
        pretrain(method, cohort, tmp_path, max_epochs=1, least_gain=0.9)
    assert isinstance(cause(error), NothingLearnedError)
    assert "these weights would be no better than random ones" in str(cause(error))
    assert not list(tmp_path.glob("*.safetensors"))
    assert not (tmp_path / f"{method}.json").exists()


def test_fewer_images_than_a_batch_are_refused(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as error:
        pretrain("mae", cohort, tmp_path, batch_size=64)
    assert "expected at least one batch of 64 images to train on, got 32" in str(cause(error))


def write_images(folder: Path, *, constant: bool = False) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("valid", 2)):
        for number in range(count):
            pixels = rng.integers(20, 200, (70, 80 + 20 * (number % 2))).astype(np.uint8)
            path = folder / split / "good" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels * 0 + 7 if constant and number == 3 else pixels).save(path)


@pytest.mark.parametrize("method", METHODS)
def test_images_of_several_sizes_are_trained_on_with_a_warning(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "data")
    pretrain(method, tmp_path / "data", tmp_path / "out", dataset="bmad", batch_size=2, max_epochs=1)
    assert "got 2 of 70 x 80, 2 of 70 x 100 pixels: each is stretched" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / f"{method}.json").read_text())["data"]["images"] == 4
    assert len(list(csv.DictReader((tmp_path / "out" / "flagged.csv").open()))) == 4


def test_a_constant_image_is_refused_by_name(tmp_path: Path) -> None:
    write_images(tmp_path / "data", constant=True)
    with pytest.raises(RuntimeError) as error:
        pretrain("mae", tmp_path / "data", tmp_path / "out", dataset="bmad", batch_size=2, max_epochs=1)
    assert "3.png: expected an image, got 7 in every pixel" in str(cause(error))


@pytest.mark.parametrize(("preset", "width", "depth"), [("small", 384, 12), ("base", 768, 12)])
@pytest.mark.parametrize("method", METHODS)
def test_larger_sizes_are_those_of_their_names(method: str, preset: str, width: int, depth: int, cohort: Path) -> None:
    parser = ConfigParser()
    order = ("train", "pretrain", f"pretrain_{method}", f"presets/pretrain_{preset}", "datasets/phantoms")
    parser.read_config(config(*order))
    parser.update({"bundle_root": str(BUNDLE), "dataset_dir": str(cohort)})
    trunk = parser.get_parsed_content("network_def").trunk
    assert (trunk.embed_dim, len(trunk.blocks), trunk.patch_embed.img_size) == (width, depth, (224, 224))


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_train_one_network(method: str, cohort: Path, tmp_path: Path) -> None:
    order = (*names(method), "distributed")
    settings = {**SMALL, "batch_size": 4, "dataset_dir": cohort, "ckpt_dir": tmp_path}
    in_two_processes(
        partial(run_bundle, *order, run_id=f"pretraining_{method}", preset=None, **settings), tmp_path / "printed"
    )
    card = json.loads((tmp_path / f"{method}.json").read_text())
    assert card["settings"]["processes"] == 2
    assert card["epochs"]["done"] == 2
    assert len(list(csv.DictReader((tmp_path / "curves.csv").open()))) == 2
