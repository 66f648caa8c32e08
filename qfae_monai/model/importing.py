"""A checkpoint of an earlier version, or a published one, as a model folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qfae_monai.anomaly.calibration import Calibration, differences, listed, read_calibration
from qfae_monai.files import read_object, sha256_of
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import CALIBRATION, ModelFolder
from qfae_monai.model.writer import update_model, write_model
from qfae_monai.weights import convert_released, read_checkpoint
from qfae_monai.weights.released import load_matching

RELEASED_LAYOUT = "junction."
"""How names begin that only the released implementation's checkpoints have."""

FORMER_NAMES = {"perceptual_network": "model::perceptual::name"}
"""Settings of the first version's calibrations that are called otherwise now; the others stand below `model::`."""
FORMER_AXIS = 2
"""Of configurations that do not state one: earlier versions cut axially, whatever the scans were."""
OF_DATA = ("slice_axis", "slice_range", "min_foreground")


def import_checkpoint(
    checkpoint: Path,
    folder: Path,
    overlays: Sequence[str | Path],
    settings: Mapping[str, Any],
    *,
    include_weights: bool | None = None,
) -> ModelFolder:
    """Write a model folder from a checkpoint; thresholds beside it come along if they are of the same settings.

    Args:
        checkpoint: `model.pt` of this package, or one in the layout of the released implementation.
        folder: of the model.
        overlays: names of the configurations that it was trained with, `train` first.
        settings: that replace theirs, such as `preset`.
        include_weights: whether the perceptual network becomes a file of the folder, as in `ModelWriter`.

    Raises:
        FileNotFoundError: if the checkpoint or weights are missing.
        ValueError: if it does not fit the configuration, or its thresholds were made with other settings.
    """
    bundle = Bundle(overlays, {**settings, "encoder_weights": "checkpoint"})
    if not isinstance(bundle.config["slice_axis"], int):  # the data that would say it are not here
        bundle = Bundle(overlays, {**bundle.settings, "slice_axis": FORMER_AXIS})
    state = read_checkpoint(checkpoint)
    if any(key.startswith(RELEASED_LAYOUT) for key in state):
        state = convert_released(state)
    network = bundle.part("network_def")
    load_matching(network, state, source=checkpoint)
    beside = checkpoint.with_name(CALIBRATION)
    calibration = _former(beside, checkpoint, bundle.signature) if beside.is_file() else None
    model = write_model(
        folder, bundle.config, network, bundle.part("perceptual_trunk"), include_weights=include_weights
    )
    if calibration is None:
        return model
    calibration = Calibration(
        **{**vars(calibration), "checkpoint": sha256_of(model.checkpoint), "settings": bundle.signature}
    )
    calibration.save(folder / CALIBRATION)
    update_model(folder)
    return ModelFolder.open(folder)


def _former(path: Path, checkpoint: Path, signature: Mapping[str, Any]) -> Calibration:
    """Thresholds of a calibration of either version, whose settings must be those of the configuration now.

    Raises:
        ValueError: naming each setting that differs.
    """
    content = read_object(path, what="a calibration")
    found = read_calibration(path, checkpoint=checkpoint, checkpoint_sha256=sha256_of(checkpoint), former=True)
    then = found.settings
    if content["version"] == 1:
        then = {_name_now(name): value for name, value in found.settings.items()}
    different = differences(then, {name: value for name, value in signature.items() if name in then})
    if different:
        raise ValueError(
            f"{path}: expected thresholds of the settings that the model is imported with, got those of "
            f"others ({listed(different)})"
        )
    return found


def _name_now(name: str) -> str:
    return FORMER_NAMES.get(name, name if name in OF_DATA else f"model::{name}")
