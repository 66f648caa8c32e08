"""Rate at which training slices are fed: `python benchmarks/slice_store.py`.

Writes volumes of noise as .nii.gz, fills a slice store from them, and counts the slices of 224 x 224 that MONAI's
DataLoader hands over in shuffled batches: read from .nii.gz at each access, from memory (SliceDataset), and from the
store while its pages are in the cache. With `--augment` also after the bundle's own training transforms. The volume
transform is the bundle's, and so is the choice of normal slices, without labels. Each process has one torch thread, as
DataLoader's workers always do. All rows are of one run; a row's rate is the median over its epochs, and the load
average says who else was at work.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import DataLoader, Dataset

from qfae_monai.data import SliceDataset
from qfae_monai.data.volume_slices import SliceCutter
from qfae_monai.model.bundle import Bundle

SIDE = 224
BATCH = 64
EPOCHS = 3


class ReadEachTime:
    """What a store spares: the slice `row` of a volume, which is read for it from the start."""

    def __init__(self, volume_transform: Any) -> None:
        self.cut = SliceCutter(volume_transform, normal_only=True)

    def __call__(self, entry: dict[str, Any]) -> dict[str, Any]:
        return {**self.cut(entry).sample(entry["row"]), "case": entry["case"]}


def write_volumes(folder: Path, volumes: int, slices: int) -> list[dict[str, Any]]:
    """Head-sized discs of smooth noise on a background of 0, 16 bit: they compress about as scans do."""
    rng = np.random.default_rng(0)
    x, y = np.ogrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    inside = (x**2 + y**2 < 0.6)[..., None]
    data = []
    for number in range(volumes):
        image = (rng.normal(600, 60, (SIDE, SIDE, slices)) * inside).astype(np.int16)
        path = folder / f"{number:04d}.nii.gz"
        nib.save(nib.Nifti1Image(image, np.eye(4)), path)
        data.append({"image": str(path), "image_label": 0, "case": path.name})
    return data


def rate(dataset: Dataset, workers: int, epochs: int = EPOCHS) -> float:
    """Median over epochs of the slices that come out a second, counted from the first batch on."""
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    rates = []
    for _ in range(epochs):
        batches = iter(loader)
        next(batches)  # workers start before the clock does
        start, count = time.perf_counter(), 0
        for batch in batches:
            count += len(batch["image"])
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates)


def timed(make: Any) -> tuple[SliceDataset, float]:
    start = time.perf_counter()
    dataset = make()
    return dataset, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=40)
    parser.add_argument("--slices", type=int, default=64, help="slices per volume")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="of the DataLoader; 0 is this process")
    parser.add_argument("--augment", action="store_true", help="also with the bundle's training transforms")
    parser.add_argument("--folder", type=Path, help="where volumes and store are written; a temporary one by default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bundle = Bundle(["train"])
    volume_transform = bundle.part("load_volume")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        data = write_volumes(folder, arguments.volumes, arguments.slices)
        fill = partial(SliceDataset, data, volume_transform, normal_only=True, store=folder / "store")
        memory, cut_s = timed(lambda: SliceDataset(data, volume_transform, normal_only=True))
        _, fill_s = timed(fill)
        stored, start_s = timed(fill)
        read = [{**data[0], "row": row} for row in range(min(2 * BATCH, arguments.slices))]
        again = Dataset(read, ReadEachTime(volume_transform))
        source, held = (sum(file.stat().st_size for file in where) / 1e6 for where in (
            folder.glob("*.nii.gz"), (folder / "store").iterdir()))  # fmt: skip
        print(f"{len(data)} volumes, {len(stored)} slices of {SIDE} x {SIDE}, float32; batches of {BATCH}, shuffled; "
              f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")  # fmt: skip
        print(f".nii.gz {source:.0f} MB, store {held:.0f} MB; start in memory {cut_s:.1f} s, "
              f"first start of the store {fill_s:.1f} s, later ones {start_s:.2f} s\n")  # fmt: skip
        print("| slices from | transforms | workers | images/s |\n|---|---|---|---|")
        for workers in arguments.workers:
            print(f"| .nii.gz each time | none | {workers} | {rate_of_reading(again, workers):.1f} |", flush=True)
            for source_name, dataset in (("memory", memory), ("store", stored)):
                print(f"| {source_name} | none | {workers} | {rate(dataset, workers):.0f} |", flush=True)
        if arguments.augment:
            for workers in arguments.workers:
                for source_name, dataset in (("memory", memory), ("store", stored)):
                    both = Dataset(dataset, bundle.part("train::preprocessing"))
                    print(f"| {source_name} | training | {workers} | {rate(both, workers, 1):.0f} |", flush=True)


def rate_of_reading(dataset: Dataset, workers: int) -> float:
    """Slices a second where each is read anew; few are counted, for each takes as long as its whole volume."""
    loader = DataLoader(dataset, batch_size=2, shuffle=True, num_workers=workers)
    batches = iter(loader)
    next(batches)
    start, count = time.perf_counter(), 0
    for batch in batches:
        count += len(batch["image"])
        if count >= 16:
            break
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
