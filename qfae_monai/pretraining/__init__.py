"""Weights of one's own: both frozen networks trained on normal scans, as a masked autoencoder and by self-distillation.

The parts load where they are used: self-distillation alone needs `lightly` (the extra `pretraining`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qfae_monai.lazy import lazy_names

if TYPE_CHECKING:
    from qfae_monai.pretraining.augment import MultiCrop, RandGreyBatch, ViewsPrepareBatch
    from qfae_monai.pretraining.card import model_card, read_card
    from qfae_monai.pretraining.curves import (
        AssignmentInformation,
        CollapseCheck,
        CollapseError,
        Curves,
        FeatureFigures,
    )
    from qfae_monai.pretraining.export import TrunkExport, own_networks
    from qfae_monai.pretraining.judgement import NothingLearnedError, PaintedJudgement
    from qfae_monai.pretraining.mae import MaskedAutoencoder, MaskedPatchLoss
    from qfae_monai.pretraining.review import CheckImaged, TrainingSetReview, survey_data
    from qfae_monai.pretraining.self_distillation import SelfDistillation, SelfDistillationLoss, TeacherUpdate
    from qfae_monai.pretraining.trunk import create_trunk

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
    "NothingLearnedError",
    "PaintedJudgement",
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

_found = lazy_names(
    __name__,
    {
        "augment": ("MultiCrop", "RandGreyBatch", "ViewsPrepareBatch"),
        "card": ("model_card", "read_card"),
        "curves": ("AssignmentInformation", "CollapseCheck", "CollapseError", "Curves", "FeatureFigures"),
        "export": ("TrunkExport", "own_networks"),
        "judgement": ("NothingLearnedError", "PaintedJudgement"),
        "mae": ("MaskedAutoencoder", "MaskedPatchLoss"),
        "review": ("CheckImaged", "TrainingSetReview", "survey_data"),
        "self_distillation": ("SelfDistillation", "SelfDistillationLoss", "TeacherUpdate"),
        "trunk": ("create_trunk",),
    },
)


def __getattr__(name: str) -> Any:
    try:
        return _found(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "lightly":
            raise
        raise ImportError(f"{name} needs lightly, which is not installed: pip install lightly") from error
