"""Lesion figures of a test set: whose patients an interval is of."""

from __future__ import annotations

import numpy as np

from qfae_monai.evaluation.case_columns import Table
from qfae_monai.evaluation.detection import RULES, of_rule
from qfae_monai.evaluation.lesion_figures import detections


def test_f1_is_of_patients_with_lesions() -> None:
    """Five patients with a lesion that is missed, and a hundred without: little is known of F1."""
    columns = {of_rule(name, rule): np.zeros(105) for rule in RULES for name in ("lesions_found", "false_positives")}
    lesions = np.repeat([1.0, 0.0], [5, 100])
    found = detections(Table({"patient": np.arange(105).astype(np.str_), "lesions": lesions, **columns}))["any"]
    assert found["f1"]["smaller_class"] == found["sensitivity"]["smaller_class"] == 5
    assert found["f1"]["high"] == found["sensitivity"]["high"] > 0.4
