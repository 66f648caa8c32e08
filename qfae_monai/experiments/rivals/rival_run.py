"""One rival from training to report: what is done is kept, what was interrupted begins anew."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from monai.utils import set_determinism

from qfae_monai.anomaly.pooling import PixelReduction
from qfae_monai.experiments.claims import claim
from qfae_monai.experiments.rivals.catalogue import METHODS
from qfae_monai.experiments.rivals.loading import check_equal, create_rival, load_rival
from qfae_monai.experiments.rivals.setting import Setting
from qfae_monai.experiments.rivals.trained import Course
from qfae_monai.experiments.seed_run import read_json
from qfae_monai.files import sha256_of, write_json
from qfae_monai.files.configurations import path_text
from qfae_monai.model.folder import CALIBRATION, LOCAL, NETWORK
from qfae_monai.model.training import EVALUATION
from qfae_monai.networks.grey import MEAN, STD
from qfae_monai.weights.checkpoints import save_checkpoint

FORWARD_BATCH = 4  # slices: nearest neighbours of all tokens take much memory
NETWORK_FILE, CLAIM, TRAINED, REPORT = "rival.pt", "settings.json", "trained.json", "report.html"


def run_rival(
    name: str, setting: Setting, folder: Path, course: Course, *, folders: Sequence[Path] = ()
) -> dict[str, Any]:
    """Train a rival, take its thresholds from held-out normals, and evaluate it into a run folder.

    Args:
        name: of the catalogue.
        setting: scans and slices, the same for all.
        folder: of the run: tables, report, and the rival's own file.
        course: of its training.
        folders: of the weights that it is built on.

    Returns:
        `images`, `epochs` and `seconds` of the training.

    Raises:
        ValueError: if the folder was started with other settings, or there are no normal scans.
        ImportError, WeightsNotFoundError: as `create_rival`.
    """
    built = _numbers(setting)
    if METHODS[name].once:
        course = replace(course, epochs=1)
    rival = create_rival(name, **built, batch_size=course.batch_size, folders=folders)  # what is missing is told first
    began = {**asdict(course), "device": course.device.type, **built, **setting.settings}
    arguments = json.dumps(METHODS[name].arguments, sort_keys=True)  # of the library
    claim(folder / CLAIM, {"name": name, "arguments": arguments, **{key: began[key] for key in sorted(began)}})
    trained = read_json(folder / TRAINED)
    weights = next((path_text(one.resolve()) for one in folders), None)
    if trained is None:
        images = setting.normal_images()
        start = time.monotonic()
        set_determinism(seed=course.seed)
        rival.fit(images, course)
        save_checkpoint(folder / NETWORK_FILE, {"model": rival.state_dict()})
        loaded = load_rival(name, **built, weights=folder / NETWORK_FILE, frozen=weights)
        check_equal(rival.cpu(), loaded, (images[:2] - MEAN) / STD)
        seconds = round(time.monotonic() - start, 1)
        trained = {"images": len(images), "epochs": course.epochs, "seconds": seconds}
        write_json(folder / TRAINED, trained)
    settings = in_the_models_place({"name": name, **built, "frozen": weights}) | {
        "run_name": name,
        "ckpt_path": path_text((folder / NETWORK_FILE).resolve()),
        "calibration_path": path_text((folder / CALIBRATION).resolve()),
        "output_dir": path_text(folder.resolve()),
    }
    if not (folder / CALIBRATION).is_file():
        setting.bundle("evaluate", "calibrate", **settings).run("calibrating", quiet=True)
    if not (folder / REPORT).is_file():
        setting.bundle("evaluate", **settings).run("evaluating", quiet=True)
    return trained


def in_the_models_place(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the bundle's `evaluate` and `calibrate` by which a trained rival is scored instead of the model.

    Args:
        arguments: of `load_rival`, without the file, which is `ckpt_path`.
    """
    return {
        "network_def": {
            "_target_": "qfae_monai.experiments.rivals.load_rival",
            **arguments,
            "weights": "@ckpt_path",
        },
        "scorer": None,  # the rival scores itself
        "rivals": None,
        "save_maps": False,
        "forward_batch": FORWARD_BATCH,
        # as of an evaluation: thresholds become no part of the model
        "run": ["$@validate::evaluator.run()", "$evaluation.end_output(@output_dir)"],
    }


def run_model(setting: Setting, folder: Path) -> Path:
    """Run folder of the trained model itself: that of its training where it is of this checkpoint, else a new one.

    Raises:
        ValueError: if there is no trained model.
    """
    if setting.model is None:
        raise ValueError("qfae: expected a trained model to evaluate, got a plan alone")
    own = setting.model / LOCAL / EVALUATION
    record = read_json(own / "run.json") if (own / REPORT).is_file() else None
    if record is not None and record["checkpoint"]["sha256"] == sha256_of(setting.model / NETWORK):
        return own
    if not (folder / REPORT).is_file():
        settings = {"output_dir": path_text(folder.resolve()), "run_name": "QFAE", "save_maps": False}
        setting.bundle("evaluate", **settings).run("evaluating", quiet=True)
    return folder


def _numbers(setting: Setting) -> dict[str, Any]:
    """Arguments of a rival: the size of the model's images, and how its own maps become a score."""
    model = setting.bundle().plain("model")
    how: PixelReduction = model["score_over_pixels"]
    body = model["foreground_level"] if model["score_body"] else None
    return {"image_size": model["image_size"], "how": how, "share": model["score_share"], "body_above": body}
