"""What a paper on an evaluation needs: a reviewer's checklist, a paragraph on methods, and tables."""

from __future__ import annotations

from qfae_monai.evaluation.paper.checklist import STATES, checklist
from qfae_monai.evaluation.paper.comparison_table import comparison_table
from qfae_monai.evaluation.paper.methods import methods
from qfae_monai.evaluation.paper.run_tables import run_tables
from qfae_monai.evaluation.paper.table import PaperTable, write_tables

__all__ = ["STATES", "PaperTable", "checklist", "comparison_table", "methods", "run_tables", "write_tables"]
