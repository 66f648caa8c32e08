"""A trainer's output as MONAI's trackers read it."""

from __future__ import annotations

import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.handlers import from_engine

from qfae_monai.training import BatchOutput
from qfae_monai.training.training_guard import loss_of


def test_trackers_find_a_number() -> None:
    network = torch.nn.Linear(2, 2)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        network=network,
        loss_function=torch.nn.MSELoss(),
        decollate=False,
        train_data_loader=[{"image": torch.ones(3, 2), "label": torch.ones(3, 2)}] * 2,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        train_handlers=[BatchOutput()],
    )
    found: list[float] = []
    read = from_engine(["loss"], first=True)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: found.append(read(trainer.state.output).item()))
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: found.append(loss_of(trainer.state.output).item()))
    trainer.run()
    assert found[0] == found[1] > found[2] == found[3]
    assert loss_of({"loss": 1}) == 1
