"""Glue for MONAI's trainer and evaluator, which are used as they are."""

from qfae_monai.engines.accumulation import optimizer_steps, part_size, whole_batches
from qfae_monai.engines.gradient_scaler import gradient_scaler
from qfae_monai.engines.prepare_batch import ReconstructionPrepareBatch
from qfae_monai.engines.processes import (
    check_shares,
    join_processes,
    leave_processes,
    replicated,
    shared_sampler,
    training_sampler,
)

__all__ = [
    "ReconstructionPrepareBatch",
    "check_shares",
    "gradient_scaler",
    "join_processes",
    "leave_processes",
    "optimizer_steps",
    "part_size",
    "replicated",
    "shared_sampler",
    "training_sampler",
    "whole_batches",
]
