"""Writer of the model folder at the end of a training, from the configuration that ran."""

from __future__ import annotations

import copy
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from qfae_monai.files import read_object, sha256_of, write_json, write_whole
from qfae_monai.files.configurations import OWN, read_configuration
from qfae_monai.model.bundle import NOTHING, configuration_file
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
    FrozenNetwork,
    ModelFolder,
    seal,
    seal_again,
)
from qfae_monai.model.signature import SIGNED, resolved, running_configuration, signature
from qfae_monai.model.trust import PLACES, WRITTEN
from qfae_monai.pretraining import read_card
from qfae_monai.training.held_out_check import HeldOutCheck
from qfae_monai.training.processes import is_writer
from qfae_monai.training.training_record import TrainingRecord, Watch
from qfae_monai.weights import find_entry, find_weights, save_checkpoint
from qfae_monai.weights.catalogue import UNKNOWN_LICENCE
from qfae_monai.weights.checksums import SUMS_FILE

LITERAL = (
    "model",
    "bits",
    "slice_axis",
    "slice_range",
    "slice_share",
    "min_foreground",
    "prepare",
    "normalize",
    "precision",
)
"""Keys of which the model folder holds the values themselves."""
PRESET = ("preset", "changes", "networks", "intensity")
"""Keys that those values make needless."""
OF_TRAINING = ("batch_size", "max_epochs", "learning_rate", "num_workers")
APART = ("backend", "timeout_s", "own_encoder", "own_perceptual")
"""Keys of overlays that say where a training ran, and mean nothing where its model is used."""
SUMS = f"models/{SUMS_FILE}"
KEPT_FIGURES = ("kind", "counts", "metrics", "threshold", "bootstrap", "warnings")
"""Parts of `evaluation.json` that become part of a model."""
ARRAY = ".npy"  # which says nothing of what it was made of
MOST_BYTES = 100e6  # of weights that become part of a folder unasked
NOT_TO_HAND_ON = ("NC", "unknown")
"""Parts of licences under which weights do not become part of a folder unasked."""


class ModelWriter:
    """Write the model folder when a training is complete.

    Args:
        folder: of the model.
        network: that was trained.
        perceptual: the frozen network of the distance.
        include_weights: whether frozen networks become files of the folder; None where licence and size allow it.
        watches, held_out, device, seed: as in `TrainingRecord`.
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
        include_weights: bool | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.network, self.perceptual, self.include_weights = network, perceptual, include_weights
        self.config = running_configuration()
        self.record = TrainingRecord(
            self.folder / NETWORK,
            watches=watches,
            held_out=held_out,
            precision=resolved(self.config, "precision"),
            device=device,
            seed=seed,
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
    frozen = [*_encoders(built), *_perceptual(folder, config, built["perceptual"], perceptual, include_weights)]
    included = any(one.file == PERCEPTUAL for one in frozen)
    images = "bits" in config  # stored depth, which volumes have not
    _write_yaml(
        folder / INFERENCE,
        inference_configuration(config, images=images, included=included),
        "Anomaly maps by this model; written by its training, and complete in itself.",
    )
    _write_yaml(
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


def inference_configuration(config: ConfigParser, *, images: bool, included: bool) -> dict[str, Any]:
    """inference.yaml with the values of a training in it, and nothing that is looked up elsewhere.

    Args:
        config: of the training.
        images: whether it is a model of single images.
        included: whether the perceptual network is a file of the folder.
    """
    content = read_configuration(configuration_file("inference"))
    if images:
        content |= read_configuration(configuration_file("images"))
    content = {key: value for key, value in content.items() if key not in PRESET}
    raw = config.get()
    for key in SIGNED:
        if key in raw and key not in LITERAL and raw[key] != _package_training()[key]:
            content |= _with_references(raw, key)  # an overlay's own network or distance
    return content | _literals(config, LITERAL) | _perceptual_file(included)


def training_configuration(config: ConfigParser, *, included: bool) -> dict[str, Any]:
    """The configuration of a training as it ran, with its values for names, and without places of its machine."""
    content = {
        key: None if value == NOTHING else copy.deepcopy(value)
        for key, value in config.get().items()
        if key not in PRESET and not key.startswith("_")
    }
    own = _package_training()
    places = {key: own[key] for key in PLACES if key in own and key in content}
    places |= {key: WRITTEN[key] for key in ("model_dir", "encoder_weights", "start_from")}
    places |= {key: value for key, value in own.items() if isinstance(value, str) and value.startswith("%")}
    if isinstance(config.get()["datalist"], str) and not _is_path(config.get()["datalist"]):
        places["datalist"] = config.get()["datalist"]  # an overlay's rule, such as that of folders
    literals = _literals(config, (*LITERAL, *OF_TRAINING))
    return {
        key: value
        for key, value in (content | literals | places | _perceptual_file(included)).items()
        if key not in APART
    }


def update_model(folder: str | os.PathLike) -> None:
    """Take what a run added to a model folder, such as thresholds, into its card and manifest; leave others alone."""
    if is_writer() and (Path(folder) / MANIFEST).is_file():
        write_card(Path(folder))
        seal_again(Path(folder))


def keep_figures(folder: Path, run: Path) -> None:
    """Make an evaluation's figures part of the model: numbers with their intervals, no case and no picture.

    Args:
        folder: of the model.
        run: folder of the evaluation.
    """
    found = read_object(run / "evaluation.json", what="the figures of an evaluation")
    kept = {key: found[key] for key in KEPT_FIGURES if key in found}
    write_json(folder / FIGURES, kept)
    update_model(folder)


def _literals(config: ConfigParser, keys: Iterable[str]) -> dict[str, Any]:
    return {key: resolved(config, key) for key in keys if key in config}


def _perceptual_file(included: bool) -> dict[str, Any]:
    return {"perceptual_file": WRITTEN["perceptual_file"] if included else None}


def _package_training() -> dict[str, Any]:
    return read_configuration(configuration_file("train"))


def _is_path(text: str) -> bool:
    return not text.startswith(("$", "@"))


def _with_references(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A key's content, and that of the keys of its own that it refers to."""
    found = {key: raw[key]}
    own = read_configuration(configuration_file("inference"))
    waiting = _references(raw[key])
    while waiting:
        name = waiting.pop()
        if name in raw and name not in own and name not in found and name not in PLACES:
            found[name] = raw[name]
            waiting |= _references(raw[name])
    return found


