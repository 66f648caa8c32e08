"""The demo from phantoms to summary: each step is one that a user could run alone."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from qfae_monai.data.phantoms import write_phantom_cohort
from qfae_monai.evaluation.demo_pictures import format_table, save_montage
from qfae_monai.evaluation.levels import RIVALS
from qfae_monai.files import write_json
from qfae_monai.files.configurations import path_text
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.writer import keep_figures

SHOWN = 6
"""Slices in the montage: two thirds of them with a lesion."""


CALIBRATION = 40
"""Normal volumes held out for thresholds: 19 are the least for a false-positive rate of 5 %."""


def run_demo(output: Path, *, seed: int, epochs: int | None, volumes: int) -> str:
    """Make the cohort, train, calibrate, evaluate, write maps, report and `summary.json`; return the table to print.

    Args:
        output: folder for everything; `data`, `model`, `evaluation` below it.
        seed: of the phantoms and of the training.
        epochs: of the training, None for the preset's.
        volumes: normal volumes to train on.
    """
    start = time.monotonic()
    datalist = write_phantom_cohort(output / "data", train=volumes, validation=CALIBRATION, seed=seed)
    evaluation = output / "evaluation"
    settings: dict[str, Any] = {
        "preset": "tiny",
        "dataset_dir": path_text(output / "data"),
        "model_dir": path_text(output / "model"),
        "output_dir": path_text(evaluation),
        "seed": seed,
    }
    if epochs is not None:
        settings["max_epochs"] = epochs
    names = ["train", "datasets/phantoms"]
    Bundle(names, settings).run("training")
    # thresholds become part of the model's folder
    Bundle([*names, "evaluate", "calibrate"], {**settings, "output_dir": settings["model_dir"]}).run("calibrating")
    shown = {**settings, "save_reconstructions": True, "run_name": "phantoms"}
    Bundle([*names, "evaluate"], shown).run("evaluating")
    keep_figures(output / "model", evaluation)
    found = json.loads((evaluation / "evaluation.json").read_text())
    _montage(output / "montage.png", datalist, evaluation)
    summary = {
        "image_auroc": found["metrics"]["slice"]["auroc"]["value"],
        "volume_auroc": found["metrics"]["volume"]["auroc"]["value"],
        "pixel_ap": found["metrics"]["pixel"]["average_precision"]["value"],
        "pixel_auroc": found["metrics"]["pixel"]["auroc"]["value"],
        "trivial": {
            f"{one['level']} {one['feature']}": one["separability"]
            for one in found["shortcuts"]
            if one["feature"] not in RIVALS
        },
        "seed": seed,
        "seconds": round(time.monotonic() - start, 1),
        "peak_memory_mb": _peak_memory_mb(),
    }
    write_json(output / "summary.json", summary, indent=2)
    written = "\n".join(f"  {output / name}" for name in ("summary.json", "montage.png", "evaluation", "model", "data"))
    spent = f"{summary['seconds']} s, peak memory {summary['peak_memory_mb'] or 'unknown'} MB"
    return f"{format_table(found)}\n{spent}\nwritten:\n{written}\nreport: {evaluation / 'report.html'}"


def _montage(path: Path, datalist: Path, evaluation: Path) -> None:
    """Slices with the largest lesions of different cases, and middle slices of normal ones."""
    entries = json.loads(datalist.read_text())["test"]
    columns: list[list[NDArray]] = []
    titles: list[str] = []
    wanted = {True: SHOWN - SHOWN // 3, False: SHOWN // 3}  # abnormal -> slices still to show
    for entry in entries:
        mask = _load(datalist.parent / entry["label"])
        abnormal = bool(mask.any())
        if not wanted[abnormal]:  # enough of these
            continue
        wanted[abnormal] -= 1
        case = entry["case"]
        volumes = [
            _load(datalist.parent / entry["image"]),
            _load(evaluation / f"{case}_reconstruction.nii.gz"),
            _load(evaluation / f"{case}_anomaly_map.nii.gz"),
        ]
        index = _largest_lesion(mask, volumes[1]) if abnormal else mask.shape[2] // 2
        reconstruction = _to_scale(volumes[1][..., index], volumes[0][..., index])
        # (H, W) each
        columns.append([volumes[0][..., index], reconstruction, volumes[2][..., index], mask[..., index]])
        titles.append(f"{case}\nslice {index}")
    save_montage(path, columns, titles)


def _largest_lesion(mask: NDArray, reconstruction: NDArray) -> int:
    """Slice with the most lesion pixels among those that were reconstructed; others are 0 throughout.

    >>> mask = np.ones((2, 2, 3))
    >>> _largest_lesion(mask, np.stack([np.zeros((2, 2)), np.ones((2, 2)), np.ones((2, 2))], axis=2))
    1
    """
    return int((mask.sum((0, 1)) * reconstruction.any((0, 1))).argmax())


def _to_scale(pixels: NDArray, like: NDArray) -> NDArray:
    """Network space to the input's grey values: the affine intensity map that fits best, for the eye alone."""
    slope, intercept = np.polyfit(pixels.ravel(), like.ravel(), 1)  # least squares over a slice's pixels
    return slope * pixels + intercept


def _load(path: Path) -> NDArray:
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)


def _peak_memory_mb() -> int | None:
    """None on Windows, which does not say."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415

    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kB on Linux
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20)
