"""Images/s of PyTorch, TorchScript and ONNX Runtime on a CPU: `python -m benchmarks.runtimes --preset tiny`.

The whole method each: image to reconstruction, anomaly map and score. Networks are the bundle's with seeded random
weights, images are noise: the numbers say what an image costs, nothing about accuracy. The runtimes take turns in one
process (A, B, C, A, ...), all in float32 with torch's number of threads; time is the median over turns after one that
is not counted. Writing the graphs is outside of the time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.networks import PRESETS, build
from benchmarks.step import median_seconds, positive
from qfae_monai import __version__
from qfae_monai.anomaly import AnomalyDetector, OnnxDetector
from qfae_monai.anomaly.graph_record import GraphRecord
from qfae_monai.model.export_source import ExportSource
from qfae_monai.model.exported_graph import write_graph

CPU = torch.device("cpu")
COLUMNS = ("preset", "batch", "threads", "runtime", "images/s", "times PyTorch", "largest difference")


def make_source(preset: str) -> ExportSource:
    """The detector of a preset; no checkpoint was read, and the record says so."""
    bundle = build(preset, CPU, precision="float32")
    detector = AnomalyDetector(bundle.part("network_def"), bundle.part("scorer"))
    record = GraphRecord(
        "detector", int(bundle.part("model")["image_size"]), checkpoint_sha256="0" * 64, version=__version__
    )
    return ExportSource(detector.requires_grad_(False).eval(), record)


def measure(preset: str, batch: int, turns: int) -> list[dict[str, Any]]:
    """A row for each runtime."""
    source = make_source(preset)
    side = source.record.image_size
    image = torch.randn(batch, 1, side, side, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        written = {suffix: write_graph(source, Path(folder) / f"detector{suffix}") for suffix in (".ts", ".onnx")}
        runtimes: dict[str, Callable[..., Any]] = {
            "PyTorch": source.module,
            "TorchScript": torch.jit.load(written[".ts"].files[0]),
            "ONNX Runtime": OnnxDetector(written[".onnx"].files[0], image_size=side),
        }
        steps = {name: lambda run=run: run(image) for name, run in runtimes.items()}
        seconds = median_seconds(steps, turns, CPU)
        expected = source.module(image)
        return [
            {
                "preset": preset,
                "batch": batch,
                "threads": torch.get_num_threads(),
                "runtime": name,
                "images_per_second": batch / seconds[name],
                "times_pytorch": seconds["PyTorch"] / seconds[name],
                "largest_difference": max(map(_difference, run(image), expected)),
            }
            for name, run in runtimes.items()
        ]


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="tiny")
    parser.add_argument("--batch", type=positive, nargs="+", default=[1, 16])
    parser.add_argument("--turns", type=positive, default=20, help="measured turns, after one of warm-up")
    parser.add_argument("--threads", type=positive, help="instead of torch's own choice")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|", flush=True)
    rows = []
    for batch in arguments.batch:
        for row in measure(arguments.preset, batch, arguments.turns):
            rows.append(row)
            print(f"| {row['preset']} | {batch} | {row['threads']} | {row['runtime']} | "
                  f"{row['images_per_second']:.3g} | {row['times_pytorch']:.2f} | {row['largest_difference']:.0e} |",
                  flush=True)  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
