"""Glue for MONAI's trainer and evaluator, which are used as they are."""

from qfae_monai.engines.prepare_batch import ReconstructionPrepareBatch

__all__ = ["ReconstructionPrepareBatch"]
