"""What is exported: the network or detector of the bundle, filled from a checkpoint, and the record of its origin."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from torch import nn

from qfae_monai import __version__
from qfae_monai.bundle_errors import plain_errors
from qfae_monai.files.configurations import path_text
from qfae_monai.scoring import fingerprint
from qfae_monai.scoring.graph_record import GRAPH_SETTINGS, GRAPHS, GraphRecord
from qfae_monai.weights.checkpoints import load_checkpoint

MODULES = {"reconstruction": "network_def", "detector": "detector_def"}


@dataclass(frozen=True)
class ExportSource:
    """module: in eval mode, float32, on the CPU; record: goes into the file."""

    module: nn.Module
    record: GraphRecord


def read_source(
    bundle: str | os.PathLike,
    checkpoint: str | os.PathLike,
    graph: str = "detector",
    *,
    preset: str = "paper",
    settings: Mapping[str, Any] | None = None,
) -> ExportSource:
    """Build what the bundle's inference would run, and fill it.

    Args:
        bundle: the bundle's folder.
        checkpoint: `model.pt` of a training with the same preset.
        graph: `reconstruction` or `detector`.
        preset: an overlay of `configs/presets`.
        settings: values by key of inference.json, such as `weights_dir`.

    Raises:
        FileNotFoundError: if the checkpoint, a configuration or the perceptual network's weights are missing.
        ValueError: for an unknown graph or key, or a checkpoint that does not fit; never random weights.
    """
    if graph not in GRAPHS:
        raise ValueError(f"graph must be one of {GRAPHS}, got {graph!r}")
    sha256 = fingerprint(checkpoint)
    config = _read_config(Path(bundle), preset, settings or {})
    with plain_errors():
        module = config.get_parsed_content(MODULES[graph])
    load_checkpoint(module if graph == "reconstruction" else module.network, checkpoint)
    scores = config.get_parsed_content("score_settings") if graph == "detector" else {}
    record = GraphRecord(
        graph=graph,
        image_size=int(config.get_parsed_content("image_size")),
        checkpoint_sha256=sha256,
        version=__version__,
        settings={name: scores[name] for name in GRAPH_SETTINGS if name in scores},
    )
    return ExportSource(module.requires_grad_(False).eval(), record)


def _read_config(bundle: Path, preset: str, settings: Mapping[str, Any]) -> ConfigParser:
    files = [bundle / "configs" / name for name in ("inference.json", f"presets/{preset}.json")]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{file}: expected a configuration of the bundle, got no such file")
    config = ConfigParser()
    config.read_config([str(file) for file in files])
    for key, value in settings.items():
        if key not in config:
            raise ValueError(f"expected a key of {files[0]}, got {key!r}")
        config[key] = value
    # a graph runs on other machines: no half precision that this one happens to have, no code compiled for it
    config.update({"bundle_root": path_text(bundle), "precision": "float32", "compile": False})
    return config
