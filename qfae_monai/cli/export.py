"""`qfae export`: a model as ONNX or TorchScript, compared with PyTorch before it counts."""

# ruff: noqa: PLC0415 (imports inside the command keep `qfae --help` quick)

from __future__ import annotations

from pathlib import Path

import typer

from qfae_monai.cli.options import MODEL, SET, TRUST
from qfae_monai.screen import echo


def export(
    model: Path = MODEL,
    output: Path | None = typer.Option(
        None, "-o", "--output", help="File: .onnx, or .ts for TorchScript; default: in the model, for --device onnx."
    ),
    graph: str = typer.Option("detector", help="`detector`: reconstruction, map and score; or `reconstruction` alone."),
    set_: list[str] | None = SET,
    trust: bool = TRUST,
) -> None:
    """Write the graph of a model, with the checkpoint's SHA-256 inside, for any batch size.

    It is run beside PyTorch first; a difference above 0.0001 is an error and nothing is written.
    """
    from qfae_monai.model.bundle import parse_settings
    from qfae_monai.model.export_source import read_source
    from qfae_monai.model.exported_graph import write_graph
    from qfae_monai.model.folder import seal_again
    from qfae_monai.predict.model import GRAPH

    if output is None and graph != "detector":
        raise ValueError(f"--graph {graph}: expected --output beside it, as the model itself holds the detector alone")
    if output is None and model.is_file():
        raise ValueError(f"{model}: expected --output beside a packed model, which nothing is added to")
    source = read_source(model, graph, settings=parse_settings(set_ or []), trusted=trust)
    written = write_graph(source, output or model / GRAPH)
    if output is None:
        seal_again(model)
    for file in written.files:
        echo(f"{file}: {file.stat().st_size / 2**20:.1f} MB")
    differences = ", ".join(f"{name} {value:.1e}" for name, value in written.differences.items())
    echo(f"largest difference from PyTorch: {differences}")
