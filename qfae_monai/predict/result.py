"""The results of one study as a folder, complete or absent."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.files import read_object, whole_file
from qfae_monai.predict.finding import judged
from qfae_monai.predict.model import Model
from qfae_monai.predict.prediction import Prediction
from qfae_monai.predict.studies import Study
from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.reading import Series
from qfae_monai.reading.nifti_file import write_nifti
from qfae_monai.transforms import LoadGreyImage

SCORES, SUMMARY = "scores.json", "summary.json"
UNFINISHED = ".unfinished"
NOTICE = "Research use only; not a medical device, not for diagnosis."
IMAGE_AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])  # of a 2D image: columns run to the patient's left, rows down


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into that takes its name when all is written; it replaces an older one."""
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")  # beside it, so that the last step is a rename on one disk
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        shutil.rmtree(path, ignore_errors=True)
        unfinished.replace(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def remove_unfinished(output: Path) -> None:
    """Remove unfinished folders of a killed run."""
    for folder in output.glob(f".*{UNFINISHED}"):
        shutil.rmtree(folder, ignore_errors=True)


def read_scores(folder: Path) -> dict[str, Any] | None:
    """Content of a study's `scores.json`; None where there is none of ours."""
    found = read_json(folder / SCORES)
    return found if found is not None and "input_sha256" in found else None


def check_own(folder: Path) -> None:
    """Refuse to replace a folder that no prediction wrote.

    Raises:
        ValueError: if it holds anything, and no `scores.json` of ours.
    """
    if folder.is_dir() and any(folder.iterdir()) and read_scores(folder) is None:
        raise ValueError(
            f"{folder}: expected no such folder, or one of `qfae predict`, got another one: it is left alone"
        )


def check_pseudonyms(output: Path, pseudonyms: Pseudonyms | None) -> None:
    """Refuse an output with results under names, or under another key's pseudonyms: side by side they tell who is who.

    Raises:
        ValueError: if there are such results.
    """
    wanted = None if pseudonyms is None else pseudonyms.fingerprint
    earlier = [read_scores(path.parent) for path in output.glob(f"*/{SCORES}")]
    summary = read_json(output / SUMMARY)
    if any(found.get("pseudonyms") != wanted for found in (*earlier, summary) if found is not None):
        kind = "under their names" if pseudonyms is None else "anonymous and of the same key"
        raise ValueError(f"{output}: expected an output without results, or with results {kind}, got others in it")


def read_json(path: Path) -> dict[str, Any] | None:
    """A mapping of our own; None where there is none, or another file."""
    try:
        return read_object(path)
    except (OSError, ValueError):
        return None


def scores_of(
    study: Study, model: Model, found: Prediction, identity: str, *, risks: list[str], warnings: list[str]
) -> dict[str, Any]:
    """Content of `scores.json`. Slices are numbered along `slice_axis` of the volume in RAS orientation."""
    calibration, settings = model.calibration, model.settings
    rate = float(settings["false_positive_rate"])
    p_volume, threshold, above = judged(calibration, found.score, rate)
    if found.uncovered:  # its highest slice may be one that was not scored
        p_volume, above = math.nan, None
    p_slices = np.full(len(found.slice_scores), math.nan)  # (slices,)
    if calibration is not None:
        p_slices = calibration.p_values("slice", found.slice_scores)
    return {
        "study": study.name,
        "kind": study.kind,
        "input_sha256": identity,
        "pseudonyms": None if study.pseudonyms is None else study.pseudonyms.fingerprint,
        "model": model.identity,
        "settings": settings,
        "score": found.score,
        "p_value": _known(p_volume),
        "threshold": threshold,
        "above_threshold": above,
        "false_positive_rate": rate,
        "pixel_threshold": model.pixel_threshold,
        "slice_axis": found.axis,
        "slices": [
            {"slice": index, "score": float(found.slice_scores[index]), "p_value": _known(float(p_slices[index]))}
            for index in np.flatnonzero(~np.isnan(found.slice_scores)).tolist()
        ],
        "skipped": {"empty": found.empty, "outside": found.outside},
        "with_foreground": found.visible,
        "risks": risks,
        "warnings": [*found.uncovered, *warnings],
        "notice": NOTICE,
    }


def save_volume(path: Path, pixels: NDArray, affine: NDArray) -> None:
    """NIfTI of a volume (X, Y, Z), or of an image (rows, columns) as one slice; nothing in it but pixels and grid."""
    write_nifti(path, pixels.T[..., None] if pixels.ndim == 2 else pixels, affine)  # (columns, rows, 1)


def save_image(path: Path, read: Series | Path) -> None:
    """NIfTI of a volume or image that was scored, copied where its own file is already what `save_volume` writes."""
    if isinstance(read, Path):
        save_volume(path, np.asarray(LoadGreyImage()(read)[0]), IMAGE_AFFINE)  # (rows, columns) as stored
    elif not read.bare:
        save_volume(path, read.array, read.affine)
    else:
        with whole_file(path) as partial:
            shutil.copyfile(read.files[0], partial)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
