"""Rate of preprocessing beside a bare loop: `python benchmarks/preprocessing.py FOLDER OUTPUT [options of volumes]`.

FOLDER is a tree that `python -m preprocessing.volumes` takes, with the options that it needs, such as
`--image '*Flair*' --label '*seg*'`. The bare loop reads the same images and masks with SimpleITK, scales each slice
that was taken to its minimum and maximum, and writes image and mask with cv2: no hash, guard, manifest, record or page.
Both run in this process, taking turns in who comes first, `--repeat` times, after one round that warms the caches; the
table gives each round's images a second, their ratio, and the ratio of processor time, which other work on the machine
disturbs less; the last line gives the medians. Everything of `prepare` is within its time, from finding the series to
the QC page; the import of the libraries is not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import SimpleITK as sitk

sys.path[0] = str(Path(__file__).parents[1])  # this file has the name of the package

from preprocessing.volumes import Volumes  # noqa: E402
from qfae_monai.files import read_csv  # noqa: E402
from qfae_monai.privacy import Pseudonyms  # noqa: E402
from qfae_monai.recipes import Source, prepare, task_backend  # noqa: E402

KEY = bytes(range(32))


def read(names: tuple[str, ...]) -> np.ndarray:
    """(Z, Y, X) of a file, or of the slices of a DICOM series in the order given."""
    return sitk.GetArrayFromImage(sitk.ReadImage(names[0] if len(names) == 1 else list(names)))


def bare_loop(sources: list[Source], taken: list[list[int]], output: Path) -> None:
    """SimpleITK in, cv2 out; slices along the stored third axis."""
    output.mkdir(parents=True)
    for number, (source, indices) in enumerate(zip(sources, taken, strict=True)):
        image = read(source.image)
        label = read(source.label) if source.label else None
        for index in indices:
            plane = image[index].astype(np.float32)
            low, high = float(plane.min()), float(plane.max())
            grey = ((plane - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
            cv2.imwrite(str(output / f"{number}_{index}.png"), grey)
            if label is not None and label[index].any():
                cv2.imwrite(str(output / f"{number}_{index}_mask.png"), (label[index] > 0).astype(np.uint8) * 255)


def seconds(function: Any, *arguments: Any, **options: Any) -> tuple[float, float]:
    """Wall-clock and processor time."""
    start, cpu = time.perf_counter(), time.process_time()
    function(*arguments, **options)
    return time.perf_counter() - start, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path, help="folder for both; must not exist")
    parser.add_argument("--image", default="*")
    parser.add_argument("--label")
    parser.add_argument("--copies", type=int, default=1, help="patients, each as if so many: links to the same files")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.output.exists():
        raise SystemExit(f"{arguments.output}: expected a new folder, got one that is there")
    recipe = Volumes(arguments.image, arguments.label, normal=arguments.label is None)
    cv2.setNumThreads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    folder = link_copies(arguments.folder, arguments.output / "input", arguments.copies)
    ours, bare = arguments.output / "ours", arguments.output / "bare"
    with task_backend(1):
        outcome = prepare(recipe, folder, ours, key=KEY)
        images = sum(outcome.counts.values())
        sources = [source for source in recipe.find(folder) if not source.refusal]
        written, names = slices_by_source(ours), Pseudonyms(KEY)
        taken = [written.get(names.series(source.patient, source.name), []) for source in sources]
        print(
            "| round | prepare (images/s) | bare loop (images/s) | ratio | ratio of CPU time |\n|---|---|---|---|---|"
        )
        rounds = []
        for number in range(arguments.repeat + 1):
            measured = {}
            for name in ("ours", "bare") if number % 2 else ("bare", "ours"):  # neither always comes first
                shutil.rmtree(arguments.output / name, ignore_errors=True)
                os.sync()  # or one would pay for writing down what the other left
                measured[name] = (
                    seconds(prepare, recipe, folder, ours, key=KEY)
                    if name == "ours"
                    else seconds(bare_loop, sources, taken, bare)
                )
            (wall, cpu), (bare_wall, bare_cpu) = measured["ours"], measured["bare"]
            if number:  # the first warms the caches
                rounds.append([images / wall, images / bare_wall, bare_wall / wall, bare_cpu / cpu])
                print(f"| {number} | " + " | ".join(f"{value:.2f}" for value in rounds[-1]) + " |", flush=True)
    medians = [statistics.median(values) for values in zip(*rounds, strict=True)]
    print("| median | " + " | ".join(f"{value:.2f}" for value in medians) + " |")


def link_copies(folder: Path, target: Path, copies: int) -> Path:
    """A tree of links to the folder's files, so many times over: what a run does once weighs less in a longer one."""
    for number in range(copies):
        for file in (path for path in folder.rglob("*") if path.is_file()):
            link = target / f"copy{number}" / file.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
    return target


def slices_by_source(output: Path) -> dict[str, list[int]]:
    """Series pseudonym -> slice indices that were written."""
    found: dict[str, list[int]] = {}
    for row in read_csv(output / "manifest.csv")[1]:
        found.setdefault(row["series"], []).append(int(row["slice_index"]))
    return found


if __name__ == "__main__":
    main()
