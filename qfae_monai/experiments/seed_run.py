"""One training, or one evaluation, with one seed: in a folder of its own that remembers how far it came."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import run
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from qfae_monai.bundle_errors import plain_errors
from qfae_monai.experiments.files import read_json, read_scores, write_json
from qfae_monai.files import checked
from qfae_monai.files.configurations import path_text
from qfae_monai.files.schema import number, record, whole

MODEL = Path("model", "model.pt")
EVALUATION = "evaluation"
TRAINED = "trained.json"
EVALUATED = "evaluated.json"
EVALUATION_DONE = record({"seed": whole(), "images": whole(), "image_auroc": number(0, 100)})
"""Schema of what is written when an evaluation is complete."""
RESUMABLE = re.compile(r"resume.*epoch=(\d+)\.pt")


def train_once(folder: Path, bundle: Path, overlays: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Train into `folder/model`, from the last resumable checkpoint if there is one; nothing if it is done.

    A `model.pt` alone does not say that a training is complete: an interrupted one may leave it, too.

    Args:
        folder: of this seed: `model`, `logs`, and a marker when it is complete.
        bundle: the bundle's folder.
        overlays: names of the bundle's configurations.
        settings: of the bundle, `seed` among them.
    """
    if read_json(folder / TRAINED) is not None:
        return
    start = time.monotonic()
    resume = last_resumable(folder / "model")
    run_bundle("training", bundle, overlays,
               _at(folder) | dict(settings) | {"resume": None if resume is None else path_text(resume)})  # fmt: skip
    write_json(folder / TRAINED, {"seconds": round(time.monotonic() - start, 1), "resumed": resume is not None})
    for path in (folder / "model").glob("resume*.pt"):  # three times the model's size, and needed no more
        path.unlink()


def evaluate_once(
    folder: Path, bundle: Path, overlays: Sequence[str], settings: Mapping[str, Any], *, model: Path
) -> dict[str, Any]:
    """Score the test section into `folder/evaluation`; the result of last time if it is done.

    Args:
        folder, bundle, overlays, settings: as in `train_once`.
        model: checkpoint.

    Returns:
        `seed`, `images` (number scored), `image_auroc` (percent).
    """
    found = read_json(folder / EVALUATED)
    if found is not None:
        checked(found, EVALUATION_DONE, folder / EVALUATED)
    else:
        labels, scores = score_images(folder, bundle, overlays, settings, model=model)
        found = {"seed": settings["seed"], "images": len(scores), "image_auroc": percent_auroc(labels, scores)}
        write_json(folder / EVALUATED, found)
    return found


def score_images(
    folder: Path, bundle: Path, overlays: Sequence[str], settings: Mapping[str, Any], *, model: Path
) -> tuple[NDArray, NDArray]:
    """Evaluate a checkpoint into `folder/evaluation`: labels and scores (N,), normal images first, then by name."""
    places = _at(folder) | {"ckpt_path": path_text(model)}
    run_bundle("evaluating", bundle, [*overlays, "evaluate"], places | dict(settings))
    return read_scores(folder / EVALUATION / "slices.csv")


def percent_auroc(labels: NDArray, scores: NDArray) -> float:
    """Area under the ROC curve in percent.

    Raises:
        ValueError: if there are images of one class only.
    """
    if len(set(labels.tolist())) < 2:
        raise ValueError(f"AUROC needs normal and abnormal images, found {len(labels)} images of one class")
    return 100 * float(roc_auc_score(labels, scores))


def run_bundle(run_id: str, bundle: Path, names: Sequence[str], settings: Mapping[str, Any]) -> None:
    """`python -m monai.bundle run`, in this process; the frozen networks' weights are the bundle's unless set.

    Raises:
        ValueError, OSError: what was wrong with a setting, a weights file or an image.
    """
    configs = bundle / "configs"
    given = {"weights_dir": path_text(bundle / "models" / "pretrained"), **settings}
    with plain_errors():
        run(
            run_id=run_id,
            config_file=[str(configs / f"{name}.json") for name in names],
            bundle_root=path_text(bundle),
            meta_file=str(configs / "metadata.json"),
            logging_file=str(configs / "logging.conf"),
            **given,
        )


def last_resumable(folder: Path) -> Path | None:
    """The checkpoint of the latest epoch that an interrupted training left, None before the first."""
    epochs = {int(match[1]): path for path in folder.glob("*.pt") if (match := RESUMABLE.fullmatch(path.name))}
    return epochs[max(epochs)] if epochs else None


def _at(folder: Path) -> dict[str, Any]:
    places = {"ckpt_dir": "model", "log_dir": "logs", "output_dir": EVALUATION}
    return {key: path_text(folder / name) for key, name in places.items()}
