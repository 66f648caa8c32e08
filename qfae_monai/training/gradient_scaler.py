"""The state of float16's gradient scaling, which a run that is resumed needs as it needs the optimiser's."""

from __future__ import annotations

import torch
from monai.engines import SupervisedTrainer


def gradient_scaler(trainer: SupervisedTrainer) -> dict[str, torch.amp.GradScaler]:
    """`scaler` -> that of the trainer, to be kept in checkpoints; nothing where gradients are not scaled."""
    return {} if trainer.scaler is None else {"scaler": trainer.scaler}
