"""A volume from its file to its saved map, stage by stage: `python benchmarks/volume.py --preset tiny mid`.

The volume is a head-sized ellipsoid of noise, 240 x 240 x 155 voxels of 16 bits in .nii.gz; chain, network and scorer
are those of the bundle's `inference.yaml`, with seeded random weights. Each stage is the time spent within its parts:
read (check, decompress, load), preprocess (orientation, intensities), resize (slices to the network's size), forward,
score, resize back, restore (orientation of the file), save (compress, write). `other` is what is left of the whole. The
table has medians over `--rounds`, after one round of warm-up with few slices. On a CPU the memory is the whole
process's peak, on CUDA that of the tensors; each preset is measured in a process of its own.
"""

# ruff: noqa: PLC0415 (torch is imported by the measuring processes only: a child's peak is not below its parent's)

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from networks import PRESETS

SHAPE = (240, 240, 155)
STAGES = ("read", "preprocess", "resize", "forward", "score", "resize back", "restore", "save")


class Stopwatch:
    """Seconds spent in functions, by stage."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._synchronize()
            start = time.perf_counter()
            found = function(*arguments, **options)
            self._synchronize()
            self.seconds[stage] += time.perf_counter() - start
            return found

        return call

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.device)


def write_volume(path: Path) -> None:
    import nibabel as nib
    import numpy as np

    x, y, z = np.ogrid[tuple(slice(-1, 1, side * 1j) for side in SHAPE)]
    inside = x**2 + y**2 + z**2 < 0.8
    image = np.random.default_rng(0).normal(600, 60, SHAPE) * inside
    nib.save(nib.Nifti1Image(image.astype(np.int16), np.diag([-1.0, -1.0, 1.0, 1.0])), path)


def build(arguments: argparse.Namespace, preset: str, folder: Path) -> Any:
    """The bundle's inference over the folder's volumes, without checkpoint, calibration and tables."""
    from qfae_monai.model.bundle import Bundle

    settings = {
        "network_def::weights": None,
        "precision": arguments.precision,
        "dataset_dir": str(folder),
        "num_workers": 0,
        "output_dir": str(folder / "maps"),
        "calibration": None,
        "handlers": [],
        "device": f"$torch.device({arguments.device!r})",
    }
    model = {key: value for key, value in PRESETS[preset].items() if key != "batch_size"}
    return Bundle(["inference"], {**model, **settings})


def attach(watch: Stopwatch, bundle: Any) -> None:
    """Have the parts of the chain timed, each transform under its own stage: one class may stand in several."""
    before, after, inferer, network = (
        bundle.part(key) for key in ("preprocessing", "postprocessing", "inferer", "network")
    )
    before, after = before.flatten().transforms, after.flatten().transforms
    stages = {
        "read": before[:1],
        "preprocess": before[1:],
        "resize": [inferer.resize],
        "restore": after[:-1],
        "save": after[-1:],
    }
    stage_of = {id(part): stage for stage, parts in stages.items() for part in parts}
    # classes, not objects, are given a new call: Compose and Invertd look at what a transform is
    for kind in {type(part) for parts in stages.values() for part in parts}:
        kind.__call__ = _timed_by_stage(watch, kind.__call__, stage_of)
    network.forward = watch.timed("forward", network.forward)
    inferer.scorer.forward = watch.timed("score", inferer.scorer.forward)
    inferer._stacked = watch.timed("resize back", inferer._stacked)


def _timed_by_stage(watch: Stopwatch, call: Callable[..., Any], stage_of: dict[int, str]) -> Callable[..., Any]:
    def timed(part: Any, *arguments: Any, **options: Any) -> Any:
        stage = stage_of.get(id(part))
        function = watch.timed(stage, call) if stage else call
        return function(part, *arguments, **options)

    return timed


def peak_memory_mb(device: Any) -> float:
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def measure(preset: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One column of the table, measured in this process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_volume(folder / "volume.nii.gz")
        bundle = build(arguments, preset, folder)
        watch, rounds = Stopwatch(bundle.part("device")), []
        attach(watch, bundle)
        evaluator, inferer = (bundle.part(key) for key in ("evaluator", "inferer"))
        for number in range(arguments.rounds + 1):
            inferer.choice.index_range = None if number else (70, 75)
            watch.seconds.clear()
            start = time.perf_counter()
            evaluator.run()
            total = time.perf_counter() - start
            rounds.append({**watch.seconds, "other": total - sum(watch.seconds.values()), "whole": total})
        scored = int((~evaluator.state.output[0]["slice_scores"].isnan()).sum())
        saved = sum(path.stat().st_size for path in (folder / "maps").iterdir()) / 1e6
        read = (folder / "volume.nii.gz").stat().st_size / 1e6
    seconds = {stage: statistics.median(r[stage] for r in rounds[1:]) for stage in (*STAGES, "other", "whole")}
    return {
        "preset": preset,
        "seconds": seconds,
        "slices": scored,
        "slices_per_s": scored / seconds["whole"],
        "peak_memory_mb": peak_memory_mb(bundle.part("device")),
        "read_mb": read,
        "saved_mb": saved,
    }


def measure_apart(preset: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One column of the table, measured in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--only",
        preset,
        "--rounds",
        str(arguments.rounds),
        "--device",
        arguments.device,
        "--precision",
        arguments.precision,
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{preset}: the measuring process ended with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", choices=tuple(PRESETS), default=["tiny"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "auto"), default="float32")
    parser.add_argument("--json", type=Path, help="file for the same numbers")
    parser.add_argument("--only", choices=tuple(PRESETS), help=argparse.SUPPRESS)  # how this command calls itself
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments)))
        return
    columns = [measure_apart(preset, arguments) for preset in arguments.preset]
    first = columns[0]
    shape = " x ".join(map(str, SHAPE))
    print(
        f"{shape} voxels, {first['slices']} slices scored, {first['read_mb']:.1f} MB in; "
        f"{arguments.device}, {arguments.precision}, {len(os.sched_getaffinity(0))} cores, "
        f"load {os.getloadavg()[0]:.1f}\n"
    )
    print("| stage (s) | " + " | ".join(arguments.preset) + " |\n|---" + "|---" * len(columns) + "|")
    for stage in (*STAGES, "other", "whole"):
        print(f"| {stage} | " + " | ".join(f"{column['seconds'][stage]:.2f}" for column in columns) + " |")
    for key, name in (("slices_per_s", "slices/s"), ("peak_memory_mb", "peak memory (MB)"), ("saved_mb", "map (MB)")):
        print(f"| {name} | " + " | ".join(f"{column[key]:.1f}" for column in columns) + " |")
    if arguments.json:
        settings = {"device": arguments.device, "precision": arguments.precision, "rounds": arguments.rounds}
        arguments.json.write_text(json.dumps({"settings": settings, "columns": columns}, indent=1) + "\n")


if __name__ == "__main__":
    main()
