"""`training.json` and `model_card.md` beside a checkpoint: how it was trained, in which format, what went wrong."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from ignite.engine import Engine, Events

from qfae_monai import __version__
from qfae_monai.files import write_whole
from qfae_monai.handlers.held_out_check import HeldOutCheck
from qfae_monai.handlers.ranks import is_writer, world_size
from qfae_monai.handlers.versions import package_versions
from qfae_monai.networks.precision import Precision, format_name
from qfae_monai.scoring import fingerprint

VERSION = 1
FILE = "training.json"
CARD = "model_card.md"


class Watch(Protocol):
    """What finds faults in a training."""

    warnings: list[str]


class TrainingRecord:
    """Write both files when a training is complete and its checkpoint saved; attach behind what saves it.

    Args:
        checkpoint: file of the trained network; the record lies beside it.
        watches: whose warnings are taken over.
        held_out: the check of held-out normals, one of them.
        precision: as configured.
        device: of the run.
        seed: of the run.
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
    ) -> None:
        self.checkpoint = Path(checkpoint)
        self.watches, self.held_out = list(watches), held_out
        self.precision, self.device, self.seed = precision, torch.device(device), seed
        self._began = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _start(self) -> None:
        self._began = time.monotonic()

    def _write(self, engine: Engine) -> None:
        if not is_writer():
            return
        content = {
            "version": VERSION,
            "checkpoint": {"file": self.checkpoint.name, "sha256": fingerprint(self.checkpoint)},
            "precision": self.precision,
            "format": format_name(self.device, self.precision),
            "device": device_name(self.device),
            "threads": torch.get_num_threads(),
            "processes": world_size(),
            "seed": self.seed,
            "epochs": engine.state.epoch,
            "iterations": engine.state.iteration,
            "training_images": len(cast(Any, engine.state.dataloader).dataset),
            "seconds": round(time.monotonic() - self._began, 1),
            "held_out": self.held_out.record(),
            "warnings": [sentence for watch in self.watches for sentence in watch.warnings],
            "versions": {"qfae-monai": __version__, **package_versions()},
        }
        write_whole(self.checkpoint.with_name(FILE), json.dumps(content, indent=1) + "\n")
        write_whole(self.checkpoint.with_name(CARD), model_card(content))


def device_name(device: torch.device) -> str:
    """What numbers were computed on, without the machine's name: a GPU's model, or a CPU's kind and vector width."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.backends.cpu.get_cpu_capability()}"


def model_card(record: Mapping[str, Any]) -> str:
    """The record as a page in Markdown."""
    held_out = record["held_out"]
    faults = [f"- **Warning**: {sentence}." for sentence in record["warnings"]] or ["- None."]
    lines = [
        "# Model card",
        "",
        "Q-Former Autoencoder, trained on normal scans only: what it cannot reconstruct is abnormal. Research "
        "software, not a medical device.",
        "",
        "## Training",
        f"- {record['training_images']} training images, {record['epochs']} epochs, {record['iterations']} iterations "
        f"in {record['processes']} process(es), seed {record['seed']}.",
        f"- Number format {record['format']} (precision `{record['precision']}`), {record['threads']} thread(s), "
        f"{record['device']}; {_versions(record['versions'])}.",
        "",
        "## Held-out normal images",
        *_held_out(held_out),
        "",
        "## What went wrong in training",
        *faults,
        "",
        f"`{record['checkpoint']['file']}`, SHA-256 {record['checkpoint']['sha256']}. Thresholds: `calibration.json`, "
        "figures: the report of an evaluation.",
    ]
    return "\n".join(lines) + "\n"


def _held_out(figures: Mapping[str, Any] | None) -> list[str]:
    if figures is None:
        return ["- Not looked at."]
    return [
        f"- {figures['images']} images: mean distance {figures['distance']:.4g}; of the mean training image in place "
        f"of the reconstruction {figures['mean_image_distance']:.4g}.",
        f"- Anomaly maps vary over pixels by {figures['map_spread']:.2g} of their mean.",
    ]


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in versions.items() if package in ("torch", "monai"))


def read_training(checkpoint: str | os.PathLike) -> dict[str, Any] | None:
    """The record beside a checkpoint; None without one, or if it is of another checkpoint.

    Raises:
        ValueError: if the file is no such record.
    """
    path = Path(checkpoint).with_name(FILE)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        of, warnings, version = content["checkpoint"]["sha256"], content["warnings"], content["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected the record of a training, got a file that is not ({error})") from error
    if version != VERSION or not isinstance(warnings, list) or not all(isinstance(one, str) for one in warnings):
        raise ValueError(f"{path}: expected the record of a training, version {VERSION}, got version {version!r}")
    return content if of == fingerprint(checkpoint) else None
