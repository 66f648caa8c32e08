"""`qfae export`: a trained checkpoint as ONNX or TorchScript, compared with PyTorch before it counts."""

# ruff: noqa: PLC0415 (imports inside the command keep `qfae --help` quick)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from qfae_monai.cli.trust import TRUST
from qfae_monai.files.configurations import check_trusted, path_text
from qfae_monai.screen import echo


def export(
    checkpoint: Path = typer.Option(..., help="model.pt of a training with the same preset."),
    output: Path = typer.Option(..., help="File to write: .onnx, or .ts for TorchScript."),
    graph: str = typer.Option("detector", help="`detector`: reconstruction, map and score; or `reconstruction` alone."),
    preset: str = typer.Option("paper", help="Preset of the bundle: paper, small, tiny."),
    bundle: Path = typer.Option(Path("bundles/qfae"), help="The bundle's folder."),
    weights: Path | None = typer.Option(None, help="Folder or file of the perceptual network's weights."),
    set_: list[str] | None = typer.Option(None, "--set", help="KEY=VALUE of inference.json; may be given often."),
    trust: bool = TRUST,
) -> None:
    """Write the graph of a checkpoint, with the checkpoint's SHA-256 inside, for any batch size.

    It is run beside PyTorch first; a difference above 0.0001 is an error and nothing is written.
    """
    from qfae_monai.export import read_source, write_graph

    check_trusted(bundle, [bundle / "configs" / "presets" / f"{preset}.json"], trusted=trust)
    settings = _settings(set_ or [])
    if weights is not None:
        settings["weights_dir"] = path_text(weights)
    written = write_graph(read_source(bundle, checkpoint, graph, preset=preset, settings=settings), output)
    for file in written.files:
        echo(f"{file}: {file.stat().st_size / 2**20:.1f} MB")
    differences = ", ".join(f"{name} {value:.1e}" for name, value in written.differences.items())
    echo(f"largest difference from PyTorch: {differences}")


def _settings(given: list[str]) -> dict[str, Any]:
    """KEY=VALUE to a dictionary; a value is JSON where it reads as that, else text.

    >>> _settings(["score_over_pixels=mean", "score_blocks=[3, 5]"])
    {'score_over_pixels': 'mean', 'score_blocks': [3, 5]}
    """
    settings: dict[str, Any] = {}
    for setting in given:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"--set expects KEY=VALUE, got {setting!r}")
        try:
            settings[key] = json.loads(value)
        except ValueError:
            settings[key] = value
    return settings
