"""The driver over seeds, with the demo's small numbers: interrupted, resumed, refused; and a checkpoint evaluated."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from qfae_monai.experiments.driver import format_results, run_experiment, summarise
from qfae_monai.experiments.released import evaluate_released
from qfae_monai.experiments.rows import find_row
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import NETWORK
from qfae_monai.training import EpochSeed

SETTINGS: dict[str, Any] = {"max_epochs": 2, "val_interval": 1, "batch_size": 2, "num_workers": 0}
RELEASED = Path(__file__).parents[1] / "reference" / "data" / "caseA_model.safetensors"


def run_row(images: Path, output: Path, name: str = "qfae-brats2021", **changed: Any) -> dict[str, Any]:
    return run_experiment(find_row(name), images, output, seeds=(1, 2), preset="tiny", settings=SETTINGS | changed)


@pytest.fixture(scope="module")
def straight(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of an uninterrupted run."""
    output = tmp_path_factory.mktemp("straight")
    run_row(images, output)
    return output


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What was run since: (run id, seed)."""
    found: list[tuple[str, Any]] = []
    run = Bundle.run

    def count(bundle: Bundle, run_id: str) -> None:
        found.append((run_id, bundle.settings["seed"]))
        run(bundle, run_id, quiet=True)

    monkeypatch.setattr(Bundle, "run", count)
    return found


@pytest.mark.slow
def test_interrupted_run_goes_on_and_ends_in_the_same_numbers(
    images: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[tuple[str, Any]]
) -> None:
    begin = EpochSeed.__call__

    def fail(handler: EpochSeed, engine: Engine) -> None:
        if (handler.seed, engine.state.epoch) == (2, 2):
            raise RuntimeError("power cut")
        begin(handler, engine)

    with monkeypatch.context() as power:
        power.setattr(EpochSeed, "__call__", fail)
        with pytest.raises(RuntimeError):
            run_row(images, tmp_path)
    folder = tmp_path / "qfae-brats2021"
    assert not (folder / "seed-2" / "trained.json").exists()
    assert not (folder / "results.json").exists()

    results = run_row(images, tmp_path)
    assert runs == [("training", 1), ("evaluating", 1), ("training", 2), ("training", 2), ("evaluating", 2)]
    assert json.loads((folder / "seed-2" / "trained.json").read_text())["resumed"]
    assert results == json.loads((straight / "qfae-brats2021" / "results.json").read_text())
    for seed in ("seed-1", "seed-2"):
        found, wanted = (
            torch.load(place / "qfae-brats2021" / seed / "model" / NETWORK, weights_only=True)
            for place in (tmp_path, straight)
        )
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[key], wanted[key]) for key in found)
    assert run_row(images, tmp_path) == results
    assert len(runs) == 5  # nothing is done twice


def test_results_are_written_beside_the_published_figure(straight: Path) -> None:
    results = json.loads((straight / "qfae-brats2021" / "results.json").read_text())
    assert results["published"]["image_auroc"] == 94.3
    assert [entry["images"] for entry in results["seeds"]] == [2, 2]
    rows = list(csv.DictReader((straight / "qfae-brats2021" / "results.csv").open()))
    assert [row["seed"] for row in rows] == ["1", "2", "mean", "std"]
    assert not list((straight / "qfae-brats2021" / "seed-1" / "model").rglob("resume*"))


@pytest.mark.slow
def test_row_of_another_score_shares_the_training(images: Path, straight: Path, runs: list[tuple[str, Any]]) -> None:
    results = run_row(images, straight, "ablation-map-max")
    assert runs == [("evaluating", 1), ("evaluating", 2)]
    assert len(results["seeds"]) == 2


def test_other_settings_are_refused_by_name(images: Path, straight: Path) -> None:
    with pytest.raises(ValueError, match="max_epochs: started with 2, now 3"):
        run_row(images, straight, max_epochs=3)
    with pytest.raises(ValueError, match="different seeds"):
        run_experiment(find_row("qfae-resc"), images, straight, seeds=(1, 1))
    with pytest.raises(ValueError, match="got 'max_epoch'; there is 'max_epochs'"):
        run_experiment(find_row("qfae-resc"), images, straight, settings={"max_epoch": 3})
    with pytest.raises(ValueError, match="got 'max_epoch'; there is 'max_epochs'"):
        evaluate_released("resc", RELEASED, images, straight, settings={"max_epoch": 3})
    assert not (straight / "qfae-resc").exists()


def test_mean_and_standard_deviation() -> None:
    row = find_row("qfae-resc")
    values = [91.0, 92.0, 94.0]
    found = [{"seed": seed, "images": 10, "image_auroc": value} for seed, value in enumerate(values)]
    results = summarise(row, found, {"pixel.aupro": {"mean": 0.5, "std": 0.25, "values": [0.25, 0.75]}})
    assert results["mean"] == pytest.approx(277 / 3)
    assert results["std"] == pytest.approx(statistics.stdev(values))
    assert "92.33 ± 1.53   published: 91.8 ± 0.55" in format_results(results)
    assert "difference: +0.53 (-2.9" in format_results(results)
    assert "0.500 ± 0.250" in format_results(results)
    assert summarise(row, found[:1], {})["std"] is None


@pytest.mark.slow
def test_checkpoint_is_read_in_both_ways(images: Path, straight: Path, tmp_path: Path) -> None:
    model = straight / "qfae-brats2021" / "seed-1" / "model" / NETWORK
    readings = evaluate_released("brats2021", model, images, tmp_path, preset="tiny", settings=SETTINGS)
    trained = json.loads((straight / "qfae-brats2021" / "seed-1" / "evaluated.json").read_text())
    assert readings["every_image"] == {"images": 2, "image_auroc": trained["image_auroc"]}
    assert readings["released"]["images"] == 0  # two images are no batch of 64
    assert readings == json.loads((tmp_path / "readings.json").read_text())


def test_released_layout_is_converted(images: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"does not fit QFAE: encoders\.0\.trunk"):  # our names; the sizes are others
        evaluate_released("resc", RELEASED, images, tmp_path, preset="tiny", settings=SETTINGS)


def test_missing_checkpoint_and_unknown_data_set_are_refused(images: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"last_ckpt\.pth"):
        evaluate_released("resc", tmp_path / "last_ckpt.pth", images, tmp_path)
    with pytest.raises(ValueError, match="got 'retina'"):
        evaluate_released("retina", RELEASED, images, tmp_path)


def test_missing_weights_are_the_error_of_the_weights(images: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="qfae weights fetch vit_large_patch14_reg4_dinov2"):
        run_experiment(
            find_row("qfae-resc"),
            images,
            tmp_path,
            seeds=(1,),
            settings={"weights_dir": str(tmp_path), "batch_size": 2},
        )
