"""Training on from a model folder: by its own training.yaml, from its own values, into another folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from qfae_monai.data.phantoms import write_phantom_cohort
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import ModelFolder
from qfae_monai.model.trust import check_model_trusted

SHORT = {"max_epochs": 1, "val_interval": 1, "batch_size": 4, "slice_range": [8, 12]}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    write_phantom_cohort(folder, train=2, validation=1, test_normal=1, test_abnormal=1, seed=4)
    return folder


@pytest.fixture(scope="module")
def model(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first") / "model"
    settings = {"preset": "tiny", "dataset_dir": str(scans), "model_dir": str(folder), **SHORT}
    Bundle(["train", "datasets/phantoms"], settings).run("training")
    return folder


def _train_on(model: Path, folder: Path, scans: Path, **settings: object) -> ModelFolder:
    places = {"bundle_root": str(model), "model_dir": str(folder), "dataset_dir": str(scans)}
    Bundle([model / "configs" / "training.yaml"], {**places, **settings}).run("training")
    return ModelFolder.open(folder)


def _values(model: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(model / "models" / "model.pt", weights_only=True)
    return found


def test_it_starts_from_the_values_of_the_model(model: Path, scans: Path, tmp_path: Path) -> None:
    unmoved = _train_on(model, tmp_path / "unmoved", scans, learning_rate=0.0)
    first, after = _values(model), _values(unmoved.path)
    assert {name for name in first if not torch.equal(first[name], after[name])} == set()
    assert unmoved.content["signature"] == ModelFolder.open(model).content["signature"]


def test_what_it_ends_in_trains_on_again_and_needs_no_trust(model: Path, scans: Path, tmp_path: Path) -> None:
    second = _train_on(model, tmp_path / "second", scans)
    check_model_trusted(second.path, trusted=False)
    assert str(tmp_path) not in (second.path / "configs" / "training.yaml").read_text()
    third = _train_on(second.path, tmp_path / "third", scans, learning_rate=0.0)
    first, last = _values(second.path), _values(third.path)
    assert all(torch.equal(first[name], last[name]) for name in first)


def test_without_the_models_network_it_does_not_start_from_random_values(
    model: Path, scans: Path, tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "part", ignore=shutil.ignore_patterns("model.pt"))
    with pytest.raises(FileNotFoundError, match=r"part/models/model\.pt"):
        _train_on(tmp_path / "part", tmp_path / "new", scans)
    assert not (tmp_path / "new" / "model.json").exists()
