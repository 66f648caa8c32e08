"""Names of measures, features and maps as a reader knows them."""

from __future__ import annotations

import re

__all__ = ["FEATURES", "MAPS", "measure_name"]

FEATURES = {
    "trivial_mean": "mean intensity", "trivial_std": "standard deviation of intensity",
    "trivial_max": "largest intensity", "trivial_p99": "99th percentile of intensity",
    "trivial_foreground_area": "foreground area", "position": "position along the volume",
    "distance_to_middle": "distance to the volume's middle", "rival_neighbours": "nearest neighbours (no training)",
    "file_size": "file size", "channels": "channels", "matrix_size": "matrix size", "scored": "slices scored",
}  # fmt: skip
MAPS = {
    "anomaly_map": "the model", "image": "plain intensity", "mean_distance": "distance to the training mean",
    "neighbours": "nearest neighbours (no training)",
}  # fmt: skip
NAMES = {"auroc": "AUROC", "average_precision": "average precision", "aupro": "AUPRO, to a false-positive rate of 0.3"}


def measure_name(key: str) -> str:
    """Key in `evaluation.json` -> name.

    >>> measure_name("auroc"), measure_name("sensitivity_at_97.5_specificity")
    ('AUROC', 'sensitivity at 97.5 % specificity')
    """
    at = re.fullmatch(r"sensitivity_at_(.+)_specificity", key)
    return f"sensitivity at {at[1]} % specificity" if at else NAMES.get(key, key)
