"""The bundle as a user runs it: training, resuming, evaluation, inference, and MONAI's own checks of a bundle."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out
from PIL import Image

from qfae_monai.files import LOCK
from qfae_monai.model.bundle import Bundle
from tests.bundles.conftest import CONFIGS, TINY, config, run_bundle, same, weights

load = nib.Nifti1Image.from_filename


def checkpoint(model: Path, epoch: int = 2) -> dict[str, Any]:
    """What a training resumes from."""
    return torch.load(model / "training" / f"resume_checkpoint_epoch={epoch}.pt", map_location="cpu", weights_only=True)


def test_training_leaves_a_model_a_checkpoint_and_a_log(trained: Path) -> None:
    assert set(checkpoint(trained)) == {"model", "optimizer", "lr_scheduler", "trainer"}
    assert same(weights(trained), checkpoint(trained)["model"])
    assert list((trained / "training" / "logs").glob("events*"))


@pytest.mark.cpu
def test_resumed_run_repeats_uninterrupted_one(trained: Path, cohort: Path, tmp_path: Path) -> None:
    (first_epoch,) = (trained / "training").glob("resume*epoch=1.pt")
    run_bundle(*TINY, dataset_dir=cohort, model_dir=tmp_path, max_epochs=2, val_interval=1, resume=first_epoch)
    assert same(weights(trained), weights(tmp_path))


def test_a_batch_in_parts_takes_as_many_optimiser_steps(trained: Path, cohort: Path, tmp_path: Path) -> None:
    run_bundle(
        *TINY,
        dataset_dir=cohort,
        model_dir=tmp_path,
        max_epochs=2,
        val_interval=1,
        accumulation_steps=4,
        checkpointing="full",
    )
    whole, parts = checkpoint(trained), checkpoint(tmp_path)
    steps = [int(state["optimizer"]["state"][0]["step"]) for state in (whole, parts)]
    assert steps[0] == steps[1] > 0
    rates = [state["optimizer"]["param_groups"][0]["lr"] for state in (whole, parts)]
    assert rates[0] == pytest.approx(rates[1])


def test_a_precision_that_the_device_lacks_is_an_error(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as error:
        run_bundle(*TINY, dataset_dir=cohort, model_dir=tmp_path, device="$torch.device('cpu')", precision="float16")
    assert "'float16' needs a CUDA device" in str(error.value.__cause__)


def test_evaluation_scores_slices_and_writes_maps_in_patient_space(trained: Path, cohort: Path, tmp_path: Path) -> None:
    run_bundle(
        *TINY,
        "evaluate",
        run_id="evaluating",
        dataset_dir=cohort,
        model_dir=trained,
        output_dir=tmp_path,
        save_reconstructions=True,
    )
    rows = list(csv.DictReader((tmp_path / "slices.csv").open()))
    assert {row["label"] for row in rows} == {"0", "1"}
    assert {int(row["slice"]) for row in rows} == set(range(3, 21))
    for entry in json.loads((cohort / "dataset.json").read_text())["test"]:
        image = load(cohort / entry["image"])
        found = load(tmp_path / f"{entry['case']}_anomaly_map.nii.gz")
        assert found.shape == image.shape
        np.testing.assert_allclose(found.affine, image.affine, atol=1e-4)
        pixels = np.asarray(found.dataobj)
        best = max(float(row["score"]) for row in rows if row["case"] == entry["case"])
        assert 0 < pixels.max() <= best * 1.01  # one block: the map's peak is the score, but for resizing


def test_evaluation_without_checkpoint_is_an_error(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as error:
        run_bundle(*TINY, "evaluate", run_id="evaluating", dataset_dir=cohort, model_dir=tmp_path)
    assert "model.pt" in str(error.value.__cause__)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {LOCK}


def test_inference_needs_images_and_checkpoint_only(trained: Path, cohort: Path, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    shutil.copy(cohort / "image" / "test-003.nii.gz", scans / "unknown.nii.gz")
    command = [
        sys.executable,
        "-m",
        "monai.bundle",
        "run",
        "--config_file",
        str(trained / "configs" / "inference.yaml"),
        "--bundle_root",
        str(trained),
        "--dataset_dir",
        str(scans),
        "--output_dir",
        str(tmp_path / "out"),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    image, found = (
        load(scans / "unknown.nii.gz"),
        load(tmp_path / "out" / "unknown_anomaly_map.nii.gz"),
    )
    assert found.shape == image.shape
    rows = list(csv.DictReader((tmp_path / "out" / "slices.csv").open()))
    assert rows
    assert {row["label"] for row in rows} == {""}


@pytest.mark.parametrize("colours", [None, True])
def test_image_folders_train_and_evaluate(tmp_path: Path, colours: bool | None) -> None:
    """Every second image is grey; of those in colours, every second one has three equal channels."""
    rng = np.random.default_rng(0)
    for split, kind, count in (("train", "good", 4), ("valid", "good", 4), ("test", "good", 4), ("test", "Ungood", 2)):
        for number in range(count):
            pixels = rng.integers(20, 200, (70, 80, 3)).astype(np.uint8)
            lesion = np.zeros_like(pixels[..., 0])
            lesion[10:20, 10:20] = 255 * (kind == "Ungood")
            shown = pixels if number % 4 == 3 else np.repeat(pixels[..., :1], 3, axis=-1)
            for part in ("img", "label") if split == "test" else ("img",):
                path = tmp_path / "data" / split / kind / part / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(lesion if part == "label" else shown if number % 2 else shown[..., 0]).save(path)
    settings: dict[str, Any] = {
        "dataset_dir": tmp_path / "data",
        "model_dir": tmp_path / "model",
        "batch_size": 4,
        "colours": colours,
    }
    bmad = ("train", "datasets/bmad")
    run_bundle(*bmad, **settings, max_epochs=1, val_interval=1)
    run_bundle(*bmad, "evaluate", run_id="evaluating", **settings, output_dir=tmp_path / "out")
    assert len(list(csv.DictReader((tmp_path / "out" / "slices.csv").open()))) == 6
    bundle = Bundle(["train", "datasets/bmad"], {**settings, "preset": "tiny"})
    normal = bundle.part("normal_images").images  # what scores are fitted to and rivals learn from
    assert normal.shape[1] == (3 if colours else 1)
    assert any(torch.equal(normal[0], item["image"]) for item in bundle.part("reference_dataset")())


@pytest.mark.parametrize("names", [TINY, (*TINY, "evaluate"), ("inference",)])
def test_bundle_properties_are_complete(names: tuple[str, ...], cohort: Path, trained: Path, tmp_path: Path) -> None:
    workflow = ConfigWorkflow(
        config_file=config(*names),
        meta_file=str(CONFIGS / "metadata.json"),
        workflow_type="infer" if names[0] == "inference" else "train",
        logging_file=False,
        preset="tiny",
        dataset_dir=str(cohort),
        model_dir=str(tmp_path),
        ckpt_path=str(trained / "models" / "model.pt"),
        output_dir=str(tmp_path / "out"),
    )
    workflow.initialize()
    assert not workflow.check_properties()


def test_metadata_is_complete(tmp_path: Path) -> None:
    schema = str(Path(__file__).parent / "data" / "metadata_schema.json")
    verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=schema)
    metadata = json.loads((CONFIGS / "metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]
    del metadata["network_data_format"]
    broken = tmp_path / "metadata.json"
    broken.write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="network_data_format"):
        verify_metadata(meta_file=str(broken), filepath=schema)


def test_network_takes_and_gives_what_the_metadata_says() -> None:
    overrides: dict[str, Any] = {
        "encoder": {"name": "vit_tiny_patch16_224", "seed": 1, "embed_dim": 48, "depth": 4, "num_heads": 3},
        "dim": 48,
        "decoder_depth": 1,
        "decoder_heads": 4,
        "grid": 14,
    }
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(CONFIGS / "metadata.json"),
        config_file=config("inference"),
        device="cpu",
        changes=overrides,
    )
