"""Whether a model reconstructs: its error on normal slices beside the mean training image's, and how it varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qfae_monai.evaluation.levels import Level
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.evaluation.variation import ratio, read_variation

LEAST_VARIATION = 0.5
"""Below it reconstructions do not follow their input: one texture for all images gave 0.22 to 0.45, outlines 0.59."""

MOST_ERROR = 0.8
"""Of the mean image's error on normal slices: above it the model has learned little of what is normal."""


SAME_SCORE = "the score does not use the reconstruction, so the mean image through the same score is the same score"


def score_uses_reconstruction(configuration: Mapping[str, Any]) -> bool:
    """Whether some map of the score is the reconstruction's; not so where nearest neighbours score alone.

    Maps of the reconstruction come first, one per group of blocks that is decoded, and those of neighbours behind them.

    Args:
        configuration: of `run.json`, by names such as `model::score_layers`.

    >>> groups = {"model::score_neighbours": True, "model::target_blocks::0": [2], "model::target_blocks::1": [4]}
    >>> some = (None, [1, 2], [2, 3], "neighbours")
    >>> [score_uses_reconstruction({**groups, "model::score_layers": maps}) for maps in some]
    [True, True, False, False]
    """
    layers = configuration.get("model::score_layers")
    if not configuration.get("model::score_neighbours") or not layers:
        return True
    if layers == "neighbours":
        return False
    decoded = sum(name.startswith("model::target_blocks::") for name in configuration)  # maps
    return min(layers) < decoded


def reconstruction_figures(run: RunFolder) -> dict[str, Any]:
    """Figures of `evaluation.json`, over normal slices; NaN where rivals or reconstructions were off.

    `used_by_score`: whether the score, and with it the first figure, depends on the reconstruction.

    `relative_error`: mean of the model's map over the mean of the same distance from the mean training image.
    `variation`: standard deviation of reconstructions over slices, relative to that of the images.
    """
    rows = run.slices.where(run.slices["label"] == 0)
    known = ~np.isnan(rows["error"]) & ~np.isnan(rows["mean_image_error"])
    mean_image = float(rows["mean_image_error"][known].sum())
    found = read_variation(run.path)
    return {
        "used_by_score": score_uses_reconstruction(run.run["configuration"]),
        "normal_slices": int(known.sum()),
        "relative_error": float(rows["error"][known].sum()) / mean_image if mean_image else float("nan"),
        "variation": ratio(found),
    }


def reconstruction_cautions(summary: Mapping[str, Any], levels: Sequence[Level]) -> list[str]:
    """Sentences on a model that does not reconstruct, does not beat the mean image, or ranks the wrong way round.

    Args:
        summary: with `reconstruction`, `metrics` and `shortcuts`.
        levels: whose figures are in it.
    """
    figures, found = summary["reconstruction"], []
    if not figures["used_by_score"]:
        found.append(f"{SAME_SCORE[0].upper()}{SAME_SCORE[1:]}.")
    for level in levels:
        auroc = summary["metrics"][level.name]["auroc"]
        if auroc["high"] < 0.5:  # NaN without an interval
            found.append(
                f"Wrong way round: {level.name} AUROC is {auroc['value']:.3f} ({auroc['low']:.3f} to "
                f"{auroc['high']:.3f}), below chance: abnormal {level.name}s are scored lower than normal ones."
            )
        for row in summary["shortcuts"]:
            if row["level"] == level.name and row["feature"] == "rival_mean_image" and row["rivals"]:
                found.append(
                    f"The model does not beat the mean training image through its own score on {level.name}s: AUROC "
                    f"{auroc['value']:.3f}, mean image {row['auroc']:.3f}."
                )
    if figures["used_by_score"] and figures["relative_error"] > MOST_ERROR:
        found.append(
            f"Hardly better than one image: the model's error on normal slices is {figures['relative_error']:.2f} of "
            f"that of the mean training image in the score's own distance, expected at most {MOST_ERROR:g}."
        )
    if figures["variation"] < LEAST_VARIATION:
        found.append(
            f"Reconstructions do not follow their input: over normal slices they vary {figures['variation']:.2f} times "
            f"as much as the images, expected at least {LEAST_VARIATION:g}."
        )
    return found
