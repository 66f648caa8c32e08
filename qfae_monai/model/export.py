"""The trained method as a file for other runtimes: ONNX and TorchScript, each with a record of its origin."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from torch import Tensor, nn

from qfae_monai import __version__
from qfae_monai.anomaly.detector import (
    GRAPHS,
    RECORD_KEY,
    AnomalyDetector,
    GraphRecord,
    graph_inputs,
    inside_of_graph,
    open_session,
)
from qfae_monai.files.configurations import path_text
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import INFERENCE, NETWORK, ModelFolder
from qfae_monai.model.packing import unpacked
from qfae_monai.model.trust import check_model_trusted
from qfae_monai.weights.checkpoints import load_checkpoint

# Source of an export: the network or detector of a model folder, and the record of its origin.

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
    decodes_tokens = bundle.plain("model").get("decodes") == "tokens"  # which older models do not say
    module = Picture(module) if graph == "reconstruction" and decodes_tokens else module
    record = GraphRecord(
        graph=graph,
        image_size=int(bundle.plain("model")["image_size"]),
        checkpoint_sha256=folder.files[NETWORK],
        version=__version__,
        settings=inside_of_graph(bundle.signature) if graph == "detector" else {},
    )
    return ExportSource(module.requires_grad_(False).eval(), record)


class Picture(nn.Module):
    """The picture of a network that decodes tokens.

    Args:
        network: image (B, 1, H, W) to `Decoded`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """image: (B, 1, H, W), normalised -> (B, 3, H, W)."""
        return self.network(image).image


# Writing a module as ONNX or TorchScript, whole or not at all, and reading it back to compare.

OUTPUTS = {"reconstruction": ["reconstruction"], "detector": ["reconstruction", "anomaly_map", "score"]}
SUFFIXES = (".onnx", ".ts")
TOLERANCE = 1e-4  # of normalised reconstruction, anomaly map and score, in their largest value where that is above 1
LARGEST_FILE = 1_800_000_000  # bytes of weights; an ONNX file ends at 2 GiB, beyond that they lie beside it
TRACED_BATCH = 2  # a batch of one would be taken for a constant
BATCHES = (1, 3)  # other sizes than the traced one


@dataclass(frozen=True)
class WrittenGraph:
    """files: one, or for a large ONNX graph that and its `.data`; differences: from PyTorch's, largest by output."""

    files: tuple[Path, ...]
    differences: dict[str, float]


def write_graph(source: ExportSource, path: str | os.PathLike) -> WrittenGraph:
    """Write what `read_source` built and run it beside PyTorch; any batch size goes through the graph.

    Args:
        source: module and record.
        path: ends in .onnx or .ts (TorchScript); its folder is made. Until outputs agree, what was there stays.

    Raises:
        ValueError: for another suffix, or if an output differs from PyTorch's by more than TOLERANCE.
        ModuleNotFoundError: for ONNX without the extra `export`.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: expected a file ending in {' or '.join(SUFFIXES)}, got {path.suffix or 'no suffix'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        (_write_onnx if path.suffix == ".onnx" else _write_torchscript)(source, partial / path.name)
        found = largest_differences(source, partial / path.name)
        if not all(value <= TOLERANCE for value in found.values()):
            raise ValueError(f"{path}: expected outputs within {TOLERANCE} of PyTorch's, got differences of {found}")
        written = sorted(partial.iterdir(), reverse=True)  # weights before the graph that names them
        return WrittenGraph(tuple(file.replace(path.with_name(file.name)) for file in written)[::-1], found)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def largest_differences(source: ExportSource, path: Path) -> dict[str, float]:
    """Run a written graph beside its module on noise, one image and a batch: largest difference by output.

    Of values above 1, such as maps in standard deviations, as a share of the largest.
    """
    run = (_onnx_caller if path.suffix == ".onnx" else _torchscript_caller)(path)
    names = OUTPUTS[source.record.graph]
    found = torch.zeros(len(names))
    for batch in BATCHES:
        inputs = _example(source, batch, seed=batch)
        with torch.no_grad():
            pairs = zip(_as_tuple(run(*inputs)), _as_tuple(source.module(*inputs)), strict=True)
        found = found.maximum(torch.stack([_difference(exported, expected) for exported, expected in pairs]))
    return dict(zip(names, found.tolist(), strict=True))


def _difference(exported: Tensor, expected: Tensor) -> Tensor:
    return (exported - expected).abs().max() / expected.abs().max().clamp_min(1)


def _write_onnx(source: ExportSource, path: Path) -> None:
    try:
        import onnx  # noqa: F401, PLC0415  (an optional part)
        import onnxscript  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is not installed: expected the extra `export` (pip install onnx onnxruntime onnxscript)"
        ) from error
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            source.module,
            _example(source),
            input_names=list(_inputs(source)),
            output_names=OUTPUTS[source.record.graph],
            dynamic_shapes=tuple({0: torch.export.Dim("batch", min=1)} for _ in _inputs(source)),
            dynamo=True,
            verbose=False,
        )
    program.model.metadata_props[RECORD_KEY] = source.record.to_json()
    program.save(path, external_data=_weight_bytes(source.module) > LARGEST_FILE)


def _write_torchscript(source: ExportSource, path: Path) -> None:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that become constants: only the batch may differ, see BATCHES
        traced = torch.jit.trace(source.module, _example(source))
        torch.jit.save(traced, path, _extra_files={f"{RECORD_KEY}.json": source.record.to_json()})


def _inputs(source: ExportSource) -> tuple[str, ...]:
    """Names of a graph's inputs: a slice's place along its stack, too, where it changes the score."""
    positioned = isinstance(source.module, AnomalyDetector) and source.module.looks_at_position
    return ("image", "position") if positioned else ("image",)


def _example(source: ExportSource, batch: int = TRACED_BATCH, seed: int = 0) -> tuple[Tensor, ...]:
    """Inputs of noise: image (B, 1, S, S) and, where it is one, position (B,)."""
    side, draw = source.record.image_size, torch.Generator().manual_seed(seed)
    drawn = (torch.randn(batch, 1, side, side, generator=draw), torch.rand(batch, generator=draw))
    return drawn[: len(_inputs(source))]


def _weight_bytes(module: nn.Module) -> int:
    return sum(weight.nbytes for weight in {id(weight): weight for weight in module.parameters()}.values())


def _onnx_caller(path: Path) -> Callable[..., tuple[Tensor, ...]]:
    session = open_session(path)

    def call(image: Tensor, position: Tensor | None = None) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(values) for values in session.run(None, graph_inputs(session, image, position)))

    return call


def _torchscript_caller(path: Path) -> Callable[[Tensor], Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch prefers its own export format, MONAI bundles this one
        return torch.jit.load(path)


def _as_tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
