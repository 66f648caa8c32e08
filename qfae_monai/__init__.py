"""Q-Former Autoencoder for MONAI (arXiv 2507.18481): anomaly detection trained on normal scans only.

>>> import qfae_monai as q
>>> network = q.create_qfae("tiny")
>>> scorer = q.AnomalyScorer(q.create_distance("tiny", "score"))

A trained model is a folder; it is loaded once and used for many scans (docs/python.md has more)::

    model = q.load_model("demo/model")
    found = model.predict("scan.nii.gz")
    found.score, found.p_value, found.anomaly_map

Importing the package is cheap: parts load where they are used.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from qfae_monai.earlier import EarlierModules
from qfae_monai.lazy import lazy_names

if TYPE_CHECKING:
    from qfae_monai.anomaly import AnomalyScorer, PerceptualLoss
    from qfae_monai.model.builders import create_distance, create_qfae, create_scorer
    from qfae_monai.model.training import train
    from qfae_monai.predict.model import load_model
    from qfae_monai.reading import read_series

sys.meta_path.append(EarlierModules())

__version__ = "0.1.0"

__all__ = [
    "AnomalyScorer",
    "PerceptualLoss",
    "create_distance",
    "create_qfae",
    "create_scorer",
    "load_model",
    "read_series",
    "train",
]

__getattr__ = lazy_names(
    __name__,
    {
        "anomaly": ("AnomalyScorer", "PerceptualLoss"),
        "model.builders": ("create_distance", "create_qfae", "create_scorer"),
        "model.training": ("train",),
        "predict.model": ("load_model",),
        "reading": ("read_series",),
    },
)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
