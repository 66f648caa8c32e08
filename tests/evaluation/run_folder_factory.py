"""A run folder such as an evaluation leaves behind: small, random, seeded, and with every file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qfae_monai.evaluation.case_columns import LESION_COLUMNS, SLICE_COLUMNS, VOLUME_COLUMNS, write_table
from qfae_monai.evaluation.case_record import lesion_record
from qfae_monai.evaluation.histogram import COARSE_BITS, FINE_BITS, MapHistogram
from qfae_monai.evaluation.histogram_file import PixelHistograms
from qfae_monai.evaluation.lesions import label_lesions
from qfae_monai.evaluation.truth_table import Truth
from qfae_monai.transforms.slice_choice import TRIVIAL_FEATURES

SIDE, DEPTH, TILE = 24, 12, 48
VOXEL_MM3 = 30.0
THRESHOLDS = {"slice_threshold": 2.4, "volume_threshold": 2.6, "pixel_threshold": 2.0}


@dataclass(frozen=True)
class Case:
    """One phantom under a model. image, anomaly_map: (H, W, slices); labels: regions; scored: slice numbers."""

    name: str
    patient: str
    label: int | None
    image: NDArray[np.float32]
    anomaly_map: NDArray[np.float32]
    labels: NDArray[np.int32]
    scored: list[int]


def make_run_folder(
    path: Path,
    *,
    kind: Literal["volume", "image"] = "volume",
    cases: int = 12,
    first: int = 0,
    abnormal: int | None = None,
    unlabelled: int = 0,
    seed: int = 0,
    model: int = 0,
    signal: float = 1.2,
    masks: bool = True,
    calibrated: bool = True,
    baselines: bool = True,
    mean_image: bool = False,
    classes: Sequence[str] = (),
    strata: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write all files of a run folder but `evaluation.json` and `report.html`, which are made from it.

    Args:
        path: folder to make.
        kind: volumes of 12 slices or single images; two neighbouring cases share a patient every fourth case.
        cases: how many. first: number of the first of them. abnormal: so many, the first, have lesions; if None, every
            second. unlabelled: so many of the last have no label.
        seed: of anatomy and lesions. model: of the noise of the maps: same seed, other model, same data.
        signal: height of a lesion in the anomaly map, in standard deviations of its noise.
        masks: whether there are masks, else labels alone. calibrated: whether thresholds were fitted.
        baselines: whether `rival_neighbours` and the maps `mean_distance` and `neighbours` are on.
        mean_image: whether the mean image was held against the model, which has its very scores and half its error, and
            reconstructions were kept, which vary 0.6 times as much as images.
        classes: of the abnormal cases, in turn; strata: column -> values of all cases, in turn. Without both there is
            no `truth.csv`, as in runs of earlier versions.
    """
    path.mkdir(parents=True, exist_ok=True)
    made: list[Case] = []
    for number in range(first, first + cases):
        ill = number % 2 == 0 if abnormal is None else number - first < abnormal
        label = None if number - first >= cases - unlabelled else int(ill)
        made.append(_case(number, label, kind=kind, seed=seed, model=model, signal=signal))
    threshold = THRESHOLDS["pixel_threshold"] if calibrated else None
    slices: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    lesions: list[dict[str, Any]] = []
    maps: dict[str, list[MapHistogram]] = {}
    per_case: dict[str, MapHistogram] = {}
    neighbours: dict[str, MapHistogram] = {}
    peaks: dict[str, NDArray[np.float32]] = {}
    for case in made:
        rows = _slice_rows(case, kind=kind, masks=masks, calibrated=calibrated, baselines=baselines)
        slices += rows
        volumes.append(_volume_row(case, rows, kind=kind, masks=masks, threshold=threshold, baselines=baselines))
        if masks and case.label is not None:
            columns, found_lesions, peaks[case.name] = lesion_record(
                case.anomaly_map,
                case.labels,
                threshold,
                voxel_mm3=VOXEL_MM3 if kind == "volume" else None,
                spacing=[3.0, 3.0, VOXEL_MM3 / 9] if kind == "volume" else None,
            )
            volumes[-1] |= columns
            lesions += [{"case": case.name, "patient": case.patient, **row} for row in found_lesions]
            regions = case.labels[..., case.scored]
            found = {"anomaly_map": case.anomaly_map, "image": case.image}
            if baselines:
                found |= {"mean_distance": np.abs(case.image - 0.5), "neighbours": case.anomaly_map * 0.5 + case.image}
            if mean_image:
                found["mean_image"] = case.anomaly_map
            for name, values in found.items():
                maps.setdefault(name, []).append(MapHistogram.of(values[..., case.scored], regions, FINE_BITS))
            per_case[case.name] = MapHistogram.of(case.anomaly_map[..., case.scored], regions, COARSE_BITS)
            if baselines:
                values = found["neighbours"][..., case.scored]
                neighbours[case.name] = MapHistogram.of(values, regions, COARSE_BITS)
        _save_maps(path, case, kind)
        _save_pictures(path / "pictures", case, rows)
    if mean_image:
        _add_mean_image(path, slices, volumes)
    write_table(path / "slices.csv", SLICE_COLUMNS, slices)
    write_table(path / "volumes.csv", VOLUME_COLUMNS, volumes)
    write_table(path / "lesions.csv", LESION_COLUMNS, lesions)
    if classes or strata:
        _write_truth(path, made, classes, strata or {})
    merged = {name: MapHistogram.merge(parts) for name, parts in maps.items()}
    PixelHistograms(merged, per_case, neighbours, peaks).save(path / "pixels.npz")
    settings = _run_json(made, volumes, kind=kind, seed=seed, model=model, calibrated=calibrated)
    (path / "run.json").write_text(json.dumps(settings, indent=2) + "\n")
    return path


