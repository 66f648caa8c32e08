"""Whether a model folder holds code that is not this package's own: a stranger's model is data until it is trusted."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from qfae_monai.earlier import without_rooms
from qfae_monai.files import shown
from qfae_monai.files.configurations import MARKS, OWN, read_configuration, words_in
from qfae_monai.model.folder import INFERENCE, inside

VALUES = ("prepare", "normalize", "read", "intensity")
"""Keys under which transforms may stand in any order, as far as the package's own configurations use them."""
PLACES = (
    "bundle_root",
    "dataset_dir",
    "datalist",
    "model_dir",
    "ckpt_dir",
    "log_dir",
    "ckpt_path",
    "calibration_path",
    "output_dir",
    "weights_dir",
    "resume",
    "slice_store",
    "encoder_weights",
    "perceptual_file",
    "include_weights",
    "own_encoder",
    "own_perceptual",
    "start_from",
    "device",
    "rank",
    "join",
)
"""Keys that say where and on what something ran: none of them is handed on, nor taken from others."""
WRITTEN = {
    "model_dir": "@bundle_root",
    "encoder_weights": "checkpoint",
    "perceptual_file": "$@bundle_root + '/models/perceptual.safetensors'",
    "start_from": "$@bundle_root + '/models/model.pt'",
}
"""Places of a model folder, as its configurations name them."""
EARLIER = {
    ("dataset::data", "$data.input_datalist(@dataset_dir)"),
    ("read::transforms::*::_target_", "qfae_monai.transforms.LoadGreyImaged"),
    ("train::sampler::dataset", "@train::dataset"),
    ("train::dataloader::dataset", "@train::dataset"),
    ("prepare::_target_", "monai.transforms.Resized"),
    ("resize::_target_", "monai.transforms.Resized"),
    ("resize::transforms::*::_target_", "monai.transforms.Resized"),
    ("held_out_check::held_out", "@held_out_normals"),
    ("held_out_check::held_out::_target_", "qfae_monai.anomaly.NormalImages"),
    ("held_out_check::held_out::dataset", "$lambda: @validate::dataset"),
    ("held_out_check::held_out::max_images", "@reference_images"),
    ("held_out_check::held_out::seed", "@seed"),
    ("held_out_normals::_target_", "qfae_monai.anomaly.NormalImages"),
    ("held_out_normals::dataset", "$lambda: @validate::dataset"),
    ("held_out_normals::max_images", "@reference_images"),
    ("held_out_normals::seed", "@seed"),
    ("initialize::*", "$training.check_shares(len(@validate::dataset))"),
    ("imports::*", "$import qfae_monai.engines.tuning as tuning"),
    (
        "accumulation_steps",
        "$tuning.tuned_accumulation(@network_def, @loss_def, @device, @batch_size) if @tuned else 1",
    ),
    ("forward_batch", "$tuning.tuned_forward_batch(@network_def, @score_distance, @device) if @tuned else 16"),
}
"""Places and values that models of earlier versions of this package hold, and that still run."""


def check_model_trusted(folder: Path, name: str = INFERENCE, *, trusted: bool) -> None:
    """Refuse a model folder whose configuration holds words that this package would not have written there.

    What `qfae train` writes has expressions, components and references of the package's configurations alone, each
    under its own key, beside numbers and the names of a model's parts. A model of others that was written so needs no
    trust: nothing of theirs is run. A plain word can be code, too (`reader: subprocess.Popen` of `LoadImaged`), or a
    place to write to; so words are held to the same rule.

    Args:
        folder: of the model.
        name: of the configuration that is about to run, below the folder.
        trusted: what the user said of it.

    Raises:
        ValueError: naming the file, what it would run and what to type.
    """
    if trusted:
        return
    file = inside(folder, name)
    for key, value in words_in(read_configuration(file)):
        if not _is_own(key, value):
            raise ValueError(
                f"{file}: expected what this package writes, or --trust beside it: a configuration is code, and "
                f"{shown(key)} here is {shown(value)}; `qfae inspect {folder}` shows all and runs none"
            )


def _is_own(key: str, value: object) -> bool:
    places, words = _own_words()  # (place, value) anywhere; (is a target, value) of transforms
    value = without_rooms(value)
    if (_place(key), value) in places:
        return True
    parts = re.split("::|#", key)
    if parts[0] in VALUES:  # transforms may be reordered, but not invented
        return (parts[-1] == "_target_", value) in words
    # no expression, reference, file or component
    plain = isinstance(value, str) and not value.startswith(MARKS) and not any(part.startswith("_") for part in parts)
    return plain and (parts[0] == "model" or (len(parts) == 1 and key not in PLACES))


@lru_cache(maxsize=1)
def _own_words() -> tuple[frozenset[tuple[str, object]], frozenset[tuple[bool, object]]]:
    """Place and value of all words in the package's configurations; targets and arguments of the transforms there."""
    words: set[tuple[str, object]] = {*WRITTEN.items(), *EARLIER}
    for file in sorted((OWN / "configs").rglob("*.yaml")):
        words.update(words_in(read_configuration(file)))
    words = {(key, without_rooms(value)) for key, value in words}
    transforms = {(key.endswith("_target_"), value) for key, value in words if key.split("::")[0] in VALUES}
    return frozenset((_place(key), value) for key, value in words), frozenset(transforms)


def _place(key: str) -> str:
    """A key without the numbers of list items: overlays append to lists, and what may stand there may stand anywhere.

    >>> _place("+imports::0"), _place("imports::14")
    ('imports::*', 'imports::*')
    """
    return re.sub(r"(?<=::)\d+", "*", key.replace("#", "::").lstrip("+~"))
