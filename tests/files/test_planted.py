"""No file's value, key, cell or metadata field is evaluated, wherever an expression is planted: point by point."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from qfae_monai.anomaly import Calibration
from qfae_monai.anomaly.detector import GraphRecord
from qfae_monai.data import volume_datalist
from qfae_monai.data.slice_store import StoredSlices
from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.inspection import inspect_file
from qfae_monai.evaluation.merging import across_seeds
from qfae_monai.evaluation.prediction_page import write_prediction_page
from qfae_monai.evaluation.pretraining_report import write_pretraining_page
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.evaluation.sprites import Picture
from qfae_monai.experiments.frozen import parse_network
from qfae_monai.experiments.rows import read_row
from qfae_monai.experiments.seed_run import read_json, read_scores
from qfae_monai.files.configurations import check_trusted
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.fingerprint import ScanFingerprint
from qfae_monai.model.folder import CALIBRATION, MANIFEST, NETWORK, ModelFolder, seal_again
from qfae_monai.model.scan_features import ScanFeatures
from qfae_monai.predict.model import load_model
from qfae_monai.predict.result import read_scores as read_study
from qfae_monai.pretraining import own_networks
from qfae_monai.recipes.records import begin, read_record, write_record
from qfae_monai.viewer.output_folder import OutputFolder
from tests.evaluation.run_folder_factory import make_run_folder
from tests.evaluation.test_pretraining_report import _folder as pretraining_folder
from tests.experiments.own_weights import write_own
from tests.files.planting import MARK, Entrance, plant
from tests.model.export.checkpoints import make_model

SETTINGS = {
    "image_size": 64,
    "perceptual_network": "vit_tiny_patch16_224",
    "score_blocks": [0],
    "score_patch_sizes": [8, 16],
    "score_consensus": "product",
    "metric": "l2",
    "score_over_pixels": "max",
    "score_over_layers": "mean",
    "map_over_layers": "mean",
    "volume_score_over_slices": "max",
    "volume_score_k": 3,
    "slice_axis": 2,
    "slice_range": [0, 9],
    "min_foreground": 0.01,
}
SCORES = {
    "study": "a",
    "kind": "NIfTI",
    "input_sha256": "0",
    "score": 1.5,
    "p_value": 0.1,
    "threshold": None,
    "pixel_threshold": 0.5,
    "above_threshold": False,
    "risks": ["noted"],
    "warnings": ["another"],
    "notice": "Research use only",
    "slices": [{"slice": 1, "score": 1.5, "p_value": None}],
    "skipped": {"empty": 0, "outside": 1},
    "settings": SETTINGS,
    "model": {"preset": "tiny"},
}
SUMMARY = {
    "version": 1,
    "model": {"checkpoint_sha256": "0" * 64, "preset": "tiny", "version": "1"},
    "settings": {"false_positive_rate": 0.05},
    "counts": {"done": 1, "kept": 0, "failed": 1},
    "studies": [{"study": "a", "status": "done", "reason": ""}, {"study": "b", "status": "failed", "reason": "no"}],
}


def _resealed(model: Path) -> None:
    """Open a model whose writer wants to be believed: hashes are those of the files."""
    seal_again(model)
    load_model(model)


def of_model(name: str) -> Callable[[Path], Entrance]:
    def made(folder: Path) -> Entrance:
        model, scores = make_model(folder / "model", {}), np.array([1.0, 2.0])
        opened = ModelFolder.open(model)
        settings, sha256 = opened.content["signature"], opened.files[NETWORK]
        Calibration(scores, scores, scores, np.array([9, 1]), 2, sha256, settings).save(model / CALIBRATION)
        seal_again(model)
        use = partial(load_model, model) if name == MANIFEST else partial(_resealed, model)
        return Entrance(model / name, use)

    return made


def _build(weights: Path) -> None:
    """As `qfae encoders compare` does: the numbers that a card makes are parsed, and the network built."""
    overlay = parse_network(f"own={weights}", "encoder").settings("fold")
    Bundle(["train"], {"preset": "tiny", **overlay}).part("network_def")


def card_beside(folder: Path) -> Entrance:
    weights = write_own(folder / "own.safetensors", seed=1)
    return Entrance(weights.with_suffix(".json"), lambda: _build(weights))


def card_inside(folder: Path) -> Entrance:
    weights = write_own(folder / "own.safetensors", seed=1, inside=True)

    def use() -> None:
        own_networks(weights, weights)
        _build(weights)

    return Entrance(weights, use)


def graph_record(folder: Path) -> Entrance:
    path = folder / "record.json"
    path.write_text(GraphRecord("detector", 64, "0" * 64, "1", SETTINGS).to_json())
    return Entrance(path, lambda: GraphRecord.from_json(path.read_text()))


def run_folder(name: str) -> Callable[[Path], Entrance]:
    def made(folder: Path) -> Entrance:
        runs = [make_run_folder(folder / run, cases=2, model=place) for place, run in enumerate("ab")]
        for run in runs:
            summarise(run)

        def use() -> None:
            found = RunFolder(runs[0])
            for part in ("run", "volumes", "slices", "lesions", "pixels"):
                getattr(found, part)
            across_seeds(runs)

        return Entrance(runs[0] / name, use)

    return made


def prediction(name: str) -> Callable[[Path], Entrance]:
    def made(folder: Path) -> Entrance:
        (folder / "a").mkdir()
        for file in ("overlay.png", "image.nii.gz", "anomaly_map.nii.gz"):
            (folder / "a" / file).write_bytes(b"picture")
        (folder / "a" / "scores.json").write_text(json.dumps(SCORES))
        (folder / "summary.json").write_text(json.dumps(SUMMARY))

        def use() -> None:
            read_study(folder / "a")
            OutputFolder(folder).listing()
            write_prediction_page(folder)

        return Entrance(folder / name, use)

    return made


def pretraining(name: str) -> Callable[[Path], Entrance]:
    def made(folder: Path) -> Entrance:
        pretraining_folder(folder)
        if name != "curves.csv":
            (folder / "curves.csv").write_text("epoch\n1\n")  # no curve to draw: that alone takes time
        return Entrance(folder / name, lambda: write_pretraining_page(folder, folder / "mae.safetensors"))

    return made


def sprite(folder: Path) -> Entrance:
    path = folder / "case.json"
    path.write_text(json.dumps({"slices": [1], "scores": [0.5], "tile": 8, "rows": ["input"], "map_limit": 1.0}))
    return Entrance(path, lambda: Picture.of(folder, "case"))


def marker(folder: Path) -> Entrance:
    path = folder / "evaluated.json"
    path.write_text(json.dumps({"seed": 1, "images": 2, "image_auroc": 50.0}))
    return Entrance(path, lambda: read_json(path))


def score_table(folder: Path) -> Entrance:
    path = folder / "slices.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("case", "slice", "label", "score"), ("a", 1, 0, 0.5), ("b", 1, 1, 0.7)])
    return Entrance(path, lambda: read_scores(path))


def experiment_row(folder: Path) -> Entrance:
    path = folder / "row.json"
    row = {"table": ["5"], "row": "a", "dataset": "rsna", "trained_by": "b"}
    path.write_text(json.dumps({"_row_": row, "changes::metric": "l1"}))
    return Entrance(path, lambda: read_row(path))


def overlay(folder: Path) -> Entrance:
    path = folder / "overlay.json"
    path.write_text(json.dumps({"max_epochs": 64, "changes::score_blocks": [1, 2], "changes::metric": "l1"}))
    return Entrance(path, lambda: check_trusted([path], trusted=False))


def slice_store(folder: Path) -> Entrance:
    path = folder / "stored.safetensors"
    places = {"slice_index": torch.zeros(1, dtype=torch.int64), "position": torch.zeros(1)}
    tensors = {"image": torch.zeros(1, 2, 2), **places}
    save_file(tensors, path, metadata={"skipped": json.dumps({"empty": 1})})
    return Entrance(path, lambda: StoredSlices.open(path))


def prepared(name: str) -> Callable[[Path], Entrance]:
    def made(folder: Path) -> Entrance:
        begin(folder / "out", {"seed": 1, "format": "png8"})
        write_record(folder / "out", {"patient": "p1", "series": "s1", "sha256": "0", "sizes": {}, "rows": [1]})

        def use() -> None:
            begin(folder / "out", {"seed": 1, "format": "png8"})
            read_record(folder / "out", "p1", "s1", {"sha256": "0"})

        return Entrance(folder / "out" / ".records" / name, use)

    return made


def fingerprint_of_scans(folder: Path) -> Entrance:
    path = folder / "fingerprint.json"
    scan = ScanFeatures("volume", "MR", (1.0, 1.0, 4.0), (64, 64, 24), "axial", 24, (1.0, 900.0))
    ScanFingerprint.of([scan], patients=1).save(path)
    return Entrance(path, lambda: ScanFingerprint.read(path).outside(scan))


def data_list(folder: Path) -> Entrance:
    (folder / "a.nii").touch()
    path = folder / "dataset.json"
    path.write_text(json.dumps({"test": [{"image": "a.nii", "case": "a", "patient": "p", "image_label": 0}]}))
    return Entrance(path, lambda: volume_datalist(path, "test"))


ENTRANCES: dict[str, Callable[[Path], Entrance]] = {
    **{name: of_model(name) for name in (CALIBRATION, MANIFEST)},
    "model card beside its weights": card_beside,
    "model card inside its weights": card_inside,
    "record of an exported graph": graph_record,
    **{name: run_folder(name) for name in ("run.json", "evaluation.json", "slices.csv", "volumes.csv", "lesions.csv")},
    **{name: prediction(name) for name in ("summary.json", "a/scores.json")},
    **{f"pretraining {name}": pretraining(name) for name in ("mae.json", "curves.csv", "flagged.csv")},
    "picture of a case": sprite,
    "evaluated.json": marker,
    "scores of an experiment": score_table,
    "row of a table": experiment_row,
    "overlay": overlay,
    "stored slices": slice_store,
    **{f"preparation {name}": prepared(name) for name in ("settings.json", "p1_s1.json")},
    "fingerprint.json": fingerprint_of_scans,
    "data list": data_list,
}


@pytest.mark.parametrize("name", ENTRANCES)
def test_nothing_planted_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is planted is refused in one sentence, or is text that harms nothing."""
    monkeypatch.chdir(tmp_path)
    entrance = ENTRANCES[name](tmp_path)
    entrance.use()
    places = 0
    for where in plant(entrance):
        places += 1
        _refused_in_a_sentence(entrance.use, f"{name}: {where}")
        assert list(inspect_file(entrance.path))
        assert not Path(MARK).exists(), where
    assert places >= 4


def _refused_in_a_sentence(use: Callable[[], Any], where: str) -> None:
    said = "harmless"
    try:
        use()
    except (ValueError, OSError) as error:
        said = str(error)
    except Exception as error:
        raise AssertionError(f"{where}: {error!r} ends a command with a traceback") from error
    assert len(said) < 1000, where
    assert "\n" not in said, where
