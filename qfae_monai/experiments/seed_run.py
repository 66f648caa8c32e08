"""One training, or one evaluation, with one seed: in a folder of its own that remembers how far it came."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfae_monai.evaluation.ranking import auroc
from qfae_monai.files import checked, printable, read_object, read_rows, reading_as, write_json
from qfae_monai.files.configurations import OWN, path_text
from qfae_monai.files.schema import number, record, whole
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import LOCAL
from qfae_monai.model.training import last_resumable

# Results on disk: each file is complete or absent.


def read_json(path: Path) -> dict[str, Any] | None:
    """The dictionary in a JSON file, None if there is no such file.

    Raises:
        ValueError: if it holds something else.
    """
    return read_object(path) if path.is_file() else None


def digest(path: Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]  # 64 bits: tells files apart, proves nothing


def read_scores(path: Path) -> tuple[NDArray, NDArray]:
    """Labels and scores (N,) of an evaluation's `slices.csv`, ordered by label, then by case.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a label is missing or a score is not a number.
    """
    with reading_as("scores of slices", path):
        rows = read_rows(path, ("case", "slice", "label", "score"))
        rows.sort(key=lambda row: (row["label"], row["case"], int(row["slice"])))  # processes finish in any order
        unlabelled = [row["case"] for row in rows if row["label"] == ""]
        if unlabelled:
            raise ValueError(
                f"{path}: expected a label for each image, found {len(unlabelled)} without: {printable(unlabelled[0])}"
            )
        scores = np.array([float(row["score"]) for row in rows])
        if not np.isfinite(scores).all():
            raise ValueError(f"{path}: expected finite scores, found {int((~np.isfinite(scores)).sum())} that are not")
        return np.array([int(row["label"]) for row in rows]), scores


MODEL = "model"
EVALUATION = "evaluation"
TRAINED = "trained.json"
EVALUATED = "evaluated.json"
EVALUATION_DONE = record({"seed": whole(), "images": whole(), "image_auroc": number(0, 100)})
"""Schema of what is written when an evaluation is complete."""


def train_once(folder: Path, overlays: Sequence[str | Path], settings: Mapping[str, Any]) -> None:
    """Train into `folder/model`, from the last resumable checkpoint if there is one; nothing if it is done.

    What is interrupted goes on from its last checkpoint.

    Args:
        folder: of this seed: `model`, `logs`, and a marker when it is complete.
        overlays: names of the bundle's configurations.
        settings: of the bundle, `seed` among them.
    """
    if read_json(folder / TRAINED) is not None:
        return
    start = time.monotonic()
    resume = last_resumable(folder / MODEL / LOCAL)  # None for a new training
    places = _at(folder, folder / MODEL) | {"resume": None if resume is None else path_text(resume)}
    Bundle(overlays, places | dict(settings)).run("training")
    write_json(folder / TRAINED, {"seconds": round(time.monotonic() - start, 1), "resumed": resume is not None})
    for path in (folder / MODEL / LOCAL).glob("resume*.pt"):  # three times the model's size, and needed no more
        path.unlink()


def evaluate_once(
    folder: Path, overlays: Sequence[str | Path], settings: Mapping[str, Any], *, model: Path
) -> dict[str, Any]:
    """Score the test section into `folder/evaluation`; the result of last time if it is done.

    Args:
        folder, overlays, settings: as in `train_once`.
        model: folder of the model.

    Returns:
        `seed`, `images` (number scored), `image_auroc` (percent).
    """
    found = read_json(folder / EVALUATED)
    if found is not None:
        checked(found, EVALUATION_DONE, folder / EVALUATED)
    else:
        labels, scores = score_images(folder, overlays, settings, model=model)
        found = {"seed": settings["seed"], "images": len(scores), "image_auroc": percent_auroc(labels, scores)}
        write_json(folder / EVALUATED, found)
    return found


def score_images(
    folder: Path, overlays: Sequence[str | Path], settings: Mapping[str, Any], *, model: Path
) -> tuple[NDArray, NDArray]:
    """Evaluate a model into `folder/evaluation`: labels and scores (N,), normal images first, then by name."""
    Bundle([*overlays, "evaluate"], _at(folder, model) | dict(settings)).run("evaluating")
    return read_scores(folder / EVALUATION / "slices.csv")


def percent_auroc(labels: NDArray, scores: NDArray) -> float:
    """Area under the ROC curve in percent.

    Raises:
        ValueError: if there are images of one class only.
    """
    if len(set(labels.tolist())) < 2:
        raise ValueError(f"AUROC needs normal and abnormal images, found {len(labels)} images of one class")
    return 100 * auroc(scores, labels)  # percent, as papers state it


def _at(folder: Path, model: Path) -> dict[str, Any]:
    weights = OWN / "models" / "pretrained"
    places = {"model_dir": model, "output_dir": folder / EVALUATION, "weights_dir": weights}
    return {key: path_text(place) for key, place in places.items()}
