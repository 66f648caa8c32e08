"""The rules by which scans, weights and a machine become a plan; docs/training.md has them with their reasons."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

from qfae_monai.data.acquisition import AXIAL, common_plane
from qfae_monai.model.frozen import IN_HOUSE, NONE, Choice, choose_networks, own_image_size, side_unit
from qfae_monai.model.plan import Plan
from qfae_monai.model.presets import model_settings
from qfae_monai.model.scan import Found, Scan, counted
from qfae_monai.model.split import Split, least_held_out

__all__ = ["make_plan"]

SAGITTAL = 0
CT_WINDOW = [-200.0, 250.0]  # HU
PERCENTILES = [0.5, 99.5]  # of foreground or pixels: a bright artefact must not set the scale
PER_IMAGE = frozenset({"CR", "DX", "MG", "IO", "PX", "RF", "XA", "OCT", "OPT", "OP", "US"})
"""DICOM modalities whose values have no common scale, nor a background below all tissue."""
LARGE_SIDE, LARGE_MATRIX, LARGE_MEMORY = 224, 160, 6e9  # pixels, pixels, bytes
MOST_WORKERS = 8  # processes
MOST_VIEWS = 4  # of each image, kept
Reasoned = tuple[Any, str]


def make_plan(
    found: Found,
    split: Split,
    *,
    device_memory: float | None = None,
    cores: int = 1,
    weights_dirs: Sequence[Path] = (),
    images: int | None = None,
    held_out: float = 0.2,
    false_positive_rate: float = 0.05,
    seed: int = 42,
) -> Plan:
    """A plan with the reason for each value.

    Args:
        found: what `look` found.
        split: of it.
        device_memory: bytes of the GPU; None without one.
        cores: of the CPU.
        weights_dirs: folders to look for weights in, the first first; those that are not there are passed over.
        images: budget, how many the training sees in all; None for the networks' own.
        held_out, false_positive_rate, seed: as they were given to `split`.
    """
    choice = choose_networks([folder for folder in weights_dirs if folder.is_dir()], device_memory)
    scans = split.training
    axis = _axis(found, scans)
    plane = AXIAL if axis[0] is None else axis[0]  # of an image any will do: it has one slice
    pictures = sum(scan.looked_at.slices(plane) for scan in scans)  # slices per epoch
    reasons: dict[str, Reasoned] = {
        "modality": _modality(found),
        "axis": axis,
        "slice_range": (None, ""),
        "slice_share": (None, ""),
        "min_foreground": (0.01, ""),
        **_intensity(found),
        **_networks(choice, scans, plane, device_memory),
        "score": _score(choice),
        "score_over_pixels": _pooling(found, choice),
        **_course(choice, pictures, images, device_memory),
        **_augmentation(axis[0]),
        "held_out": _held_out(held_out, false_positive_rate, split),
        "false_positive_rate": (false_positive_rate, ""),
        "seed": (seed, ""),
        "precision": ("float32", "the format whose results were measured"),
        "workers": _workers(cores, choice),
        "views": _views(choice, pictures),
    }
    values = {key: value for key, (value, _) in reasons.items()}
    why = {key: reason for key, (_, reason) in reasons.items() if reason}
    return Plan(**values, why=why, warnings=(choice.warning,) if choice.warning else ())


def _modality(found: Found) -> Reasoned:
    modality = found.scans[0].looked_at.modality
    if found.kind == "image":
        return "image", "image files do not say what they show"
    if not modality:
        return "unknown", "headers do not say, and values are no Hounsfield units; taken as MR"
    told = "DICOM headers" if found.scans[0].modality else "values from about -1000 on, as of air in Hounsfield units"
    return modality, f"by {told}"


def _axis(found: Found, scans: Sequence[Scan]) -> Reasoned:
    """Plane of acquisition: what most scans are thickest across."""
    if found.kind == "image":
        return None, "single images"
    return common_plane([scan.looked_at.plane for scan in scans])


def _intensity(found: Found) -> dict[str, Reasoned]:
    modality = found.scans[0].looked_at.modality
    if found.kind == "image" or modality in PER_IMAGE:
        what = "each image by itself, for exposure and gain differ from one to the next"
        return {"intensity": ("image", what), "levels": (PERCENTILES, "all but the outermost pixels")}
    if modality == "CT":
        window = "soft tissue; brain 0 to 80, lung -1000 to 200, bone -300 to 1300"
        return {"intensity": ("window", "Hounsfield units mean the same in all scans"), "levels": (CT_WINDOW, window)}
    what = "values have no unit, so each scan is scaled by its own tissue"
    return {"intensity": ("foreground", what), "levels": (PERCENTILES, "all but the outermost voxels of tissue")}


def _networks(choice: Choice, scans: Sequence[Scan], axis: int, device_memory: float | None) -> dict[str, Reasoned]:
    pair = choice.pair
    matrix = round(median(min(scan.looked_at.matrix(axis)) for scan in scans))  # pixels of the shorter side
    unit = side_unit(pair.preset, pair.encoder, pair.perceptual, choice.folder)
    if choice.folder is None:
        size, why = 64, "what seeded random networks were measured at"
    elif pair.encoder == IN_HOUSE:
        size = own_image_size(choice.folder)
        why = "the side that the networks were trained at"
    elif pair.perceptual == NONE:
        size, why = model_settings(pair.preset)["image_size"], "what the preset was measured at"
    elif unit == LARGE_SIDE:
        size, why = LARGE_SIDE, "the published size"
    elif (device_memory or 0) >= LARGE_MEMORY and matrix >= LARGE_MATRIX:
        size, why = LARGE_SIDE, f"slices have {matrix} pixels at the median, and the GPU has the memory"
    else:
        few = f"slices have {matrix} pixels at the median" if matrix < LARGE_MATRIX else "without a large GPU"
        size, why = unit, f"{few}; a multiple of {unit}, which all patches divide"
    return {
        "preset": (pair.preset, choice.why),
        "encoder": (pair.encoder, ""),
        "perceptual": (pair.perceptual, ""),
        "weights": (None if choice.folder is None else str(choice.folder.absolute()), ""),
        "image_size": (size, why),
    }


def _score(choice: Choice) -> Reasoned:
    if choice.pair.preset == "paper":
        return "preset", "as published"
    return "chosen", "no abnormal scan may be looked at"


def _pooling(found: Found, choice: Choice) -> Reasoned:
    if choice.pair.perceptual == NONE:
        return "mean", "of the body, in standard deviations of normal scans: best on three real data sets"
    if found.kind == "image" and not any(scan.mask for scan in found.scans):
        return "mean", "whole images without masks of lesions, as radiographs, change in large areas"
    return "max", "lesions may be small"


def _course(choice: Choice, pictures: int, images: int | None, device_memory: float | None) -> dict[str, Reasoned]:
    """Batch, epochs and learning rate."""
    pair = choice.pair
    budget = images or pair.images[device_memory is not None]
    batch = min(pair.batch_size, max(1, pictures // 2))  # two steps an epoch at least
    measured = pair.preset in ("tiny", "tiny_tokens", "dinov2_small")
    rate = f"as measured with {pair.encoder} networks" if measured else "as published"
    return {
        "batch_size": (batch, f"of {counted(pictures, 'training image')}"),
        "epochs": (max(1, ceil(budget / pictures)), f"a budget of {budget} images, by {pictures} per epoch"),
        "learning_rate": (pair.learning_rate, rate),
    }


def _views(choice: Choice, pictures: int) -> Reasoned:
    """How many views of each image are kept, so that the encoder sees each once and steps cost a tenth."""
    if choice.pair.views is None:
        return None, ""
    count = max(1, min(MOST_VIEWS, choice.pair.views // pictures))
    return count, f"of {counted(pictures, 'image')}; their frozen features are kept, and trained from"


def _augmentation(axis: int | None) -> dict[str, Reasoned]:
    flip: Reasoned = (0.5, "left and right are alike" if axis is not None else "as published")
    if axis == SAGITTAL:
        flip = (0.0, "front and back of sagittal slices are not alike")
    published = "as published"
    return {
        "crop_area": ([0.9, 1.0], published),
        "max_angle": (10.0, published),
        "flip": flip,
        "jitter": (0.1, published),
    }


def _held_out(share: float, rate: float, split: Split) -> Reasoned:
    patients = len({scan.patient for scan in split.validation if scan.label == "normal"})
    least = least_held_out(rate)
    need = f"thresholds at {100 * rate:g} % need {least}"
    return share, f"{counted(patients, 'normal patient')}; {need}" + ("" if patients >= least else ", too few")


def _workers(cores: int, choice: Choice) -> Reasoned:
    if cores <= 2 or (choice.pair.memory == 0 and cores <= 4):  # a worker would take a core from the training
        return 0, f"{counted(cores, 'core')}, which the networks need"
    return min(MOST_WORKERS, cores - 2), f"of {counted(cores, 'core')}"
