"""What MONAI's own tools do with the bundle: tracking, federated training, loading."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import load
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject

from qfae_monai import create_qfae
from qfae_monai.model.folder import NETWORK
from qfae_monai.weights import load_checkpoint
from tests.bundles.conftest import BUNDLE, config, run_bundle

TRAINING = ("train", "datasets/phantoms")
ROUNDS = 3


def test_training_is_tracked_by_mlflow(cohort: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    run_bundle(
        *TRAINING,
        tracking="mlflow",
        output_dir=f"$'{tmp_path}/eval'",
        dataset_dir=str(cohort),
        max_epochs=1,
        val_interval=1,
        model_dir=tmp_path / "model",
        num_workers=0,
    )
    with sqlite3.connect(tmp_path / "eval" / "mlruns.db") as database:
        tracked = {name for (name,) in database.execute("select key from metrics")}
    assert {"train_loss", "val_distance"} <= tracked


def client(name: str, cohort: Path, folder: Path) -> MonaiAlgo:
    settings: dict[str, Any] = {
        "bundle_root": str(BUNDLE),
        "preset": "tiny",
        "dataset_dir": str(cohort),
        "model_dir": str(folder / "model"),
        "num_workers": 0,
        "schedule_epochs": ROUNDS,
    }
    files = config(*TRAINING)
    made = MonaiAlgo(
        str(BUNDLE),
        config_train_filename=files,
        config_evaluate_filename=files,
        train_kwargs=dict(settings),
        eval_kwargs=dict(settings),
    )
    made.initialize({ExtraItems.CLIENT_NAME: name})
    return made


@pytest.mark.cpu
def test_two_federated_clients_train_and_evaluate_for_three_rounds(cohort: Path, tmp_path: Path) -> None:
    clients = [client(name, cohort, tmp_path / name) for name in ("a", "b")]
    assert clients[0].trainer is not None
    weights = {name: value.clone() for name, value in clients[0].trainer.network.state_dict().items()}
    found = []
    for _ in range(ROUNDS):
        changes = []
        for one in clients:
            one.train(ExchangeObject(weights=weights), {})
            changes.append(one.get_weights({}).weights)
        weights = {
            name: value + sum(torch.as_tensor(one[name]) for one in changes) / 2 for name, value in weights.items()
        }
        found.append([one.evaluate(ExchangeObject(weights=weights), {}).metrics["val_distance"] for one in clients])
    assert all(distance < found[0][0] for distance in found[2])  # what was learnt in three rounds
    for one in clients:
        one.finalize()


def test_load_fills_every_tensor_or_refuses(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle" / "models"
    folder.mkdir(parents=True)
    shutil.copy(trained / NETWORK, folder / "model.pt")

    def loaded(into: torch.nn.Module) -> Any:
        return load("bundle", bundle_dir=tmp_path, model=into, device="cpu")

    expected = create_qfae("tiny")
    load_checkpoint(expected, trained / NETWORK)
    found = loaded(create_qfae("tiny")).state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in expected.state_dict().items())
    with pytest.raises(ValueError, match="expected weights for all"):
        loaded(create_qfae("tiny", dim=192))
