"""Weights of one's own: both frozen networks trained on normal scans, as a masked autoencoder and by self-distillation.

The parts load where they are used: self-distillation alone needs `lightly` (the extra `pretraining`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qfae_monai.pretraining.augment import RandGreyBatch
    from qfae_monai.pretraining.card import model_card, read_card
    from qfae_monai.pretraining.collapse import CollapseCheck, CollapseError
    from qfae_monai.pretraining.curves import Curves
    from qfae_monai.pretraining.export import TrunkExport
    from qfae_monai.pretraining.features import FeatureFigures
    from qfae_monai.pretraining.information import AssignmentInformation
    from qfae_monai.pretraining.mae import MaskedAutoencoder, MaskedPatchLoss
    from qfae_monai.pretraining.own import own_networks
    from qfae_monai.pretraining.review import TrainingSetReview
    from qfae_monai.pretraining.self_distillation import SelfDistillation, SelfDistillationLoss
    from qfae_monai.pretraining.survey import CheckImaged, survey_data
    from qfae_monai.pretraining.teacher import TeacherUpdate
    from qfae_monai.pretraining.trunk import create_trunk
    from qfae_monai.pretraining.views import MultiCrop, ViewsPrepareBatch

__all__ = [
    "AssignmentInformation",
    "CheckImaged",
    "CollapseCheck",
    "CollapseError",
    "Curves",
    "FeatureFigures",
    "MaskedAutoencoder",
    "MaskedPatchLoss",
    "MultiCrop",
    "RandGreyBatch",
    "SelfDistillation",
    "SelfDistillationLoss",
    "TeacherUpdate",
    "TrainingSetReview",
    "TrunkExport",
    "ViewsPrepareBatch",
    "create_trunk",
    "model_card",
    "own_networks",
    "read_card",
    "survey_data",
]

_HOME = {
    "AssignmentInformation": "information",
    "CheckImaged": "survey",
    "CollapseCheck": "collapse",
    "CollapseError": "collapse",
    "Curves": "curves",
    "FeatureFigures": "features",
    "MaskedAutoencoder": "mae",
    "MaskedPatchLoss": "mae",
    "MultiCrop": "views",
    "RandGreyBatch": "augment",
    "SelfDistillation": "self_distillation",
    "SelfDistillationLoss": "self_distillation",
    "TeacherUpdate": "teacher",
    "TrainingSetReview": "review",
    "TrunkExport": "export",
    "ViewsPrepareBatch": "views",
    "create_trunk": "trunk",
    "model_card": "card",
    "own_networks": "own",
    "read_card": "card",
    "survey_data": "survey",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "lightly":
            raise
        raise ImportError(f"{name} needs lightly, which is not installed: pip install lightly") from error
