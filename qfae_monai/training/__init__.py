"""Glue for MONAI's trainer, which is used as it is: batches, processes, checkpoints, seeds, and handlers it lacks."""

from qfae_monai.training.batches import (
    ReconstructionPrepareBatch,
    gradient_scaler,
    optimizer_steps,
    part_size,
    whole_batches,
)
from qfae_monai.training.checkpoints import CheckpointLoader, ResumeCheckpoint, WholeCheckpoints, WholeMetrics
from qfae_monai.training.epochs import EpochLengthCheck, EpochSeed, StepSchedule, every
from qfae_monai.training.held_out_check import HeldOutCheck
from qfae_monai.training.memory_advice import OutOfMemoryAdvice
from qfae_monai.training.place_check import PlaceCheck
from qfae_monai.training.processes import (
    check_shares,
    join_processes,
    leave_processes,
    replicated,
    shared_sampler,
    training_sampler,
)
from qfae_monai.training.section_check import SectionCheck
from qfae_monai.training.training_guard import BatchOutput, TrainingGuard
from qfae_monai.training.training_record import TrainingRecord
from qfae_monai.training.view_drawing import draw_views
from qfae_monai.training.views import kept_views

__all__ = [
    "BatchOutput",
    "CheckpointLoader",
    "EpochLengthCheck",
    "EpochSeed",
    "HeldOutCheck",
    "OutOfMemoryAdvice",
    "PlaceCheck",
    "ReconstructionPrepareBatch",
    "ResumeCheckpoint",
    "SectionCheck",
    "StepSchedule",
    "TrainingGuard",
    "TrainingRecord",
    "WholeCheckpoints",
    "WholeMetrics",
    "check_shares",
    "draw_views",
    "every",
    "gradient_scaler",
    "join_processes",
    "kept_views",
    "leave_processes",
    "optimizer_steps",
    "part_size",
    "replicated",
    "shared_sampler",
    "training_sampler",
    "whole_batches",
]
