"""From raw scans to slices: splits, manifest, interruptible parallel work, and a page to look at."""

from __future__ import annotations

from qfae_monai.recipes.planes import Planes, patient_planes, stored_planes
from qfae_monai.recipes.run import Prepared, prepare
from qfae_monai.recipes.source import SPLITS, Cut, Recipe, Source
from qfae_monai.recipes.splits import draw, share, split_patients
from qfae_monai.recipes.tasks import run_tasks, task_backend

__all__ = [
    "SPLITS",
    "Cut",
    "Planes",
    "Prepared",
    "Recipe",
    "Source",
    "draw",
    "patient_planes",
    "prepare",
    "run_tasks",
    "share",
    "split_patients",
    "stored_planes",
    "task_backend",
]
