"""A schedule of the optimiser's steps, and a training that goes on behind it."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, StepLR

from qfae_monai.training import StepSchedule


def steps(schedule: LRScheduler, count: int) -> list[float]:
    handler = StepSchedule(schedule)
    rates = []
    for iteration in range(1, count + 1):
        schedule.optimizer.step()
        state = SimpleNamespace(epoch_length=2, iteration=iteration)
        engine: Any = SimpleNamespace(state=state, accumulation_steps=1)
        handler(engine)
        rates.append(float(schedule.get_last_lr()[0]))
    return rates


def test_the_last_rate_stays_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
    with caplog.at_level(logging.WARNING):
        rates = steps(OneCycleLR(optimizer, max_lr=1.0, total_steps=4), 9)
    assert rates[2:] == [rates[2]] * 7
    assert rates[2] < 1e-5 < rates[1]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "behind its schedule of 4 steps" in caplog.text


def test_a_schedule_without_an_end_goes_on() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    assert steps(StepLR(optimizer, 1, gamma=0.5), 3) == [0.5, 0.25, 0.125]
