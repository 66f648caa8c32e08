"""Glue for MONAI's trainer, which is used as it is: batches, processes, checkpoints, seeds, and handlers it lacks."""

from qfae_monai.training.accumulation import optimizer_steps, part_size, whole_batches
from qfae_monai.training.batch_output import BatchOutput
from qfae_monai.training.checkpoint_loader import CheckpointLoader
from qfae_monai.training.epoch_length import EpochLengthCheck
from qfae_monai.training.epoch_seed import EpochSeed
from qfae_monai.training.every import every
from qfae_monai.training.gradient_scaler import gradient_scaler
from qfae_monai.training.held_out_check import HeldOutCheck
from qfae_monai.training.memory_advice import OutOfMemoryAdvice
from qfae_monai.training.prepare_batch import ReconstructionPrepareBatch
from qfae_monai.training.processes import (
    check_shares,
    join_processes,
    leave_processes,
    replicated,
    shared_sampler,
    training_sampler,
)
from qfae_monai.training.resume import ResumeCheckpoint
from qfae_monai.training.step_schedule import StepSchedule
from qfae_monai.training.training_guard import TrainingGuard
from qfae_monai.training.training_record import TrainingRecord
from qfae_monai.training.whole_checkpoints import WholeCheckpoints
from qfae_monai.training.whole_metrics import WholeMetrics

__all__ = [
    "BatchOutput",
    "CheckpointLoader",
    "EpochLengthCheck",
    "EpochSeed",
    "HeldOutCheck",
    "OutOfMemoryAdvice",
    "ReconstructionPrepareBatch",
    "ResumeCheckpoint",
    "StepSchedule",
    "TrainingGuard",
    "TrainingRecord",
    "WholeCheckpoints",
    "WholeMetrics",
    "check_shares",
    "every",
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
