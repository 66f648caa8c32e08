"""Source of an export: the network or detector of a model folder, and the record of its origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from qfae_monai import __version__
from qfae_monai.anomaly.graph_record import GRAPHS, GraphRecord, inside_of_graph
from qfae_monai.files.configurations import path_text
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import INFERENCE, NETWORK, ModelFolder
from qfae_monai.model.packing import unpacked
from qfae_monai.model.trust import check_model_trusted
from qfae_monai.weights.checkpoints import load_checkpoint

MODULES = {"reconstruction": "network_def", "detector": "detector_def"}


@dataclass(frozen=True)
class ExportSource:
    """module: in eval mode, float32, on the CPU; record: goes into the file."""

    module: nn.Module
    record: GraphRecord


def read_source(
    model: Path, graph: str = "detector", *, settings: Mapping[str, Any] | None = None, trusted: bool = False
) -> ExportSource:
    """Build what a model's inference would run, and fill it.

    Args:
        model: model folder, or a packed one.
        graph: `reconstruction` or `detector`.
        settings: values by key of its configuration, such as `weights_dir`.
        trusted: what the user said of configurations that this package did not write.

    Raises:
        FileNotFoundError: if the folder or the perceptual network's weights are missing.
        ValueError: for an unknown graph, or as `Model` of `qfae_monai.predict`; never random weights.
    """
    if graph not in GRAPHS:
        raise ValueError(f"graph must be one of {GRAPHS}, got {graph!r}")
    folder = ModelFolder.open(unpacked(model))
    model = folder.path
    check_model_trusted(model, trusted=trusted)
    # a graph runs on other machines: no half precision that this one happens to have, no code compiled for it
    given = {**(settings or {}), "bundle_root": path_text(model), "precision": "float32", "compile": False}
    bundle = Bundle([model / INFERENCE], given)
    bundle.check_known(settings or {})
    folder.check_signature(bundle.signature)
    module = bundle.part(MODULES[graph])
    load_checkpoint(module if graph == "reconstruction" else module.network, folder.checkpoint)
    record = GraphRecord(
        graph=graph,
        image_size=int(bundle.plain("model")["image_size"]),
        checkpoint_sha256=folder.files[NETWORK],
        version=__version__,
        settings=inside_of_graph(bundle.signature) if graph == "detector" else {},
    )
    return ExportSource(module.requires_grad_(False).eval(), record)
