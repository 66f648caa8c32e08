"""What scores depend on beside the checkpoint: the keys of `score_settings`, and what each may be in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from qfae_monai.files.schema import choice, items, number, optional, record, text, whole
from qfae_monai.losses.perceptual import METRICS
from qfae_monai.scoring.anomaly_map import Reduction
from qfae_monai.scoring.volume_score import SliceReduction

REDUCTION = choice(*get_args(Reduction))

SCORE_SETTINGS = record(
    {},
    {
        "image_size": whole(1, 8192),  # pixels
        "perceptual_network": text(called="the name of a network"),
        "score_blocks": items(whole(-1000, 1000), most=1000),
        "score_patch_sizes": items(whole(1, 8192), most=1000),  # pixels
        "score_consensus": choice("product", "none"),
        "metric": choice(*METRICS),
        "score_over_pixels": REDUCTION,
        "score_over_layers": REDUCTION,
        "map_over_layers": REDUCTION,
        "volume_score_over_slices": choice(*get_args(SliceReduction)),
        "volume_score_k": whole(1, 100_000),  # slices
        "slice_axis": whole(0, 2),
        "slice_range": optional(items(whole(0, 1_000_000), fewest=2, most=2)),
        "min_foreground": number(0, 1),  # share of a slice
    },
)
"""Schema of the settings inside of a calibration or an exported graph; a run that changes scores by another key adds it
here, so that the file can be read again."""


def as_in_a_file(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from JSON: tuples as lists."""
    found: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    return found
