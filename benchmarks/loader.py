"""Does the loader keep up with the training step? `python benchmarks/loader.py --workers 0 1 2`.

Slices of noise (PNG files of image folders, decoded once, or volumes cut into memory) go through the bundle's own data
loader and its `prepare_batch`, with augmentation on the CPU and on the device: `device` brings slices to one size on
the CPU first, `device, one size` takes them as they are, which slices of one size allow. A row's rate counts the images
of an epoch from the first batch on until they lie on the device, augmented and normalised. The step is the bundle's
training step, without loading, on one batch. Rows and step are measured by turns, `--rounds` times; the table has
medians. Loader and step are measured apart: where both share the same cores, training is slower than either.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import PRESETS
from PIL import Image
from slice_store import write_volumes

from qfae_monai.model.bundle import Bundle

ONE_SIZE = {"augment": {"_target_": "monai.transforms.Identityd", "keys": "image"}}
AUGMENTATIONS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "CPU": ([], {}),
    "device": (["device_augmentation"], {}),
    "device, one size": (["device_augmentation"], ONE_SIZE),
}


def write_images(folder: Path, images: int, side: int) -> None:
    """Head-sized discs of noise as 8-bit PNG, in the layout of `datasets/bmad.yaml`."""
    rng = np.random.default_rng(0)
    x, y = np.ogrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    for split, count in (("train", images), ("valid", 1)):
        (folder / split / "good").mkdir(parents=True)
        for number in range(count):
            pixels = (rng.normal(120, 20, (side, side)).clip(1, 255) * (x**2 + y**2 < 0.6)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / split / "good" / f"{number:05d}.png")


def write_data(folder: Path, arguments: argparse.Namespace) -> list[str]:
    """Data of the source asked for; the overlay that reads them."""
    if arguments.source == "png":
        write_images(folder, arguments.images, arguments.side)
        return ["datasets/bmad"]
    volumes = write_volumes(folder, max(1, arguments.images // 64), 64)
    (folder / "dataset.json").write_text(json.dumps({"training": volumes, "validation": volumes[:1]}))
    return []


def parse(overlays: list[str], arguments: argparse.Namespace, folder: Path, overrides: dict[str, Any]) -> Bundle:
    settings = {
        "changes::image_size": arguments.size,
        "batch_size": arguments.batch_size,
        "dataset_dir": str(folder),
        "precision": arguments.precision,
        "device": f"$torch.device({arguments.device!r})",
    }
    return Bundle(["train", *overlays], {**PRESETS[arguments.preset], **settings, **overrides})


def loader_rate(bundle: Bundle) -> Callable[[], float]:
    """Measure one epoch of the bundle's loader and `prepare_batch`: images a second."""
    loader = bundle.part("train::dataloader")
    prepare = bundle.part("train::trainer::prepare_batch")
    device = bundle.part("device")

    def measure() -> float:
        count, start = 0, 0.0
        for batch in loader:
            image, _ = prepare(batch, device, non_blocking=loader.pin_memory)
            if not start:  # workers start before the clock does
                synchronize(device)
                start = time.perf_counter()
            else:
                count += len(image)
        synchronize(device)
        return count / (time.perf_counter() - start)

    return measure


def step_rate(bundle: Bundle, steps: int) -> Callable[[], float]:
    """Measure forward, loss, backward and optimiser: images a second."""
    network, loss, optimizer = (bundle.part(key) for key in ("network", "loss", "optimizer"))
    device, size = bundle.part("device"), bundle.part("model")["image_size"]
    image = torch.randn(bundle.part("batch_size"), 1, size, size, device=device)

    def measure() -> float:
        for number in range(steps + 1):
            if number == 1:  # the first warms up
                synchronize(device)
                start = time.perf_counter()
            optimizer.zero_grad()
            loss(network(image), image).backward()
            optimizer.step()
        synchronize(device)
        return steps * len(image) / (time.perf_counter() - start)

    return measure


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=("png", "volumes"), default="png")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--side", type=int, default=240, help="of stored PNG images, pixels; volumes have 224")
    parser.add_argument("--size", type=int, default=224, help="side that the network takes, pixels")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--preset", choices=tuple(PRESETS), default="tiny", help="of the step")
    parser.add_argument("--steps", type=int, default=2, help="measured of each round, after one of warm-up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "auto"), default="auto")
    parser.add_argument("--threads", type=int, default=1, help="torch threads of this process")
    parser.add_argument("--json", type=Path, help="file for the same numbers")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        source = write_data(Path(name), arguments)
        measures: dict[tuple[str, int], Callable[[], float]] = {}
        for augmentation, (overlays, overrides) in AUGMENTATIONS.items():
            for workers in arguments.workers:
                bundle = parse([*source, *overlays], arguments, Path(name), {**overrides, "num_workers": workers})
                measures[augmentation, workers] = loader_rate(bundle)
        step = step_rate(parse(source, arguments, Path(name), {"num_workers": 0}), arguments.steps)
        rounds = [({row: measure() for row, measure in measures.items()}, step()) for _ in range(arguments.rounds)]
    trained = statistics.median(rate for _, rate in rounds)
    print(
        f"{arguments.images} {arguments.source}, {arguments.size} px, batches of {arguments.batch_size}, "
        f"{arguments.device}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}; "
        f"training step ({arguments.preset}): {trained:.1f} images/s\n"
    )
    print("| augmentation | workers | loader (images/s) | loader / step |\n|---|---|---|---|")
    rows = []
    for augmentation, workers in measures:
        loaded = statistics.median(found[augmentation, workers] for found, _ in rounds)
        ratio = statistics.median(found[augmentation, workers] / rate for found, rate in rounds)
        rows.append({"augmentation": augmentation, "workers": workers, "images_per_s": loaded, "of_step": ratio})
        print(f"| {augmentation} | {workers} | {loaded:.0f} | {ratio:.2f} |", flush=True)
    if arguments.json:
        settings = {key: value for key, value in vars(arguments).items() if key != "json"}
        content = {"settings": settings, "torch": torch.__version__, "step_images_per_s": trained, "rows": rows}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
