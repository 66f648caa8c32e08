"""What a reviewer asks of an evaluation, each question answered from the run.

After CLAIM 2024 (Tejani et al., Radiology: Artificial Intelligence 2024) and Metrics Reloaded (Maier-Hein, Reinke et
al., Nature Methods 2024), of which the sections are named. What no software can know is left to the authors, as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from qfae_monai.evaluation.paper.cohort import cohort_lines
from qfae_monai.evaluation.paper.figures import figure_lines
from qfae_monai.evaluation.paper.line import Facts
from qfae_monai.evaluation.paper.model import model_lines
from qfae_monai.evaluation.run_folder import RunFolder

STATES = {"answered": "answered", "concern": "concern", "author": "to be stated by the authors"}
"""State of a line -> what pages call it."""


def checklist(run: RunFolder, summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """Every question, with `source`, `answer` and `state`.

    Args:
        run: folder of the run.
        summary: content of `evaluation.json`, None where a figure is undefined.
    """
    pictures = any((run.path / "pictures").glob("*.json"))
    facts = Facts(run.run, summary, sum(map(bool, run.truth.contradictions.values())), pictures)
    return [asdict(line) for lines in (cohort_lines, model_lines, figure_lines) for line in lines(facts)]
