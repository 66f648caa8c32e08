"""A model folder that scores: slices and thresholds of its own, maps on the grid, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from monai.data import MetaTensor
from PIL import Image

from qfae_monai import load_model, read_series
from qfae_monai.files.configurations import path_text
from qfae_monai.model.folder import CALIBRATION, FINGERPRINT, INFERENCE, MANIFEST, PERCEPTUAL, seal_again
from qfae_monai.predict.model import Model
from qfae_monai.transforms.images import BITS_KEY
from qfae_monai.weights import create_vit, save_checkpoint


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    return load_model(model_folder)


@pytest.fixture(scope="module")
def scan(scans: Path) -> Path:
    return scans / "image" / "test-000.nii.gz"


def _tensor(path: Path) -> MetaTensor:
    series = read_series(path)
    pixels = torch.as_tensor(series.array.astype(np.float32))[None]
    return MetaTensor(pixels, affine=torch.as_tensor(series.affine))


def _changed(folder: Path, name: str, change: Any) -> None:
    """Change a JSON or YAML file of a model, and leave its hash as it was."""
    path = folder / name
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_maps_lie_on_the_inputs_grid_and_are_cut_at_the_threshold(model: Model, scan: Path) -> None:
    image = _tensor(scan)
    seen: list[tuple[int, int]] = []
    found = model(image, lambda done, total: seen.append((done, total)))
    assert found.anomaly_map.shape == tuple(image.shape[1:])
    assert found.mask is not None
    assert model.pixel_threshold is not None
    np.testing.assert_array_equal(found.mask, found.anomaly_map > model.pixel_threshold)
    assert seen[-1] == (18, image.shape[3])  # slices 3 to 20
    assert np.flatnonzero(~np.isnan(found.slice_scores)).tolist() == list(range(3, 21))
    assert found.outside == image.shape[3] - 18


def test_a_flipped_scan_gives_the_flipped_map(model: Model, scan: Path) -> None:
    image = _tensor(scan)
    turned = torch.flip(image.as_tensor(), (1,))
    affine = image.affine.clone()
    affine[:, 3] += affine[:, 0] * (image.shape[1] - 1)
    affine[:, 0] *= -1
    found, other = model(image), model(MetaTensor(turned, affine=affine))
    np.testing.assert_allclose(found.anomaly_map, other.anomaly_map[::-1], atol=1e-5)
    assert found.score == pytest.approx(other.score, abs=1e-5)


def test_settings_are_those_of_the_calibration(model: Model, model_folder: Path) -> None:
    calibrated = json.loads((model_folder / CALIBRATION).read_text())["settings"]
    assert calibrated["slice_range"] == [3, 20]
    assert {key: model.settings[key] for key in calibrated} == calibrated


def test_a_path_and_its_voxels_give_the_same(model: Model, scan: Path) -> None:
    series = read_series(scan)
    found, other = model.predict(scan), model.predict(series.array, series.affine)
    np.testing.assert_array_equal(found.anomaly_map, other.anomaly_map)
    np.testing.assert_allclose(found.affine, series.affine)  # type: ignore[arg-type]
    assert found.score == other.score == pytest.approx(np.nanmax(found.slice_scores))
    assert found.p_value >= 0.25  # three normals: a quarter at least
    assert found.above_threshold is None  # three are too few for 5 %
    assert found.warnings == ()


def test_what_lies_outside_of_the_training_scans_is_said(model: Model, scan: Path, tmp_path: Path) -> None:
    half, unlike = model.predict(_longer(scan, tmp_path / "long.nii.gz")).warnings
    assert half == "18 of 72 slices with foreground were scored, less than half: no p-value, no verdict"
    assert unlike == "slices 3 to 20 of 72 are scored: the training scans have 24"


def _longer(scan: Path, path: Path) -> Path:
    import nibabel as nib  # noqa: PLC0415

    loaded: Any = nib.load(scan)
    nib.save(nib.Nifti1Image(np.tile(np.asarray(loaded.dataobj), 3), loaded.affine), path)
    return path


def test_what_is_no_scan_of_the_model_is_refused(model: Model, image_model: Path, scan: Path, tmp_path: Path) -> None:
    Image.new("L", (8, 6)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: expected a volume, as the model was trained on"):
        model.predict(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"test-000\.nii\.gz: expected a single image, as the model was trained on"):
        load_model(image_model).predict(scan)
    with pytest.raises(ValueError, match=r"got an array of shape \(4, 4, 4\) and no affine"):
        model.predict(np.zeros((4, 4, 4)))
    with pytest.raises(ValueError, match=r"got an array of shape \(4, 4\) and an affine"):
        model.predict(np.zeros((4, 4)), np.eye(4))
    with pytest.raises(ValueError, match="affine: expected none beside a path"):
        model.predict(scan, np.eye(4))
    with pytest.raises(FileNotFoundError, match="nothing"):
        model.predict(tmp_path / "nothing")


def test_a_single_image_keeps_its_size(image_model: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 70), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = load_model(image_model).predict(tmp_path / "a.png")
    assert found.anomaly_map.shape == (50, 70)
    assert found.slice_scores.shape == (1,)
    assert found.affine is None
    assert np.isnan(found.p_value)


def test_without_calibration_there_is_a_map_and_no_mask(model_copy: Path, scan: Path) -> None:
    (model_copy / CALIBRATION).unlink()
    seal_again(model_copy)
    found = load_model(model_copy)(_tensor(scan))
    assert found.mask is None
    assert found.anomaly_map.max() > 0


def test_what_is_no_model_is_refused(tmp_path: Path, scan: Path) -> None:
    for path, found in ((tmp_path / "none", "nothing"), (tmp_path, "a folder without it"), (scan, "a file")):
        with pytest.raises(FileNotFoundError, match=rf"expected a model folder \(with model\.json.*got {found}"):
            load_model(path)


def test_a_model_of_a_newer_version_is_refused(model_copy: Path) -> None:
    _changed(model_copy, MANIFEST, lambda content: content.update(version=2, package="9.0", more="unknown"))
    with pytest.raises(ValueError, match=r"model\.json: expected a model of version 1 or older, got 2: .*monai 9\.0"):
        load_model(model_copy)


def _upper(content: Any) -> None:
    content["prepare"]["transforms"][2]["upper"] = 90.0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda content: content["model"].update(metric="cosine"), "model::metric"),
        (_upper, "prepare::transforms::2::upper"),
        (lambda content: content.update(slice_axis=0), "slice_axis"),
        (lambda content: content["normalize"].update(divisor=1.0), "normalize::divisor"),
        (lambda content: content["model"].pop("metric"), "model::metric"),
    ],
)
def test_a_changed_number_is_refused_by_name(model_copy: Path, change: Any, named: str) -> None:
    _changed(model_copy, INFERENCE, change)
    with pytest.raises(ValueError, match=rf"inference\.yaml: expected the configuration that .*\({named}"):
        load_model(model_copy)


def test_a_setting_that_changes_scores_is_refused_by_name(model_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"slice_range"):
        load_model(model_folder, slice_range=[0, 5])
    assert load_model(model_folder, forward_batch=2).bundle.part("forward_batch") == 2


@pytest.mark.parametrize("name", [PERCEPTUAL, CALIBRATION, FINGERPRINT, "models/model.pt"])
def test_a_file_that_changed_or_went_is_refused_by_name(model_copy: Path, name: str) -> None:
    path = model_copy / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ValueError, match=rf"{name}: expected the file of this model \(SHA-256 "):
        load_model(model_copy)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}: expected a file of the model, found none"):
        load_model(model_copy)


def test_a_frozen_network_by_name_must_be_the_one_that_was_trained_with(model_copy: Path, tmp_path: Path) -> None:
    """As of a network that is not part of the folder, for its licence or its size."""
    weights = tmp_path / "weights"
    trunk = create_vit(name="vit_tiny_patch16_224", image_size=64, seed=1)
    save_checkpoint(weights / "vit_tiny_patch16_224.safetensors", trunk.state_dict())
    content = json.loads((model_copy / MANIFEST).read_text())
    (frozen,) = (one for one in content["frozen"] if one["role"] == "perceptual")
    frozen.update(name="vit_tiny_patch16_224", file=None, sha256="0" * 64)
    (model_copy / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"expected the perceptual network vit_tiny_patch16_224 .*\(SHA-256 000000"):
        load_model(model_copy, weights_dir=path_text(weights))
    with pytest.raises(FileNotFoundError, match="vit_tiny_patch16_224"):
        load_model(model_copy, weights_dir=path_text(tmp_path / "none"))


def test_code_of_others_is_not_run(model_copy: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    _changed(model_copy, INFERENCE, lambda content: content["imports"].append(f"$open({str(ran)!r}, 'w')"))
    with pytest.raises(ValueError, match="or --trust beside it"):
        load_model(model_copy)
    assert not ran.exists()


def test_a_radiograph_in_dicom_is_an_image(image_model: Path) -> None:
    """It comes as read, not as a file's name, and has no slices."""
    stored = torch.randint(0, 1 << 12, (1, 40, 30), dtype=torch.int32)
    found = Model(image_model)(MetaTensor(stored, meta={"filename_or_obj": "DX", BITS_KEY: 12}))
    assert found.anomaly_map.shape == (40, 30)
    assert len(found.slice_scores) == 1
