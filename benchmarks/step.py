"""Speed and memory of a training and an evaluation step, beside the plain formulation: `python -m benchmarks.step`.

The networks are the bundle's with seeded random weights, images are noise: the numbers say what a step costs, nothing
about accuracy. Both formulations take turns in one process (A, B, A, B, ...), the plain one always in float32 without
compilation; time is the median over turns after warm-up, without data loading. Evaluation hands images over in parts
of the size that a probe found quickest for each formulation. Memory is measured in a process for each of them: the peak
of the step, and how much of it lies above what was held before (weights, gradients, optimiser, on a CPU libraries too).
The peak of matrix products is measured here, too. On a GPU: `python -m benchmarks.step --preset paper --device cuda
--precision bfloat16 --compile --json step.json`.
"""

# ruff: noqa: PLC0415 (torch is imported by the measuring processes only, see `measure_apart`)

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

ROOT = Path(__file__).parents[1]
PRESETS = ("tiny", "mid", "small", "paper")
PARTS = (1, 2, 4, 8, 16, 32, 64)
FORMULATIONS = ("fast", "plain")
COLUMNS = (
    "preset",
    "step",
    "device",
    "precision",
    "batch",
    "images/s",
    "plain",
    "times as fast",
    "of the peak",
    "peak MB",
    "plain",
    "share",
    "the step's own MB",
    "plain",
    "share",
)

Step = Callable[[], None]


def make_step(formulation: str, name: str, preset: str, arguments: argparse.Namespace) -> tuple[Step, nn.Module]:
    """A step of either formulation, and its network."""
    import torch

    from benchmarks.networks import build
    from benchmarks.plain import PlainPerceptualLoss, PlainQFAE

    device = torch.device(arguments.device)
    plain = formulation == "plain"
    settings = {} if arguments.batch is None else {"batch_size": arguments.batch}
    bundle = build(
        preset,
        device,
        precision="float32" if plain else arguments.precision,
        compile=arguments.compile and not plain,
        checkpointing="none" if plain else arguments.checkpointing,
        **settings,
    )
    network, image = bundle.part("network"), _images(bundle, device)
    distance = bundle.part("loss" if name == "training" else "score_distance").to(device)
    if plain:
        network, distance = PlainQFAE(network), PlainPerceptualLoss(distance)
    if name == "training":
        return training_step(network, distance, image, fused=not plain), network
    return evaluation_step(network, distance, image), network


def training_step(network: nn.Module, loss: nn.Module, image: torch.Tensor, *, fused: bool) -> Step:
    """Forward, perceptual loss, backward, Adam."""
    import torch

    network.train()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=8e-5, fused=fused)

    def step() -> None:
        optimizer.zero_grad()
        loss(network(image), image).backward()
        optimizer.step()

    return step


def evaluation_step(network: nn.Module, distance: nn.Module, image: torch.Tensor) -> Step:
    """Reconstruction, anomaly map and score, in the parts that are quickest."""
    import torch

    from qfae_monai.anomaly import AnomalyScorer

    scorer = AnomalyScorer(distance)
    network.eval()

    def step_in_parts(size: int) -> None:
        with torch.no_grad():
            for part in image.split(size):
                scorer(part, network(part))

    sizes = [*[size for size in PARTS if size < len(image)][-3:], len(image)]
    seconds = {size: median_seconds({"": lambda size=size: step_in_parts(size)}, 2, image.device)[""] for size in sizes}
    best = min(sizes, key=lambda size: seconds[size])
    return lambda: step_in_parts(best)


def _images(bundle: Any, device: torch.device) -> torch.Tensor:
    import torch

    torch.manual_seed(0)
    side = int(bundle.part("model")["image_size"])
    return torch.randn(int(bundle.part("batch_size")), 1, side, side, device=device)


def median_seconds(steps: Mapping[str, Step], turns: int, device: torch.device) -> dict[str, float]:
    """Seconds of each step, measured by turns, after one turn (compiled: the compilation) that is not counted."""
    import torch

    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(1 + turns):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_gflops(device: torch.device, dtype: torch.dtype) -> float:
    """GFLOP/s of a large matrix product, the best of ten."""
    import torch

    side = 8192 if device.type == "cuda" else 1536
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    seconds = [median_seconds({"": lambda: left @ right}, 1, device)[""] for _ in range(10)]
    return 2 * side**3 / min(seconds) / 1e9


def gflop_an_image(name: str, preset: str, arguments: argparse.Namespace) -> float:
    import torch

    from benchmarks.flops import parts
    from benchmarks.networks import build

    bundle = build(preset, torch.device("cpu"), precision="float32")
    return next(value for step, part, value in parts(bundle) if step == name and part == "in all")


