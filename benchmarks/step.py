"""Speed and memory of one training step and one evaluation step: `python benchmarks/step.py --preset all`.

The networks are the bundle's, built from its configurations, with seeded random weights; images are noise. The numbers
say what a step costs, nothing about accuracy. Time is the median over steps after warm-up, without data loading. On a
CPU the memory is the whole process's peak (libraries and weights included), on CUDA that of the tensors. Each row is
measured in a process of its own, whose parent stays small: on Linux a child's peak is not reported below its parent's.
"""

# ruff: noqa: PLC0415 (torch is imported by the measuring processes only, see above)

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CONFIGS = Path(__file__).parents[1] / "bundles" / "qfae" / "configs"
WARM_UP = 2
COLUMNS = ("preset", "step", "device", "precision", "threads", "batch", "images/s", "peak memory (MB)")
VIT = {"_target_": "qfae_monai.weights.create_vit", "image_size": "@image_size"}

PRESETS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "tiny": (["presets/tiny"], {}),
    "mid": (
        [],
        {
            "batch_size": 4,
            # DINOv2's layer scale starts at 1e-5, with which blocks without trained weights would do next to nothing
            "encoder_trunk": {**VIT, "name": "vit_base_patch14_reg4_dinov2", "seed": 7, "init_values": None},
            "perceptual_trunk": {**VIT, "name": "vit_base_patch16_224", "seed": 11},
            "loss_blocks": [7, 9],
            "score_blocks": [5, 7, 9],
        },
    ),
}
"""Overlays on train.json, and what replaces single keys of it."""


def build(preset: str, arguments: argparse.Namespace) -> Any:
    """The bundle's configuration, from which network, loss and scorer are made."""
    import torch
    from monai.bundle import ConfigParser

    overlays, overrides = PRESETS[preset]
    files = [CONFIGS / f"{name}.json" for name in ("train", *overlays)]
    config = ConfigParser()
    config.read_config([str(file) for file in files])
    scorer = json.loads((CONFIGS / "evaluate.json").read_text())["scorer"]
    config.update({**overrides, "scorer": scorer, "precision": arguments.precision})
    config["device"] = torch.device(arguments.device)
    return config


def training_step(config: Any, image: torch.Tensor) -> Callable[[], None]:
    """Forward, perceptual loss, backward, Adam."""
    network, loss = (config.get_parsed_content(key) for key in ("network", "loss"))
    optimizer = config.get_parsed_content("optimizer")
    network.train()

    def step() -> None:
        optimizer.zero_grad()
        loss(network(image), image).backward()
        optimizer.step()

    return step


def evaluation_step(config: Any, image: torch.Tensor) -> Callable[[], None]:
    """Reconstruction, anomaly map and score."""
    import torch

    network = config.get_parsed_content("network").eval()
    scorer = config.get_parsed_content("scorer").to(image.device)

    def step() -> None:
        with torch.no_grad():
            scorer(image, network(image))

    return step


STEPS = {"training": training_step, "evaluation": evaluation_step}


def median_seconds(step: Callable[[], None], steps: int, device: torch.device) -> float:
    import torch

    seconds = []
    for _ in range(WARM_UP + steps):
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[WARM_UP:])


def peak_memory_mb(device: torch.device) -> float:
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def measure(preset: str, name: str, arguments: argparse.Namespace) -> list[str]:
    """One row of the table, measured in this process."""
    import torch

    config, device = build(preset, arguments), torch.device(arguments.device)
    torch.manual_seed(0)
    batch, side = int(config["batch_size"]), int(config["image_size"])
    image = torch.randn(batch, 1, side, side, device=device)
    seconds = median_seconds(STEPS[name](config, image), arguments.steps, device)
    return [preset, name, arguments.device, arguments.precision, str(torch.get_num_threads()), str(batch),
            f"{batch / seconds:.2f}", f"{peak_memory_mb(device):.0f}"]  # fmt: skip


def measure_apart(preset: str, name: str, arguments: argparse.Namespace) -> list[str]:
    """One row of the table, measured in a process of its own."""
    command = [sys.executable, __file__, "--preset", preset, "--only", name, "--steps", str(arguments.steps),
               "--device", arguments.device, "--precision", arguments.precision]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{preset}, {name}: the measuring process ended with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=(*PRESETS, "all"), default="tiny")
    parser.add_argument("--steps", type=positive, default=5, help=f"measured steps, after {WARM_UP} of warm-up")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "auto"), default="float32")
    parser.add_argument("--only", choices=tuple(STEPS), help=argparse.SUPPRESS)  # how this command calls itself
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.preset, arguments.only, arguments)))
        return
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|", flush=True)
    for preset in PRESETS if arguments.preset == "all" else (arguments.preset,):
        for name in STEPS:
            print("| " + " | ".join(measure_apart(preset, name, arguments)) + " |", flush=True)


if __name__ == "__main__":
    main()
