"""The whole method as one module: image to reconstruction, anomaly map and score, for export and other runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import _IncompatibleKeys

from qfae_monai.anomaly.anomaly_map import AnomalyScorer
from qfae_monai.weights.matching import load_matching


class AnomalyDetector(nn.Module):
    """Reconstruct and score in one call.

    A checkpoint of the bundle holds the network alone; the scorer's perceptual network brings its own weights. So
    `load_state_dict` takes the network's state dict, which is how MONAI's exporters fill this module, too.

    Args:
        network: image (B, 1, H, W) to reconstruction (B, 3, H, W), such as `QFAE`.
        scorer: image and reconstruction to anomaly map and score.
    """

    def __init__(self, network: nn.Module, scorer: AnomalyScorer) -> None:
        super().__init__()
        self.network = network
        self.scorer = scorer

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image: (B, 1, H, W), normalised -> reconstruction (B, 3, H, W), anomaly map (B, 1, H, W), score (B,)."""
        reconstruction = self.network(image)
        found = self.scorer(image, reconstruction)
        return reconstruction, found.anomaly_map, found.score

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Fill the network from its own state dict, whole or not at all; the scorer stays as it is.

        Raises:
            ValueError: if names or shapes are not exactly the network's, a weight is NaN, or `strict` is off or
                `assign` on.
        """
        if not strict or assign:
            raise ValueError(f"expected strict=True and assign=False, got strict={strict} and assign={assign}")
        if not all(isinstance(weight, Tensor) for weight in state_dict.values()):
            raise ValueError(f"expected a state dict of tensors, got the keys {', '.join(state_dict)}; "
                             "say which of them holds the network (key_in_ckpt)")  # fmt: skip
        load_matching(self.network, state_dict, source="checkpoint")
        return _IncompatibleKeys([], [])
