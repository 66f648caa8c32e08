"""The model card of a model folder: what it was trained on, what it finds, its thresholds, and where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qfae_monai.anomaly.calibration import CALIBRATION as CALIBRATION_CONTENT
from qfae_monai.anomaly.calibration import Calibration, LevelName, read_calibration
from qfae_monai.files import read_object, write_whole
from qfae_monai.model.fingerprint import ScanFingerprint, Spread
from qfae_monai.model.folder import FINGERPRINT
from qfae_monai.training.training_record import TRAINING

RATE, PIXEL_RATE = 0.05, 0.01
"""Of false positives, for the thresholds that the card states."""


def write_card(folder: Path) -> None:
    """Write `docs/README.md` from what is in a model folder."""
    write_whole(folder / "docs" / "README.md", model_card(folder))


def model_card(folder: Path) -> str:
    """The card as Markdown."""
    training = _read(folder / "models" / "training.json", TRAINING)
    sections = {
        "Data": _data(folder, training),
        "Training": _training(training),
        "Held-out normal images": _held_out(training),
        "Score": _score(training),
        "Thresholds": _thresholds(folder),
        "Figures": _figures(folder),
        "What went wrong in training": _faults(training),
        "Commands": _commands(),
        "Limits": _limits(),
    }
    lines = [
        "# Model card",
        "",
        "Q-Former Autoencoder, trained on normal scans only: what it cannot reconstruct is abnormal.",
        "Research software, not a medical device.",
    ]
    for name, body in sections.items():
        lines += ["", f"## {name}", *body]
    return "\n".join(lines) + "\n"


def _read(path: Path, check: Any) -> dict[str, Any] | None:
    return read_object(path, check) if path.is_file() else None


def _data(folder: Path, training: Mapping[str, Any] | None) -> list[str]:
    found = []
    if training is not None:  # no record beside an imported checkpoint
        found.append(f"- {training['training_images']} normal training images (slices, of volumes).")
    if (folder / FINGERPRINT).is_file():
        found += _scans(ScanFingerprint.read(folder / FINGERPRINT))
    return found or ["- Not recorded: an imported checkpoint."]


def _scans(found: ScanFingerprint) -> list[str]:
    patients = "" if found.patients is None else f" of {found.patients} patients"
    lines = [f"- {found.scans} scans{patients}, {found.looked_at} of them looked at: {_counted(found.modalities)}."]
    if found.kind == "volume":
        lines.append(f"- Plane: {_counted(found.planes)}; slices: {_range(found.slices)}.")
    lines.append(f"- Size in voxels: {' x '.join(map(_range, found.size))}.")
    if found.spacing is not None:
        lines.append(f"- Spacing in mm: {' x '.join(map(_range, found.spacing))}.")
    if found.intensity_low is not None and found.intensity_high is not None:
        lines.append(
            f"- Intensities of the foreground: {_range(found.intensity_low)} to {_range(found.intensity_high)}."
        )
    return lines


def _counted(names: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in names.items())


def _range(spread: Spread) -> str:
    """Median, and from least to most where they differ."""
    if spread.least == spread.most:
        return f"{spread.median:.4g}"
    return f"{spread.median:.4g} ({spread.least:.4g} to {spread.most:.4g})"


def _training(training: Mapping[str, Any] | None) -> list[str]:
    if training is None:
        return ["- Not recorded: an imported checkpoint."]
    versions = ", ".join(
        f"{name} {training['versions'][name]}" for name in ("torch", "monai") if name in training["versions"]
    )
    return [
        f"- {training['epochs']} epochs, {training['iterations']} iterations in {training['processes']} process(es), "
        f"seed {training['seed']}.",
        f"- Number format {training['format']} (precision `{training['precision']}`), {training['threads']} thread(s), "
        f"{training['device']}; {versions}.",
    ]


def _held_out(training: Mapping[str, Any] | None) -> list[str]:
    figures = None if training is None else training["held_out"]
    if figures is None:
        return ["- Not looked at."]
    return [
        f"- {figures['images']} images: mean distance {figures['distance']:.4g}; of the mean training image in place "
        f"of the reconstruction {figures['mean_image_distance']:.4g}.",
        f"- Anomaly maps vary over pixels by {figures['map_spread']:.2g} of their mean.",
    ]


def _score(training: Mapping[str, Any] | None) -> list[str]:
    """How maps become a score, and how that was chosen."""
    found = None if training is None else training.get("score")
    if found is None:
        return ["- As the preset has it."]
    settings = ", ".join(f"{name.removeprefix('score_')} {value}" for name, value in found["settings"].items())
    lines = [f"- Fitted to held-out normal scans: {settings}."]
    figures = found["synthetic"]
    if figures is None:
        return lines
    kinds = ", ".join(f"{kind} {value:.2f}" for kind, value in figures["by_kind"].items())
    return [
        *lines,
        f"- Chosen by {figures['lesions']} synthetic lesions that were painted into held-out normal images: AUROC "
        f"{figures['auroc']:.3f} ({kinds}); of the paper's score, the largest pixel, {figures['as_published']:.3f}. "
        "Such lesions are no patients: these figures compare scores, and say nothing on a disease.",
    ]


def _thresholds(folder: Path) -> list[str]:
    path = folder / "calibration.json"
    if not path.is_file():
        return ["- None yet: `qfae calibrate` takes them from normal scans that were not trained on."]
    found: Calibration = read_calibration(
        # the card describes the folder as it is: no other file is asked
        path,
        checkpoint=folder,
        checkpoint_sha256=read_object(path, CALIBRATION_CONTENT)["checkpoint"],
    )
    lines = [
        f"- From {found.patients} patients, {len(found.volume_scores)} volumes, {len(found.slice_scores)} slices, all "
        "normal and none of them trained on."
    ]
    levels: tuple[LevelName, ...] = ("volume", "slice")
    for level in levels:
        threshold, shortage = found.threshold(level, RATE), found.shortage(level, RATE)
        if threshold is None:
            lines.append(f"- {shortage}")
        else:
            lines.append(f"- {level.capitalize()} score above {threshold:.4g}: at most {RATE:.0%} of normal {level}s.")
    pixels = found.pixel_threshold(PIXEL_RATE)  # pixels are many: never short of them
    return [*lines, f"- Map above {pixels:.4g}: at most {PIXEL_RATE:.0%} of normal pixels."]


def _figures(folder: Path) -> list[str]:
    path = folder / "evaluation" / "evaluation.json"
    if not path.is_file():
        return ["- None yet: no labelled test set was evaluated."]
    levels = read_object(path)["metrics"]
    lines = []
    # the three that papers state
    for level, names in (
        ("volume", ("auroc",)),
        ("slice", ("auroc",)),
        ("image", ("auroc",)),
        ("pixel", ("average_precision", "auroc")),
    ):
        for name in names:
            figure = levels.get(level, {}).get(name)
            if figure and figure.get("value") is not None:
                lines.append(f"- {level} {name.replace('_', ' ')}: {_with_interval(figure)}")
    return lines or ["- No figure is defined for that test set."]


def _with_interval(figure: Mapping[str, Any]) -> str:
    low, high = figure.get("low"), figure.get("high")
    if low is None:
        return f"{figure['value']:.3f}" + (f" (no interval: {figure['reason']})" if figure.get("reason") else "")
    # models of earlier versions did not count the smaller class
    smaller = f"; {figure['smaller_class']} patients in the smaller class" if "smaller_class" in figure else ""
    return f"{figure['value']:.3f} (95 % interval by patient {low:.3f} to {high:.3f}{smaller})"


def _faults(training: Mapping[str, Any] | None) -> list[str]:
    warnings = [] if training is None else training["warnings"]
    return [f"- **Warning**: {sentence}." for sentence in warnings] or ["- None."]


def _commands() -> list[str]:
    return [
        "",
        "    qfae predict -i SCANS -o RESULTS -m MODEL",
        "    python -m monai.bundle run --bundle_root MODEL --config_file MODEL/configs/inference.yaml",
        "",
        "The network cannot be scripted, only traced: `ckpt_export` needs `--use_trace true`, and in the model zoo "
        "this bundle belongs on `exclude_verify_torchscript_list`.",
    ]


def _limits() -> list[str]:
    return [
        "- Scans of another modality, plane, spacing or number of slices than those above: `qfae predict` says so "
        "beside each result.",
        "- Whatever is rare among the training scans is called abnormal, also where it is harmless: implants, "
        "artefacts, another scanner.",
        "- Findings that look normal in a single slice, such as a missing structure or a slight shift, can be missed.",
        "- Thresholds hold for scans drawn as the held-out ones were.",
    ]
