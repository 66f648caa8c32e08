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
from importlib import import_module
from typing import TYPE_CHECKING, Any

from qfae_monai.earlier import EarlierModules

if TYPE_CHECKING:
    from qfae_monai.data import read_series
    from qfae_monai.losses import PerceptualLoss
    from qfae_monai.model.builders import create_distance, create_qfae, create_scorer
    from qfae_monai.model.training import train
    from qfae_monai.predict.model import load_model
    from qfae_monai.scoring import AnomalyScorer

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

_HOME = {
    "AnomalyScorer": "scoring",
    "PerceptualLoss": "losses",
    "create_distance": "model.builders",
    "create_qfae": "model.builders",
    "create_scorer": "model.builders",
    "load_model": "predict.model",
    "read_series": "data",
    "train": "model.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
