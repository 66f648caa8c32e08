"""The bundle with a network that decodes tokens, from training to a prediction in another folder, and as a graph."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import run

from qfae_monai.anomaly import OnnxDetector
from qfae_monai.model import score_fit
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.export import read_source, write_graph
from qfae_monai.model.folder import INFERENCE, NORMALS, ModelFolder
from qfae_monai.training.training_record import read_training
from tests.bundles.conftest import run_bundle
from tests.conftest import made_once

pytestmark = pytest.mark.cpu

ENCODER = {"name": "vit_tiny_patch16_224", "patch_size": 8, "depth": 2, "num_heads": 2, "embed_dim": 48, "seed": 1}
SIZES = {"image_size": 64, "encoder": ENCODER, "encoder_blocks": [0], "target_blocks": [[0], [1]], "queries": 4}
CHANGES = {**SIZES, "dim": 48, "decoder_heads": 2, "decoder_depth": 1}
SETTINGS: dict[str, Any] = {"preset": "dinov2_small", "changes": CHANGES, "score_fit::choose": True}


@pytest.fixture(scope="module")
def model(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder with thresholds."""

    def make(folder: Path) -> None:
        common: dict[str, Any] = {"dataset_dir": cohort, "model_dir": folder / "model"}
        with pytest.MonkeyPatch.context() as few:
            few.setattr(score_fit, "FEWEST_PATIENTS", 2)  # there are two held-out heads
            run_bundle("train", **SETTINGS, **common, max_epochs=2, views=2)
        overlays = (folder / "model" / "configs" / "training.yaml", "evaluate", "calibrate")
        run_bundle(*overlays, run_id="calibrating", preset=None, bundle_root=folder / "model", **common)

    return made_once(tmp_path_factory, "token-model", make) / "model"


def test_the_folder_holds_what_the_score_knows(model: Path) -> None:
    folder = ModelFolder.open(model)
    assert NORMALS in folder.files
    record = read_training(folder.checkpoint)
    assert record is not None
    chosen = record["score"]["settings"]
    written = Bundle([model / INFERENCE], {"bundle_root": str(model)}).plain("model")
    assert {name: written[name] for name in chosen} == chosen  # the model is scored as was chosen
    assert record["score"]["synthetic"]["lesions"] > 100
    assert not any(one["role"] == "perceptual" for one in folder.content["frozen"])
    card = (model / "docs" / "README.md").read_text()
    assert "synthetic lesions" in card


def test_a_changed_file_of_normals_is_refused(model: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(model, tmp_path / "copy"))
    (copied / NORMALS).write_bytes((model / NORMALS).read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(ValueError, match=r"normals\.safetensors: expected the file of this model"):
        ModelFolder.open(copied)


def test_thresholds_are_of_normals_that_others_standardise(model: Path, cohort: Path) -> None:
    calibration = json.loads((model / "calibration.json").read_text())
    assert len(calibration["volume_scores"]) == 2
    assert np.isfinite(calibration["slice_scores"]).all()


def test_a_prediction_needs_the_folder_alone(model: Path, cohort: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(model, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("training")))
    images = tmp_path / "in"
    images.mkdir()
    shutil.copy(next((cohort / "image").glob("test-*.nii.gz")), images)
    run(
        run_id="run",
        config_file=str(moved / INFERENCE),
        bundle_root=str(moved),
        dataset_dir=str(images),
        output_dir=str(tmp_path / "out"),
    )
    (found,) = (tmp_path / "out").rglob("*anomaly_map*.nii.gz")
    values = np.asarray(nib.load(found).dataobj)  # type: ignore[attr-defined]
    assert values.min() >= 0
    assert values.max() > 0


def test_an_evaluation_draws_the_picture_of_the_tokens(model: Path, cohort: Path, tmp_path: Path) -> None:
    overlays = (model / "configs" / "training.yaml", "evaluate")
    run_bundle(
        *overlays,
        run_id="evaluating",
        preset=None,
        bundle_root=model,
        model_dir=model,
        dataset_dir=cohort,
        output_dir=tmp_path / "run",
        save_reconstructions=True,
    )
    metrics = json.loads((tmp_path / "run" / "evaluation.json").read_text())["metrics"]
    assert 0 <= metrics["slice"]["auroc"]["value"] <= 1
    assert list((tmp_path / "run").rglob("*reconstruction*.nii.gz"))


def test_a_graph_takes_the_place_along_the_stack(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `export`")
    source = read_source(model)
    written = write_graph(source, tmp_path / "detector.onnx")
    assert max(written.differences.values()) < 1e-4
    detector = OnnxDetector(tmp_path / "detector.onnx", image_size=64)
    image = torch.randn(2, 1, 64, 64)
    _, _, low = detector(image, torch.zeros(2))
    _, _, high = detector(image, torch.ones(2))
    positioned = source.module.looks_at_position
    assert bool((low != high).all()) is positioned
    torch.testing.assert_close(detector(image)[2], source.module(image)[2], atol=1e-4, rtol=0)


@pytest.mark.parametrize("suffix", [".onnx", ".ts"])
def test_the_reconstruction_alone_is_a_picture(model: Path, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `export`")
    written = write_graph(read_source(model, "reconstruction"), tmp_path / f"network{suffix}")
    assert list(written.differences) == ["reconstruction"]
