"""A batch in parts is a batch: same weights and learning rates through MONAI's trainer and the step schedule."""

from __future__ import annotations

import pytest
import torch
from monai.engines import SupervisedTrainer
from torch import Tensor, nn

from qfae_monai.training import ReconstructionPrepareBatch, StepSchedule, optimizer_steps, part_size, whole_batches

BATCH, BATCHES, EPOCHS = 8, 2, 2


def train(accumulation_steps: int) -> tuple[Tensor, list[float]]:
    """Weights at the end, and the learning rate at each step of the optimiser."""
    torch.manual_seed(0)
    images = torch.rand(BATCH * BATCHES, 1, 4, 4)
    linear = nn.Linear(16, 16)
    network = nn.Sequential(nn.Flatten(), linear, nn.Unflatten(1, (1, 4, 4)))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    size = part_size(BATCH, accumulation_steps)
    loader = [{"image": part} for part in images.split(size)]
    total = EPOCHS * optimizer_steps(len(loader), accumulation_steps)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=total)
    rates: list[float] = []
    optimizer.register_step_pre_hook(lambda *_: rates.append(float(schedule.get_last_lr()[0])))
    SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=EPOCHS,
        train_data_loader=loader,
        network=network,
        optimizer=optimizer,
        loss_function=nn.MSELoss(),
        prepare_batch=ReconstructionPrepareBatch(),
        decollate=False,
        train_handlers=[StepSchedule(schedule)],
        accumulation_steps=accumulation_steps,
    ).run()
    return linear.weight.detach(), rates


@pytest.mark.parametrize("accumulation_steps", [2, 4])
def test_parts_are_a_batch(accumulation_steps: int) -> None:
    (expected, rates), (found, others) = train(1), train(accumulation_steps)
    assert len(rates) == BATCHES * EPOCHS
    assert others == pytest.approx(rates)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size 64 is not divisible by accumulation_steps 5"):
        part_size(64, 5)
    with pytest.raises(ValueError, match="accumulation_steps 0"):
        part_size(64, 0)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one batch of 64 images to train on, got 20"):
        whole_batches(20, 64)
