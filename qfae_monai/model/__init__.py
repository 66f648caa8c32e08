"""Model folders: planning, training, evaluating and opening them; a plan or a manifest does not need torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qfae_monai.lazy import lazy_names

if TYPE_CHECKING:
    from qfae_monai.model.builders import (
        create_autoencoder,
        create_distance,
        create_frozen,
        create_qfae,
        create_scorer,
        create_volume_score,
    )
    from qfae_monai.model.presets import model_settings, training_setting
    from qfae_monai.model.score_fit import ScoreFit
    from qfae_monai.model.signature import running_signature, stated_setting
    from qfae_monai.model.writer import ModelWriter, update_model

__all__ = [
    "ModelWriter",
    "ScoreFit",
    "create_autoencoder",
    "create_distance",
    "create_frozen",
    "create_qfae",
    "create_scorer",
    "create_volume_score",
    "model_settings",
    "running_signature",
    "stated_setting",
    "training_setting",
    "update_model",
]

__getattr__ = lazy_names(
    __name__,
    {
        "builders": (
            "create_autoencoder",
            "create_distance",
            "create_frozen",
            "create_qfae",
            "create_scorer",
            "create_volume_score",
        ),
        "presets": ("model_settings", "training_setting"),
        "score_fit": ("ScoreFit",),
        "signature": ("running_signature", "stated_setting"),
        "writer": ("ModelWriter", "update_model"),
    },
)
