"""Writer of the model folder at the end of a training, from the configuration that ran."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from qfae_monai.files import read_object, write_json
from qfae_monai.files.configurations import OWN, read_configuration
from qfae_monai.model.card import write_card
from qfae_monai.model.fingerprint import fingerprint_of_files
from qfae_monai.model.folder import (
    FIGURES,
    FINGERPRINT,
    INFERENCE,
    MANIFEST,
    NETWORK,
    PERCEPTUAL,
    TRAINING,
    ModelFolder,
    seal,
    seal_again,
)
from qfae_monai.model.frozen_files import encoders_of, keep_perceptual
from qfae_monai.model.score_fit import ScoreFit
from qfae_monai.model.signature import resolved, running_configuration, signature
from qfae_monai.model.written_configurations import inference_configuration, training_configuration, write_yaml
from qfae_monai.training.held_out_check import HeldOutCheck
from qfae_monai.training.processes import is_writer
from qfae_monai.training.training_record import TrainingRecord, Watch
from qfae_monai.weights import save_checkpoint

KEPT_FIGURES = ("kind", "counts", "metrics", "threshold", "intervals", "warnings")
"""Parts of `evaluation.json` that become part of a model."""
ARRAY = ".npy"  # which says nothing of what it was made of


class ModelWriter:
    """Write the model folder when a training is complete.

    Args:
        folder: of the model.
        network: that was trained.
        perceptual: the frozen network of the distance.
        include_weights: whether frozen networks become files of the folder; None where licence and size allow it.
        watches, held_out, device, seed: as in `TrainingRecord`.
        score_fit: whose choice of a score becomes part of the model.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        network: nn.Module,
        perceptual: VisionTransformer,
        watches: Sequence[Watch],
        held_out: HeldOutCheck,
        device: torch.device,
        seed: int,
        score_fit: ScoreFit | None = None,
        include_weights: bool | None = None,
    ) -> None:
        self.folder, self.score_fit = Path(folder), score_fit
        self.network, self.perceptual, self.include_weights = network, perceptual, include_weights
        self.config = running_configuration()
        self.record = TrainingRecord(
            self.folder / NETWORK,
            watches=watches,
            held_out=held_out,
            precision=resolved(self.config, "precision"),
            device=device,
            seed=seed,
            **({} if score_fit is None else {"score": score_fit.record}),
        )

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer, behind what watches it."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _start(self) -> None:
        """A folder is a model when its training is complete, and not before."""
        self.record.start()
        if is_writer():
            (self.folder / MANIFEST).unlink(missing_ok=True)  # of an earlier training

    def _write(self, engine: Engine) -> None:
        if not is_writer():
            return
        if self.score_fit is not None and self.score_fit.chosen:
            self.config["changes"] = {**(self.config.get("changes") or {}), **self.score_fit.chosen}
        write_model(
            self.folder,
            self.config,
            self.network,
            self.perceptual,
            include_weights=self.include_weights,
            record=lambda: self._record(engine),
        )

    def _record(self, engine: Engine) -> None:
        self.record.write(engine)
        entries = self.config.get_parsed_content("train::dataset::data")
        patients = {str(entry.get("patient", entry.get("case", entry["image"]))) for entry in entries}
        scans = [entry for entry in entries if not str(entry["image"]).endswith(ARRAY)]
        if scans:
            fingerprint_of_files(scans, patients=len(patients)).save(self.folder / FINGERPRINT)


def write_model(
    folder: Path,
    config: ConfigParser,
    network: nn.Module,
    perceptual: VisionTransformer | None,
    *,
    include_weights: bool | None = None,
    record: Callable[[], None] = lambda: None,
) -> ModelFolder:
    """Write a model folder.

    Args:
        folder: made if it is missing.
        config: train.yaml with all overlays and settings, as it ran.
        network: that was trained.
        perceptual: the frozen network of the distance; None where the distance has none.
        include_weights: as in `ModelWriter`.
        record: writes `training.json` and `fingerprint.json`; an imported checkpoint has neither.
    """
    save_checkpoint(folder / NETWORK, {name: value.detach().cpu() for name, value in network.state_dict().items()})
    built = config.get_parsed_content("model")  # with the files that one's own networks came from
    frozen = [*encoders_of(built), *keep_perceptual(folder, config, built["perceptual"], perceptual, include_weights)]
    included = any(one.file == PERCEPTUAL for one in frozen)
    images = "bits" in config  # stored depth, which volumes have not
    write_yaml(
        folder / INFERENCE,
        inference_configuration(config, images=images, included=included),
        "Anomaly maps by this model; written by its training, and complete in itself.",
    )
    write_yaml(
        folder / TRAINING,
        training_configuration(config, included=included),
        "How this model was trained, without places; overlays such as evaluate go on top.",
    )
    _copy_bundle_files(folder, built["image_size"], built["out_channels"])
    record()
    for old in ("calibration.json", "evaluation/evaluation.json", "models/detector.onnx"):
        (folder / old).unlink(missing_ok=True)  # of an earlier network in this folder
    write_card(folder)
    return seal(folder, kind="image" if images else "volume", signature=signature(config), frozen=frozen)


def update_model(folder: str | os.PathLike) -> None:
    """Take what a run added to a model folder, such as thresholds, into its card and manifest; leave others alone."""
    if is_writer() and (Path(folder) / MANIFEST).is_file():
        write_card(Path(folder))
        seal_again(Path(folder))


def keep_figures(folder: Path, run: Path) -> None:
    """Make an evaluation's figures part of the model: numbers with their intervals, no case, group or picture.

    Args:
        folder: of the model.
        run: folder of the evaluation.
    """
    found = read_object(run / "evaluation.json", what="the figures of an evaluation")
    kept = {key: found[key] for key in KEPT_FIGURES if key in found}
    of_cases = found.get("warnings_on_cases", [])
    kept["warnings"] = [sentence for sentence in found.get("warnings", []) if sentence not in of_cases]
    write_json(folder / FIGURES, kept)
    update_model(folder)


def _copy_bundle_files(folder: Path, image_size: int, out_channels: int) -> None:
    for name in ("LICENSE", "docs/data_license.txt", "configs/logging.conf", "large_files.yml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(OWN / name, folder / name)
    metadata = read_configuration(OWN / "configs" / "metadata.json")
    formats = metadata["network_data_format"]  # MONAI's: shapes that its tools feed in a check
    formats["inputs"]["image"]["spatial_shape"] = [image_size, image_size]
    formats["outputs"]["pred"]["spatial_shape"] = [image_size, image_size]
    write_json(folder / "configs" / "metadata.json", metadata, indent=4)
