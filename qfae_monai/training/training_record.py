"""`training.json` beside a checkpoint: number format, device, versions, duration and warnings of its training."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from ignite.engine import Engine, Events

from qfae_monai import __version__
from qfae_monai.files import read_object, sha256_of, write_json
from qfae_monai.files.schema import choice, entries, items, number, optional, plain_value, record, text, whole
from qfae_monai.networks.precision import FORMATS, PRECISIONS, Precision, format_name
from qfae_monai.training.held_out_check import HeldOutCheck
from qfae_monai.training.processes import is_writer, world_size
from qfae_monai.training.views import KeptViews

# Versions of the packages that numbers depend on, for records of runs.

PACKAGES = ("monai", "torch", "timm", "numpy", "scikit-learn", "nibabel", "SimpleITK", "pydicom")


def package_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Package -> version, of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


VERSION = 1
SCORE = record(
    {
        "settings": entries(plain_value),  # that replace the preset's
        # where they were chosen by synthetic lesions: AUROC of the choice and of the paper's way
        "synthetic": optional(
            record(
                {
                    "lesions": whole(1),
                    "auroc": number(0, 1),
                    "by_kind": entries(number(0, 1)),
                    "as_published": number(0, 1),
                }
            )
        ),
    }
)
"""Schema of how a score was fitted to normal scans."""
TRAINING = record(
    {
        "version": whole(VERSION, VERSION),
        "checkpoint": record({"file": text(), "sha256": text()}),
        "precision": choice(*PRECISIONS),
        "format": choice(*FORMATS),
        "device": text(),
        "threads": whole(1),  # of torch on the CPU
        "processes": whole(1),
        "seed": whole(),
        "epochs": whole(),
        "iterations": whole(),
        "training_images": whole(),  # slices, of volumes
        "seconds": number(0),  # of the training alone, on the clock
        "held_out": optional(
            record(
                {
                    "images": whole(1),
                    "distance": optional(number()),
                    "mean_image_distance": optional(number()),
                    "map_spread": optional(number()),
                    "map_spread_over_images": optional(number()),
                }
            )
        ),
        "warnings": items(text(longest=1000)),
        "versions": entries(text()),
    },
    # not in older records
    {
        "views": whole(),  # kept of each image, 0 where none are
        "score": optional(SCORE),
    },
)
"""Schema of `training.json`."""
FILE = "training.json"


class Watch(Protocol):
    """Handler that finds faults in a training."""

    warnings: list[str]


class TrainingRecord:
    """Write the file when a training is complete and its checkpoint saved; attach behind what saves it.

    Args:
        checkpoint: file of the trained network; the record lies beside it.
        watches: whose warnings are taken over.
        held_out: the check of held-out normals, one of them.
        precision: as configured.
        device: of the run.
        seed: of the run.
        score: gives what was chosen of the score, None where nothing was.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike,
        *,
        watches: Sequence[Watch],
        held_out: HeldOutCheck,
        precision: Precision,
        device: torch.device,
        seed: int,
        score: Callable[[], dict[str, Any] | None] = lambda: None,
    ) -> None:
        self.checkpoint, self.score = Path(checkpoint), score
        self.watches, self.held_out = list(watches), held_out
        self.precision, self.device, self.seed = precision, torch.device(device), seed
        self._began = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def start(self) -> None:
        """Begin to measure the time."""
        self._began = time.monotonic()

    def write(self, engine: Engine) -> None:
        """Write what is known of a complete training; the checkpoint's file is there."""
        if not is_writer():
            return
        images = cast(Any, engine.state.dataloader).dataset
        content = {
            "version": VERSION,
            "checkpoint": {"file": self.checkpoint.name, "sha256": sha256_of(self.checkpoint)},
            "precision": self.precision,
            "format": format_name(self.device, self.precision),
            "device": device_name(self.device),
            "threads": torch.get_num_threads(),
            "processes": world_size(),
            "seed": self.seed,
            "epochs": engine.state.epoch,
            "iterations": engine.state.iteration,
            "training_images": len(images),
            "views": images.views if isinstance(images, KeptViews) else 0,
            "seconds": round(time.monotonic() - self._began, 1),
            "held_out": self.held_out.record(),
            "score": self.score(),
            "warnings": [sentence for watch in self.watches for sentence in watch.warnings],
            "versions": {"qfae-monai": __version__, **package_versions()},
        }
        write_json(self.checkpoint.with_name(FILE), content)


def device_name(device: torch.device) -> str:
    """Name of the computing device without the machine's name: a GPU's model, or a CPU's kind and vector width."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.backends.cpu.get_cpu_capability()}"


def read_training(checkpoint: str | os.PathLike) -> dict[str, Any] | None:
    """The record beside a checkpoint; None without one, or if it is of another checkpoint.

    Raises:
        ValueError: if the file is no such record.
    """
    path = Path(checkpoint).with_name(FILE)
    if not path.is_file():
        return None
    content = read_object(path, TRAINING, what="the record of a training")
    return content if content["checkpoint"]["sha256"] == sha256_of(checkpoint) else None
