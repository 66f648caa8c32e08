"""From what MONAI's engine hands over to tables, figures with intervals, and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qfae_monai.lazy import lazy_names

if TYPE_CHECKING:
    from qfae_monai.evaluation.calibrator import Calibrator
    from qfae_monai.evaluation.case_scoring import score_cases, score_held_out
    from qfae_monai.evaluation.case_tables import CaseTables
    from qfae_monai.evaluation.engine_metrics import LabelledROCAUC, PixelRanking
    from qfae_monai.evaluation.engine_output import begin_output, end_output, from_pixels, from_slices, from_volumes
    from qfae_monai.evaluation.run_record import RunRecord

__all__ = [
    "Calibrator",
    "CaseTables",
    "LabelledROCAUC",
    "PixelRanking",
    "RunRecord",
    "begin_output",
    "end_output",
    "from_pixels",
    "from_slices",
    "from_volumes",
    "score_cases",
    "score_held_out",
]

__getattr__ = lazy_names(
    __name__,
    {
        "calibrator": ("Calibrator",),
        "case_scoring": ("score_cases", "score_held_out"),
        "case_tables": ("CaseTables",),
        "engine_metrics": ("LabelledROCAUC", "PixelRanking"),
        "engine_output": ("begin_output", "end_output", "from_pixels", "from_slices", "from_volumes"),
        "run_record": ("RunRecord",),
    },
)
