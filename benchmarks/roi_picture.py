"""A series and an outline drawn on its slices: `python benchmarks/roi_picture.py IMAGE_FOLDER ROI_FOLDER OUTPUT.png`.

Both are read by `read_series`; it is refused unless they lie on one grid. Shown are slices with much of the
outline, as a radiologist sees them (the patient's right on the left), and a cut through all slices at true proportions.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from monai.data import MetaTensor
from monai.transforms import Orientation

from qfae_monai.reading import Series, read_series

mpl.use("Agg")
import matplotlib.pyplot as plt  # behind the choice of backend

SLICES = 3


def to_ras(series: Series) -> tuple[np.ndarray, np.ndarray]:
    """(X, Y, Z) with axes to the right, front and top, and the voxels' size in mm."""
    turned = Orientation("RAS")(MetaTensor(series.array[None].astype(np.float32), affine=series.affine))
    return np.asarray(turned[0]), np.linalg.norm(np.asarray(turned.affine)[:3, :3], axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("image", "roi", "output"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    image, roi = read_series(arguments.image), read_series(arguments.roi)
    difference = float(np.abs(image.affine - roi.affine).max())
    if image.array.shape != roi.array.shape or difference > 1e-3:
        shapes = f"{image.array.shape} and {roi.array.shape}"
        raise SystemExit(f"expected one grid, got {shapes}, affines {difference:g} mm apart")
    values, size = to_ras(image)
    inside = to_ras(roi)[0] > 0
    areas = inside.sum(axis=(0, 1))
    shown = sorted(np.argsort(-areas)[: SLICES * 2 : 2].tolist())
    figure, axes = plt.subplots(1, SLICES + 1, figsize=(13, 3.6), facecolor="black")
    window = {"cmap": "gray", "vmin": 0, "vmax": float(np.percentile(values, 99.5)), "origin": "lower"}
    planes = [(values[..., k], inside[..., k], size[1] / size[0], f"slice {k}") for k in shown]
    column = int(inside.sum(axis=(1, 2)).argmax())
    planes.append((values[column], inside[column], size[2] / size[1], f"sagittal, column {column}"))
    for axis, (plane, mask, aspect, title) in zip(axes, planes, strict=True):
        axis.imshow(plane.T, aspect=aspect, **window)
        axis.contour(mask.T, levels=[0.5], colors="red", linewidths=1)
        axis.set_title(title, color="white", fontsize=9)
        axis.axis("off")
        if "sagittal" not in title:
            axis.invert_xaxis()  # the patient's right is shown on the left
    figure.tight_layout()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.output, dpi=80)
    brain = (values > 0.2 * window["vmax"]) & ~inside
    print(f"one grid: affines {difference:.1e} mm apart; {inside.sum()} voxels inside in {(areas > 0).sum()} slices")
    print(f"mean inside {values[inside].mean():.0f}, other tissue {values[brain].mean():.0f}")


if __name__ == "__main__":
    main()
