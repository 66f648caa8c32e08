"""Table of a comparison of two runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qfae_monai.evaluation.levels import measure_name
from qfae_monai.evaluation.paper.table import MEASURED, PaperTable, measured


def comparison_table(comparison: Mapping[str, Any]) -> PaperTable:
    """Every measure of both runs with the paired difference.

    Args:
        comparison: as `qfae_monai.evaluation.comparison.compare` gives it.
    """
    rows = [
        (level, measure_name(name), row["a"], row["b"], *measured(row["difference"]), row["difference"]["p"])
        for level, measures in comparison["metrics"].items()
        for name, row in measures.items()
    ]
    caption = (
        f"Two runs on the same {comparison['counts']['cases']} cases of {comparison['counts']['patients']} patients, "
        f"a: {comparison['a']['name']}, b: {comparison['b']['name']}. Value: b minus a, paired by patient, with its "
        f"{100 * comparison['intervals']['level']:.0f} % interval over patients; p: two-sided, of a permutation test "
        "over patients; n: patients in the smaller class; dash: undefined, or no method holds."
    )
    return PaperTable("comparison", caption, ("level", "measure", "a", "b", *MEASURED, "p"), rows)
