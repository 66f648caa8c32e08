"""Several rivals and the method itself on one data set: each in its run folder, one table and one page of all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from qfae_monai.evaluation.comparison import compare
from qfae_monai.evaluation.rivals_page import CSV_COLUMNS, MEASURES, csv_rows, write_rivals
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.experiments.rivals.anomalib_bridge import model_class
from qfae_monai.experiments.rivals.catalogue import ANOMALIB, METHODS, QFAE, find_method
from qfae_monai.experiments.rivals.rival_run import run_model, run_rival
from qfae_monai.experiments.rivals.setting import Setting, of_model, planned
from qfae_monai.experiments.rivals.trained import Course, RivalFailedError
from qfae_monai.files import write_csv, write_json
from qfae_monai.model.runs import Data
from qfae_monai.model.training import Say, Wishes
from qfae_monai.training.training_record import device_name, package_versions, read_training
from qfae_monai.weights import WeightsNotFoundError

MODEL = "model"
TABLE, PAGE = "rivals.json", "rivals.html"


@dataclass(frozen=True)
class Asked:
    """What a comparison is asked for, besides its data.

    Attributes:
        names: rivals of the catalogue, `qfae` for the method itself.
        model: folder of a trained model to compare with; None to plan one, and to train it if `qfae` is named.
        weights: folders of pretrained networks.
        epochs: of the rivals' training; None for those of the model.
        images: budget of the model's own training, as in `qfae train`.
        seed: of every draw.
        trusted: what the user said of a model's configurations.
    """

    names: tuple[str, ...]
    model: Path | None = None
    weights: tuple[Path, ...] = ()
    epochs: int | None = None
    images: int | None = None
    seed: int = 42
    trusted: bool = False


def run_rivals(data: Data, output: Path, asked: Asked, *, say: Say = lambda _: None) -> dict[str, Any]:
    """Train and evaluate each rival in `output/NAME`, and write `rivals.json`, `rivals.csv` and `rivals.html`.

    A rival whose weights are not there is left out, and named with its file; so is one whose library is not installed.

    Args:
        data: scans, or the folder that the model was trained on.
        output: folder of all runs; the command goes on in it where it stopped.
        asked: what is wanted.
        say: called with sentences for the screen.

    Returns:
        The table: `rows`, `skipped`, `measures`, `machine`.

    Raises:
        ValueError: for an unknown name, or data without normal scans; before anything is trained.
        FileNotFoundError: if scans or model are not there.
    """
    names = list(dict.fromkeys(asked.names))
    for name in names:
        _check(name)
    setting = _setting(data, output, asked, say)
    course = Course(asked.epochs or setting.epochs, setting.batch_size, asked.seed, setting.device)
    rows: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    for name in names:
        say(name)
        try:
            rows.append(_row(name, setting, output, course, asked))
        except (WeightsNotFoundError, RivalFailedError, ImportError) as error:
            skipped[name] = str(error)
            say(f"left out: {error}")
    if not rows:
        reasons = "; ".join(skipped.values())
        raise ValueError(f"expected at least one rival that can be run, got none of {', '.join(names)}: {reasons}")
    _add_differences(rows)
    table = {
        "rows": rows,
        "skipped": skipped,
        "measures": [name for name in MEASURES if any(row["figures"][name] is not None for row in rows)],
        "counts": RunFolder(rows[0]["run"]).evaluation["counts"],
        "machine": {
            "device": device_name(setting.device),
            "threads": torch.get_num_threads(),
            "versions": package_versions(("torch", "monai", ANOMALIB)),
        },
    }
    write_json(output / TABLE, table, indent=2, allow_nan=False)
    write_csv(output / "rivals.csv", CSV_COLUMNS, csv_rows(table))
    write_rivals(output / PAGE, table)
    return table


def _check(name: str) -> None:
    """Refuse what can't be run whatever is installed, before anything is trained."""
    if name != QFAE and (method := find_method(name)).library == ANOMALIB:
        with suppress(ImportError):  # it is left out, and named
            model_class(method)


def _setting(data: Data, output: Path, asked: Asked, say: Say) -> Setting:
    if asked.model is not None:
        weights = asked.weights[0] if asked.weights else None
        return of_model(asked.model, data.path, weights=weights, trusted=asked.trusted)
    wishes = Wishes(weights=asked.weights, images=asked.images, seed=asked.seed)
    return planned(data, output / MODEL, wishes, train=QFAE in asked.names, say=say)


def _row(name: str, setting: Setting, output: Path, course: Course, asked: Asked) -> dict[str, Any]:
    """Figures of one method, with what is known of its training."""
    if name == QFAE:
        folder = run_model(setting, output / QFAE)
        record = (None if setting.model is None else read_training(setting.model / "models" / "model.pt")) or {}
        trained = {key: record.get(other) for key, other in TRAINING_KEYS.items()}
        about = {"title": "Q-Former Autoencoder, this package", "paper": "QFAE", "library": "qfae"}
    else:
        folder, method = output / name, METHODS[name]
        trained = run_rival(name, setting, folder, course, folders=asked.weights)
        about = {"title": method.title, "paper": method.paper, "library": method.library}
    run = RunFolder(folder)
    metrics, record = run.evaluation["metrics"], run.run
    figures = {key: metrics.get(level, {}).get(measure) for key, (level, measure) in MEASURES.items()}
    return {
        "name": name,
        **about,
        "run": str(folder),
        "figures": {key: _known(found) for key, found in figures.items()},
        "training": trained,
        "scoring_seconds": record["seconds"],
        "format": record.get("format"),
        "difference": None,
    }


TRAINING_KEYS = {"images": "training_images", "epochs": "epochs", "seconds": "seconds"}


def _known(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """A figure with its interval; None where it is undefined."""
    return None if found is None or found["value"] is None else {key: found[key] for key in ("value", "low", "high")}


def _add_differences(rows: Sequence[dict[str, Any]]) -> None:
    """How much better the method is than each rival, by patient, in the first measure of the table that both have."""
    own = next((row for row in rows if row["name"] == QFAE), None)
    for row in rows:
        if own is None or row is own:
            continue
        metrics = compare(row["run"], own["run"])["metrics"]
        for level in ("slice", "image", "volume"):
            found = metrics.get(level, {}).get("auroc")
            if found is not None:
                row["difference"] = {"level": level, **found["difference"]}
                break