def _references(content: Any) -> set[str]:
    if isinstance(content, str):
        return set(re.findall(r"@(\w+)", content)) if content.startswith(("@", "$")) else set()
    below = content.values() if isinstance(content, dict) else content if isinstance(content, list) else []
    return set().union(*(_references(one) for one in below))


def _encoders(network: Mapping[str, Any]) -> list[FrozenNetwork]:
    """Their values are part of the network's own checkpoint."""
    encoders = network["encoder"] if isinstance(network["encoder"], list) else [network["encoder"]]
    return [FrozenNetwork("encoder", one["name"], NETWORK, None, _licence(one)[0]) for one in encoders]


def _perceptual(
    folder: Path,
    config: ConfigParser,
    network: Mapping[str, Any],
    trunk: VisionTransformer | None,
    include_weights: bool | None,
) -> list[FrozenNetwork]:
    if trunk is None:
        return []
    licence, allowed = _licence(network)
    values = {name: value.detach().cpu() for name, value in trunk.state_dict().items()}
    small = sum(value.numel() * value.element_size() for value in values.values()) < MOST_BYTES  # bytes
    if include_weights or (include_weights is None and allowed and small):
        save_checkpoint(folder / PERCEPTUAL, values)
        found = sha256_of(folder / PERCEPTUAL)
        write_whole(folder / SUMS, f"{found}  {Path(PERCEPTUAL).name}\n")  # for MONAI's tools, which know no manifest
        return [FrozenNetwork("perceptual", network["name"], PERCEPTUAL, found, licence)]
    for old in (PERCEPTUAL, SUMS):
        (folder / old).unlink(missing_ok=True)
    weights = network.get("weights") or config.get_parsed_content("weights_dir")
    known = None if "seed" in network else sha256_of(find_weights(network["name"], weights))
    return [FrozenNetwork("perceptual", network["name"], None, known, licence)]


def _licence(network: Mapping[str, Any]) -> tuple[str, bool]:
    """Licence of a frozen network's values, and whether they may become part of a folder unasked."""
    if "seed" in network:
        return "none: random values of a fixed seed", True
    card = None if network.get("weights") is None else read_card(network["weights"])
    if card is not None:  # one's own, whose card says what they came from
        licence = str(card.get("licence", UNKNOWN_LICENCE))
        return licence, not any(word in licence for word in NOT_TO_HAND_ON)
    licence = find_entry(network["name"]).licence
    return licence, not any(word in licence for word in NOT_TO_HAND_ON)


def _copy_bundle_files(folder: Path, image_size: int, out_channels: int) -> None:
    for name in ("LICENSE", "docs/data_license.txt", "configs/logging.conf", "large_files.yml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(OWN / name, folder / name)
    metadata = read_configuration(OWN / "configs" / "metadata.json")
    formats = metadata["network_data_format"]  # MONAI's: shapes that its tools feed in a check
    formats["inputs"]["image"]["spatial_shape"] = [image_size, image_size]
    formats["outputs"]["pred"]["spatial_shape"] = [image_size, image_size]
    write_json(folder / "configs" / "metadata.json", metadata, indent=4)


def _write_yaml(path: Path, content: Mapping[str, Any], first_line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    body = yaml.dump(
        dict(content), Dumper=_Plain, sort_keys=False, width=10_000, allow_unicode=True, default_flow_style=None
    )
    write_whole(path, f"# {first_line}\n{body}")


class _Plain(yaml.SafeDumper):
    """YAML without anchors, which a reader would have to look up."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
