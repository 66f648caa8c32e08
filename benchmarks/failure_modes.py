"""What a trained demo calls abnormal, and what it misses: `python -m benchmarks.failure_modes demo`.

DEMO is the folder that `qfae demo` wrote. Its normal test phantoms are scored as they are, with one change that a
hospital's scans bring (letters, another contrast, more noise), and with one lesion of a known size. The table gives
the share of slices above the slice threshold, which was set for 5 % of normal slices. Phantoms: the numbers say which
way the method errs, not how often on patients.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from qfae_monai import load_model

SLICES = range(3, 21)  # as configs/datasets/phantoms.yaml
MIDDLE = 12  # slice of the lesion's centre
LETTER = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0, 1], [1, 0, 1]])  # an R of 5 x 3 voxels

Change = Callable[[NDArray], NDArray]


def letters(image: NDArray) -> NDArray:
    """An R in a corner of every slice, as bright as the brightest voxel."""
    changed = image.copy()
    changed[3:8, 3:6] = np.where(LETTER[..., None] > 0, image.max(), changed[3:8, 3:6])
    return changed


def contrast(image: NDArray) -> NDArray:
    """Another sequence's contrast: intensities to the power of 1.5."""
    return image.max() * (image / image.max()) ** 1.5


def noise(image: NDArray) -> NDArray:
    """Rician noise of 5 % of the largest intensity, on top of the phantom's own."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 0.05 * image.max(), (2, *image.shape))
    return np.hypot(image + one, other)


def lesion(radius: float) -> Change:
    """A ball of 45 % more signal, as the phantoms' bright lesions, in the middle slice; radius in voxels."""

    def change(image: NDArray) -> NDArray:
        x, y, z = np.ogrid[: image.shape[0], : image.shape[1], : image.shape[2]]
        distance = np.sqrt((x - 22) ** 2 + (y - 32) ** 2 + (3 * (z - MIDDLE)) ** 2) / radius
        return image * (1 + 0.45 * np.clip((1.25 - distance) / 0.5, 0, 1))

    return change


CHANGES: dict[str, tuple[Change, tuple[int, ...]]] = {
    "none": (lambda image: image, tuple(SLICES)),
    "a letter in the corner": (letters, tuple(SLICES)),
    "another contrast (power 1.5)": (contrast, tuple(SLICES)),
    "more noise (5 %)": (noise, tuple(SLICES)),
    **{f"lesion of radius {radius} voxels ({3 * radius} mm)": (lesion(radius), (MIDDLE,)) for radius in (1, 2, 3, 5)},
}
"""What is changed, and the slices that it shows in."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path)
    demo = parser.parse_args().demo
    model = load_model(demo / "model", device="cpu")
    threshold = json.loads((demo / "evaluation" / "evaluation.json").read_text())["threshold"]["slice"]["threshold"]
    entries = json.loads((demo / "data" / "dataset.json").read_text())["test"]
    volumes = [nib.Nifti1Image.from_filename(demo / "data" / entry["image"]) for entry in entries]
    masks = [nib.Nifti1Image.from_filename(demo / "data" / entry["label"]) for entry in entries]
    normal = [image for image, mask in zip(volumes, masks, strict=True) if not np.asarray(mask.dataobj).any()]
    print(f"{len(normal)} normal phantoms\n\n| change | slices | above the threshold |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, (change, where) in CHANGES.items():
            above = []
            for image in normal:
                changed = change(np.asarray(image.dataobj, dtype=np.float32)).astype(np.float32)
                path = Path(folder) / "changed.nii.gz"
                nib.save(nib.Nifti1Image(changed, image.affine), path)
                above += (model.predict(path).slice_scores[list(where)] > threshold).tolist()
            print(f"| {name} | {len(above)} | {np.mean(above):.0%} |", flush=True)


if __name__ == "__main__":
    main()
