"""Speed and memory of a training and an evaluation step on a GPU: `python -m benchmarks.gpu --preset small paper`.

Networks are the bundle's with seeded random weights, images are noise, as in `benchmarks.step`, which compares with the
plain formulation, too, and takes minutes for the paper's size; this takes a quarter of a minute for each row. Time is
the median over turns after warm-up; memory is what tensors take at the peak of the step; the peak of matrix products
is measured in the same process, operations are counted as they run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks import PRESETS, build
from benchmarks.step import Step, evaluation_step, median_seconds, peak_gflops, peak_mb, training_step
from qfae_monai.networks.precision import compute_dtype, prepare_precision

COLUMNS = ("preset", "step", "precision", "batch", "images/s", "TFLOP/s", "of the peak", "peak MB")


def steps(preset: str, precision: str, device: torch.device, batch: int | None) -> tuple[dict[str, Step], int]:
    """Both steps of a preset by name, and the batch size that they take."""
    settings = {"precision": precision} if batch is None else {"precision": precision, "batch_size": batch}
    bundle = build(preset, device, **settings)
    network, batch_size, side = bundle.part("network"), bundle.part("batch_size"), bundle.part("model")["image_size"]
    image = torch.randn(batch_size, 1, side, side, device=device)
    train = training_step(network, bundle.part("loss"), image, fused=True)
    score = evaluation_step(network, bundle.part("score_distance").to(device), image)

    def trained() -> None:
        network.train()
        train()

    def scored() -> None:
        network.eval()
        score()

    return {"training": trained, "evaluation": scored}, batch_size


def measured(step: Step, batch: int, precision: str, arguments: argparse.Namespace) -> list[str]:
    """The last four cells of a line: images/s, TFLOP/s, share of the peak, MB."""
    device = torch.device(arguments.device)
    with FlopCounterMode(display=False) as counter:
        step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = median_seconds({"": step}, arguments.turns, device)[""]
    rate = counter.get_total_flops() / seconds / 1e9
    peak = peak_gflops(device, compute_dtype(device, precision))
    return [f"{batch / seconds:.0f}", f"{rate / 1e3:.1f}", f"{rate / peak:.0%}", f"{peak_mb(device):.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", choices=tuple(PRESETS), default=["small", "paper"])
    parser.add_argument("--precision", nargs="+", choices=("float32", "tf32", "bfloat16"), default=["float32"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, help="instead of the preset's")
    parser.add_argument("--turns", type=int, default=5, help="measured turns, after one of warm-up")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    arguments = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|", flush=True)
    rows = []
    for preset in arguments.preset:
        for precision in arguments.precision:
            prepare_precision(torch.device(arguments.device), precision)
            made, batch = steps(preset, precision, torch.device(arguments.device), arguments.batch)
            for name, step in made.items():
                rows.append([preset, name, precision, str(batch), *measured(step, batch, precision, arguments)])
                print("| " + " | ".join(rows[-1]) + " |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([dict(zip(COLUMNS, found, strict=True)) for found in rows], indent=1))


if __name__ == "__main__":
    main()
