"""Configurations of a model folder: those that ran, with their values for names, and without places of a machine."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from qfae_monai.files import write_whole
from qfae_monai.files.configurations import read_configuration
from qfae_monai.files.typed_words import NOTHING
from qfae_monai.model.bundle import configuration_file
from qfae_monai.model.signature import SIGNED, resolved
from qfae_monai.model.trust import PLACES, WRITTEN

__all__ = ["inference_configuration", "training_configuration", "write_yaml"]

LITERAL = (
    "model",
    "bits",
    "colours",
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


def _literals(config: ConfigParser, keys: Iterable[str]) -> dict[str, Any]:
    return {key: resolved(config, key) for key in keys if key in config}


def _perceptual_file(included: bool) -> dict[str, Any]:
    return {"perceptual_file": WRITTEN["perceptual_file"] if included else None}


def _package_training() -> dict[str, Any]:
    return read_configuration(configuration_file("train"))


def _is_path(text: str) -> bool:
    return not text.startswith(("$", "@"))


def _with_references(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A key's content, and that of the keys of its own that it refers to; values come from the model's checkpoint."""
    found = {key: _of_checkpoint(raw[key])}
    own = read_configuration(configuration_file("inference"))
    waiting = _references(raw[key])
    while waiting:
        name = waiting.pop()
        if name in raw and name not in own and name not in found and name not in PLACES:
            found[name] = raw[name]
            waiting |= _references(raw[name])
    return found


def _of_checkpoint(content: Any) -> Any:
    """A network's configuration that looks for its weights in no other place."""
    if isinstance(content, dict):
        return {key: _of_checkpoint(value) for key, value in content.items()}
    return WRITTEN["encoder_weights"] if content == "@encoder_weights" else content


def _references(content: Any) -> set[str]:
    if isinstance(content, str):
        return set(re.findall(r"@(\w+)", content)) if content.startswith(("@", "$")) else set()
    below = content.values() if isinstance(content, dict) else content if isinstance(content, list) else []
    return set().union(*(_references(one) for one in below))


def write_yaml(path: Path, content: Mapping[str, Any], first_line: str) -> None:
    """Write a configuration with a comment as its first line, complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = yaml.dump(
        dict(content), Dumper=_Plain, sort_keys=False, width=10_000, allow_unicode=True, default_flow_style=None
    )
    write_whole(path, f"# {first_line}\n{body}")


class _Plain(yaml.SafeDumper):
    """YAML without anchors, which a reader would have to look up."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
