"""Handlers that MONAI lacks."""

from qfae_monai.handlers.batch_output import BatchOutput
from qfae_monai.handlers.calibrator import Calibrator
from qfae_monai.handlers.case_tables import CaseTables
from qfae_monai.handlers.checkpoint_loader import CheckpointLoader
from qfae_monai.handlers.epoch_length import EpochLengthCheck
from qfae_monai.handlers.epoch_seed import EpochSeed
from qfae_monai.handlers.every import every
from qfae_monai.handlers.held_out_check import HeldOutCheck
from qfae_monai.handlers.memory_advice import OutOfMemoryAdvice
from qfae_monai.handlers.output import from_pixels, from_slices, from_volumes
from qfae_monai.handlers.resume import ResumeCheckpoint
from qfae_monai.handlers.run_output import begin_output, end_output
from qfae_monai.handlers.run_record import RunRecord
from qfae_monai.handlers.step_schedule import StepSchedule
from qfae_monai.handlers.training_guard import TrainingGuard
from qfae_monai.handlers.training_record import TrainingRecord
from qfae_monai.handlers.whole_checkpoints import WholeCheckpoints
from qfae_monai.handlers.whole_metrics import WholeMetrics

__all__ = [
    "BatchOutput",
    "Calibrator",
    "CaseTables",
    "CheckpointLoader",
    "EpochLengthCheck",
    "EpochSeed",
    "HeldOutCheck",
    "OutOfMemoryAdvice",
    "ResumeCheckpoint",
    "RunRecord",
    "StepSchedule",
    "TrainingGuard",
    "TrainingRecord",
    "WholeCheckpoints",
    "WholeMetrics",
    "begin_output",
    "end_output",
    "every",
    "from_pixels",
    "from_slices",
    "from_volumes",
]
