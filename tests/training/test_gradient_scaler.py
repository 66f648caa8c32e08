"""Checkpoints hold the gradient scaling of float16, and nothing of it otherwise."""

from __future__ import annotations

import torch
from monai.engines import SupervisedTrainer
from torch import nn

from qfae_monai.training import gradient_scaler


def test_the_scaler_is_kept_where_there_is_one() -> None:
    network = nn.Linear(1, 1)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=[{"image": torch.ones(1, 1)}],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=nn.MSELoss(),
    )
    assert gradient_scaler(trainer) == {}
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)  # type: ignore[assignment]  # MONAI makes one on CUDA only
    assert gradient_scaler(trainer)["scaler"].state_dict()["scale"] == 8.0