def measure_speed(preset: str, name: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Images/s of both formulations by turns, and the share of the matrix-product peak that the fast one reaches."""
    import torch

    from qfae_monai.networks.precision import compute_dtype, prepare_precision

    device = torch.device(arguments.device)
    prepare_precision(device, arguments.precision)
    steps = {formulation: make_step(formulation, name, preset, arguments)[0] for formulation in FORMULATIONS}
    batch = arguments.batch or _batch_size(preset)
    dtype = compute_dtype(device, arguments.precision)
    before = peak_gflops(device, dtype)
    seconds = median_seconds(steps, arguments.turns, device)
    peak = max(before, peak_gflops(device, dtype))
    gflop = gflop_an_image(name, preset, arguments)
    return {
        "batch": batch,
        "fast": batch / seconds["fast"],
        "plain": batch / seconds["plain"],
        "gflop": gflop,
        "peak_gflops": peak,
        "threads": torch.get_num_threads(),
    }


def _batch_size(preset: str) -> int:
    import torch

    from benchmarks.networks import build

    return int(build(preset, torch.device("cpu")).part("batch_size"))


def measure_memory(formulation: str, preset: str, name: str, arguments: argparse.Namespace) -> dict[str, float]:
    """MB at the peak of a step, and MB held before it; the step has run before."""
    import torch

    device = torch.device(arguments.device)
    step, network = make_step(formulation, name, preset, arguments)
    step()
    network.zero_grad()
    before = held_mb(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        forget_peak()
    step()
    return {"peak": peak_mb(device), "before": before}


def held_mb(device: torch.device) -> float:
    import torch

    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_mb(device)
    return int(next(line for line in status.read_text().splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def peak_mb(device: torch.device) -> float:
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def forget_peak() -> None:
    """Give back what the allocator keeps, and start the process's peak anew, where the system can (Linux)."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def measure_apart(what: str, preset: str, name: str) -> dict[str, float]:
    """A measurement in a process of its own: a child's peak is never below that of its parent, so ours stays small."""
    command = [sys.executable, "-m", "benchmarks.step", *sys.argv[1:], "--preset", preset, "--measure", what, name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{preset}, {name}, {what}: the measuring process ended with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def row(preset: str, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """All that is known of a step of a preset."""
    found: dict[str, Any] = {
        "preset": preset,
        "step": name,
        "device": arguments.device,
        "precision": arguments.precision,
        "compile": arguments.compile,
        "checkpointing": arguments.checkpointing,
    }
    found["speed"] = measure_apart("speed", preset, name)
    for formulation in FORMULATIONS:
        found[formulation] = measure_apart(formulation, preset, name)
    return found


def cells(found: Mapping[str, Any]) -> list[str]:
    """A row of the table, in the order of COLUMNS."""
    speed, fast, plain = found["speed"], found["fast"], found["plain"]
    own = [side["peak"] - side["before"] for side in (fast, plain)]
    how = [found["precision"], *(["compiled"] if found["compile"] else [])]
    how += [] if found["checkpointing"] == "none" else [f"checkpointing {found['checkpointing']}"]
    return [
        found["preset"],
        found["step"],
        found["device"],
        ", ".join(how),
        f"{speed['batch']:.0f}",
        f"{speed['fast']:.3g}",
        f"{speed['plain']:.3g}",
        f"{speed['fast'] / speed['plain']:.2f}",
        f"{speed['fast'] * speed['gflop'] / speed['peak_gflops']:.0%}",
        f"{fast['peak']:.0f}",
        f"{plain['peak']:.0f}",
        f"{fast['peak'] / plain['peak']:.2f}",
        f"{own[0]:.0f}",
        f"{own[1]:.0f}",
        f"{own[0] / max(own[1], 1):.2f}",
    ]


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="mid")
    parser.add_argument("--turns", type=positive, default=5, help="measured turns, after one of warm-up")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "tf32", "bfloat16", "auto"), default="float32")
    parser.add_argument("--compile", action="store_true", help="of the fast formulation")
    parser.add_argument("--checkpointing", choices=("none", "light", "full"), default="none")
    parser.add_argument("--batch", type=positive, help="instead of the preset's")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)  # how this command calls itself
    arguments = parser.parse_args()
    if arguments.measure:
        what, name = arguments.measure
        measured = (
            measure_speed(arguments.preset, name, arguments)
            if what == "speed"
            else measure_memory(what, arguments.preset, name, arguments)
        )
        print(json.dumps(measured))
        return
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|", flush=True)
    rows = []
    for name in ("training", "evaluation"):
        rows.append(row(arguments.preset, name, arguments))
        print("| " + " | ".join(cells(rows[-1])) + " |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