def _case(number: int, label: int | None, *, kind: str, seed: int, model: int, signal: float) -> Case:
    """An ellipse with texture; in abnormal ones a bright ball or two, of sizes that differ between cases."""
    anatomy = np.random.default_rng([seed, number])
    noise = np.random.default_rng([seed, number, model + 1])
    depth = DEPTH if kind == "volume" else 1
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in (SIDE, SIDE, depth)), indexing="ij"))
    if depth == 1:
        grid[2] = 0
    head = (grid**2 / np.array([0.8, 0.9, 0.95]).reshape(3, 1, 1, 1) ** 2).sum(0) < 1
    image = np.where(head, 0.5 + 0.05 * anatomy.standard_normal(head.shape), 0.0)
    labels = np.zeros(head.shape, np.int32)
    if label:
        mask = np.zeros(head.shape, bool)
        for _ in range(int(anatomy.integers(1, 3))):
            centre = anatomy.uniform(-0.4, 0.4, 3).reshape(3, 1, 1, 1) * ([[[[1]]], [[[1]]], [[[depth > 1]]]])
            mask |= ((grid - centre) ** 2).sum(0) < anatomy.uniform(0.1, 0.35) ** 2
        mask[SIDE // 2, SIDE // 2, depth // 2] = True
        labels = label_lesions(mask)[0]
        image[mask] += 0.15
    strength = signal * anatomy.uniform(0.3, 1.3)
    anomaly_map = np.abs(0.5 * noise.standard_normal(head.shape)) + strength * (labels > 0)
    scored = list(range(1, depth - 1)) if kind == "volume" else [0]  # the first is empty, the last out of range
    patient = number - 1 if number % 4 == 1 else number
    return Case(
        f"case{number:03d}",
        f"patient{patient:03d}",
        label,
        image.astype(np.float32),
        anomaly_map.astype(np.float32),
        labels,
        scored,
    )


def _write_truth(path: Path, made: list[Case], classes: Sequence[str], strata: Mapping[str, Sequence[str]]) -> None:
    ill = [case.name for case in made if case.label]
    named = {name: classes[place % len(classes)] for place, name in enumerate(ill) if classes}
    values = {
        column: {case.name: texts[place % len(texts)] for place, case in enumerate(made)}
        for column, texts in strata.items()
    }
    truth = Truth(named, {}, values)
    write_table(path / "truth.csv", truth.columns, truth.rows({case.name: case.patient for case in made}))


def _slice_rows(case: Case, *, kind: str, masks: bool, calibrated: bool, baselines: bool) -> list[dict[str, Any]]:
    rows = []
    known = case.label is not None
    for number in case.scored:
        pixels, found = case.image[..., number], case.anomaly_map[..., number]
        lesion_pixels = int((case.labels[..., number] > 0).sum())
        score = float(found.max())
        trivial = (pixels.mean(), pixels.std(), pixels.max(), np.percentile(pixels, 99), (pixels > 0).mean())
        rows.append(
            {
                "case": case.name,
                "patient": case.patient,
                "slice": number,
                "position": number / (DEPTH - 1) if kind == "volume" else 0.5,
                "score": score,
                "p_value": float(np.exp(-score)) if calibrated else None,
                "label": int(lesion_pixels > 0) if known else None,
                "lesion_pixels": lesion_pixels if known and masks else None,
                **{f"trivial_{name}": float(value) for name, value in zip(TRIVIAL_FEATURES, trivial, strict=True)},
                "rival_neighbours": float(pixels.max() + 0.1 * found.mean()) if baselines else None,
            }
        )
    return rows


def _volume_row(
    case: Case, rows: list[dict[str, Any]], *, kind: str, masks: bool, threshold: float | None, baselines: bool
) -> dict[str, Any]:
    score = max(row["score"] for row in rows)
    return {
        "case": case.name,
        "patient": case.patient,
        "score": score,
        "p_value": None if threshold is None else float(np.exp(-score)),
        "label": case.label,
        "slices": case.image.shape[2],
        "scored": len(case.scored),
        "empty": int(kind == "volume"),
        "outside": int(kind == "volume"),
        "mask": masks and case.label is not None,
        "voxel_mm3": VOXEL_MM3 if kind == "volume" else None,
        "file_size": 1000 + int(1e4 * case.image.std()),
        "channels": 1,
        "matrix_size": SIDE * SIDE,
        "rival_neighbours": max(row["rival_neighbours"] for row in rows) if baselines else None,
        "slice_axis": 2 if kind == "volume" else None,
    }


def _add_mean_image(path: Path, slices: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> None:
    for row in (*slices, *volumes):
        row["rival_mean_image"] = row["score"]
    for row in slices:
        row |= {"error": 0.5 * row["score"], "mean_image_error": row["score"]}
    normal = sum(row["label"] == 0 for row in slices)
    found = {"normal_slices": normal, "images": 1.0, "reconstructions": 0.36}  # variances
    (path / "variation.json").write_text(json.dumps(found))


def _save_maps(path: Path, case: Case, kind: str) -> None:
    for name, values in (("anomaly_map", case.anomaly_map), ("reconstruction", case.image * 0.9)):
        kept = values if kind == "volume" else values[..., 0]
        nib.Nifti1Image(kept, np.diag([3.0, 3.0, VOXEL_MM3 / 9, 1.0])).to_filename(path / f"{case.name}_{name}.nii.gz")


def _save_pictures(folder: Path, case: Case, rows: list[dict[str, Any]]) -> None:
    """The sprite of the report: four rows of square tiles, one column a slice."""
    folder.mkdir(exist_ok=True)
    lesion = (case.labels > 0).astype(np.float32)
    strips = [
        np.concatenate(
            [values[..., n].repeat(TILE // SIDE, axis=0).repeat(TILE // SIDE, axis=1) for n in case.scored], axis=1
        )
        for values in (case.image, case.image * 0.9, case.anomaly_map / 4, lesion)
    ]
    sprite = np.clip(255 * np.concatenate(strips), 0, 255).astype(np.uint8)
    Image.fromarray(np.repeat(sprite[..., None], 3, axis=2)).save(folder / f"{case.name}.jpg")
    shown = {
        "slices": case.scored,
        "scores": [row["score"] for row in rows],
        "tile": TILE,
        "rows": ["input", "reconstruction", "anomaly map", "mask"],
    }
    (folder / f"{case.name}.json").write_text(json.dumps(shown))


def _run_json(
    made: list[Case], volumes: list[dict[str, Any]], *, kind: str, seed: int, model: int, calibrated: bool
) -> dict[str, Any]:
    fitted = {"file": "calibration.json", "patients": 20, "slices": 200, "volumes": 20, "wanted_fpr": 0.05}
    fitted |= {**THRESHOLDS, "wanted_pixel_fpr": 0.001, "notes": ["made up for tests"]}
    return {
        "kind": kind,
        "name": f"phantoms {seed}, model {model}",
        "configuration": {"preset": "tiny", "image_size": SIDE, "score": {"over_slices": "max"}},
        "seed": model,
        "checkpoint": {"file": "model.pt", "sha256": f"{model:064x}"},
        "data": {
            "datalist": "datalist.json",
            "sha256": f"{seed:064x}",
            "cases": len(made),
            "patients": len({case.patient for case in made}),
        },
        "versions": {"qfae-monai": "0.1.0", "monai": "1.6.1", "torch": "2.8.0"},
        "device": "cpu",
        "processes": 1,
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 12.5,
        "slices": {name: sum(row[name] for row in volumes) for name in ("scored", "empty", "outside")},
        "calibration": fitted if calibrated else None,
        "published": None,
    }


def training_record(warnings: list[str]) -> dict[str, Any]:
    """What stands of a training in `run.json`."""
    figures = {
        "images": 9,
        "distance": 0.1,
        "mean_image_distance": 0.2,
        "map_spread": 0.5,
        "map_spread_over_images": 0.4,
    }
    return {
        "version": 1,
        "checkpoint": {"file": "model.pt", "sha256": "0" * 64},
        "precision": "auto",
        "format": "float32",
        "device": "x86_64 CPU, AVX2",
        "threads": 1,
        "processes": 1,
        "seed": 0,
        "epochs": 2,
        "iterations": 8,
        "training_images": 32,
        "seconds": 1.5,
        "held_out": figures,
        "warnings": warnings,
        "versions": {"torch": "2.14"},
    }
