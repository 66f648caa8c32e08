"""Handlers that MONAI lacks."""

from qfae_monai.handlers.epoch_seed import EpochSeed
from qfae_monai.handlers.every import every
from qfae_monai.handlers.output import from_pixels, from_slices, from_volumes
from qfae_monai.handlers.score_table import ScoreTable

__all__ = ["EpochSeed", "ScoreTable", "every", "from_pixels", "from_slices", "from_volumes"]
