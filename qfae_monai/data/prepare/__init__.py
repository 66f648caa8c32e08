"""From raw scans to slices: splits, pseudonyms, manifest, interruptible parallel work, and a page to look at."""

from __future__ import annotations

from qfae_monai.data.prepare.planes import Planes, patient_planes, stored_planes
from qfae_monai.data.prepare.pseudonyms import Pseudonyms, read_or_create_key
from qfae_monai.data.prepare.run import Prepared, prepare
from qfae_monai.data.prepare.source import SPLITS, Cut, Recipe, Source
from qfae_monai.data.prepare.splits import draw, share, split_patients
from qfae_monai.data.prepare.tasks import run_tasks, task_backend

__all__ = [
    "SPLITS",
    "Cut",
    "Planes",
    "Prepared",
    "Pseudonyms",
    "Recipe",
    "Source",
    "draw",
    "patient_planes",
    "prepare",
    "read_or_create_key",
    "run_tasks",
    "share",
    "split_patients",
    "stored_planes",
    "task_backend",
]
