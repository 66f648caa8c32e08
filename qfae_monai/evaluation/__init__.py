"""From what MONAI's engine hands over to tables, figures with intervals, and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qfae_monai.lazy import lazy_names

if TYPE_CHECKING:
    from qfae_monai.evaluation.calibrator import Calibrator
    from qfae_monai.evaluation.case_tables import CaseTables
    from qfae_monai.evaluation.engine_output import from_pixels, from_slices, from_volumes
    from qfae_monai.evaluation.labelled import LabelledROCAUC
    from qfae_monai.evaluation.pixels import PixelRanking
    from qfae_monai.evaluation.run_output import begin_output, end_output
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
]

__getattr__ = lazy_names(
    __name__,
    {
        "calibrator": ("Calibrator",),
        "case_tables": ("CaseTables",),
        "engine_output": (
            "from_pixels",
            "from_slices",
            "from_volumes",
        ),
        "labelled": ("LabelledROCAUC",),
        "pixels": ("PixelRanking",),
        "run_output": (
            "begin_output",
            "end_output",
        ),
        "run_record": ("RunRecord",),
    },
)
