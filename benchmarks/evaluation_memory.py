"""Peak memory of an evaluation by the number of its images: `python benchmarks/evaluation_memory.py`.

Writes random 8-bit images in BMAD's layout into a temporary folder, trains for one epoch on a few of them at the `tiny`
preset, and evaluates test sets of growing size, each in a process of its own, report and intervals included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image


def write_images(folder: Path, normal: int, abnormal: int, rng: np.random.Generator) -> None:
    """Noise with a smooth bump; abnormal ones have a bright square and its mask."""
    ramp = np.linspace(-1, 1, 64)
    bump = 120 * np.exp(-2 * (ramp[:, None] ** 2 + ramp[None] ** 2))
    for kind, count in (("good", normal), ("Ungood", abnormal)):
        for number in range(count):
            pixels, mask = bump + rng.normal(40, 8, bump.shape), np.zeros(bump.shape, np.uint8)
            if kind == "Ungood":
                row, column = rng.integers(8, 48, 2)
                mask[row : row + 8, column : column + 8] = 255
                pixels += 0.3 * mask
            for part, content in (("img", np.clip(pixels, 0, 255).astype(np.uint8)), ("label", mask)):
                path = folder / kind / part / f"{number:05d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(content).save(path)


def run_bundle(run_id: str, data: Path, work: Path, *overlays: str) -> None:
    """One run of the bundle, in this process."""
    from qfae_monai.model.bundle import Bundle  # noqa: PLC0415  (only the measured processes load it)

    settings = {"preset": "tiny", "dataset_dir": str(data), "model_dir": str(work / "model"),
                "output_dir": str(work / data.name / "evaluation"), "max_epochs": 1, "batch_size": 32}  # fmt: skip
    Bundle(["train", "datasets/bmad", *overlays], settings).run(run_id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--measure", nargs=3, metavar=("RUN_ID", "DATA", "WORK"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        run_id, data, work = arguments.measure
        run_bundle(run_id, Path(data), Path(work), *(["evaluate"] if run_id == "evaluating" else []))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**20
        Path(work, "peak.json").write_text(json.dumps({"megabytes": peak}))
        return
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for position, count in enumerate(arguments.images):
            data = work / f"{count}"
            rng = np.random.default_rng(position)
            for split, normal, abnormal in (("train", 64, 0), ("valid", 32, 0), ("test", count // 2, count // 2)):
                write_images(data / split, normal, abnormal, rng)
            for run_id in (["training"] if position == 0 else []) + ["evaluating"]:
                command = [sys.executable, __file__, "--measure", run_id, str(data), str(work)]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            peaks.append(json.loads((work / "peak.json").read_text())["megabytes"])
    print("| images | peak memory (MB) |\n|---|---|")
    for count, peak in zip(arguments.images, peaks, strict=True):
        print(f"| {count} | {peak:.0f} |")
    print(f"growth: {peaks[-1] - peaks[0]:.0f} MB")


if __name__ == "__main__":
    main()
